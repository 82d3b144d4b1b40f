/* compile: BackendTrafficPolicies into rules, merged once for each: HTTP/2 settings of connections,
 * timeouts, limits (limit.c), and what has a file in traffic/: further tries, answers in the place
 * of others, failures on purpose, compression. */
#include "gateway/compile/traffic.h"

#include "base/limits.h"
#include "gateway/compile/breaker.h"
#include "gateway/compile/health.h"
#include "gateway/compile/limit.h"
#include "gateway/compile/rule.h"
#include "gateway/compile/traffic/balance.h"
#include "gateway/compile/traffic/compress.h"
#include "gateway/compile/traffic/fault.h"
#include "gateway/compile/traffic/keep_alive.h"
#include "gateway/compile/traffic/override.h"
#include "gateway/compile/traffic/retry.h"
#include "gateway/compile/traffic/transport.h"
#include "gateway/compile/traffic/upgrade.h"

enum {
    STREAM_IDLE_DEFAULT_US = 300 * 1000000,
    LOOKUP_DEFAULT_US = 30 * 1000000,
    LOOKUP_MIN_US = 100 * 1000,
};

/* 0: the default. */
static uint32_t traffic_bounded(struct opt_int asked, int64_t limit)
{
    return asked.is_set ? (uint32_t)MIN(asked.value, limit) : 0;
}

const struct cluster_http2 *compile_http2(struct compile *c, const struct http2_settings *s)
{
    struct cluster_http2 *http2;

    if (!s)
        return NULL;
    http2 = ARENA_NEW(&c->scratch, struct cluster_http2);
    http2->stream_window =
        traffic_bounded(s->initial_stream_window_bytes, LIMIT_H2_STREAM_WINDOW_BYTES);
    http2->connection_window =
        traffic_bounded(s->initial_connection_window_bytes, LIMIT_H2_WINDOW_BYTES);
    http2->n_streams_max = traffic_bounded(s->max_concurrent_streams, LIMIT_H2_STREAMS_MAX);
    http2->ends_on_invalid = s->on_invalid_message == HTTP2_TERMINATE_CONNECTION;
    if (s->connection_keepalive) {
        http2->ping_interval_us = duration_or(s->connection_keepalive->interval, 0);
        http2->ping_timeout_us = duration_or(s->connection_keepalive->timeout, 0);
        http2->ping_first_us = duration_or(s->connection_keepalive->idle_interval, 0);
    }
    return http2;
}

/* As Envoy Gateway: an interval counts only where TTLs do not. */
struct cluster_lookup compile_lookup(const struct cluster_dns *dns)
{
    static const enum cluster_family families[] = {
        [DNS_IPV4] = CLUSTER_IPV4,
        [DNS_IPV6] = CLUSTER_IPV6,
        [DNS_IPV4_PREFERRED] = CLUSTER_IPV4_PREFERRED,
        [DNS_IPV6_PREFERRED] = CLUSTER_IPV6_PREFERRED,
        [DNS_IPV4_AND_IPV6] = CLUSTER_ALL_FAMILIES,
    };
    struct cluster_lookup lookup = {0};

    if (!dns)
        return lookup;
    if (dns->respect_ttl.is_set && !dns->respect_ttl.value)
        lookup.refresh_us =
            MAX(duration_or(dns->refresh_rate, LOOKUP_DEFAULT_US), (uint64_t)LOOKUP_MIN_US);
    if (dns->lookup_family >= 0)
        lookup.family = families[dns->lookup_family];
    return lookup;
}

void compile_traffic_begin(struct compile *c, struct compile_place *at)
{
    struct compile_traffic *t = ARENA_NEW(&c->scratch, struct compile_traffic);

    t->chain = manifest_policy_chain(c->manifest, KIND_BACKEND_TRAFFIC_POLICY, at->route,
                                     at->rule_name, &at->gateway->object, at->listener->name);
    t->merged = policy_merge(&c->scratch, &t->chain);
    t->spec = t->merged.is_broken ? NULL : t->merged.spec;
    t->http2 = compile_http2(c, t->spec ? t->spec->cluster.http2 : NULL);
    t->lookup = compile_lookup(t->spec ? t->spec->cluster.dns : NULL);
    t->follows_client = t->spec && t->spec->use_client_protocol.value;
    t->transport = compile_transport(c, t->spec ? &t->spec->cluster : NULL);
    at->traffic = t;
}

static void traffic_timeouts(const struct compile_place *at, const struct cluster_timeout *t)
{
    struct rule_plan *rule = at->rule;

    rule->stream_idle_us =
        at->client->stream_idle_us ? at->client->stream_idle_us : STREAM_IDLE_DEFAULT_US;
    if (t && t->tcp)
        rule->connect_us = duration_or(t->tcp->connect_timeout, 0);
    if (t && t->http) {
        rule->policy_request_us = duration_or(t->http->request_timeout, 0);
        rule->connection_idle_us = compile_idle_time(t->http->connection_idle_timeout);
        rule->stream_idle_us = duration_or(t->http->stream_idle_timeout, rule->stream_idle_us);
        rule->stream_us = duration_or(t->http->max_stream_duration, 0);
    }
}

static void traffic_request_buffer(struct rule_plan *rule, const struct request_buffer *b)
{
    if (b)
        rule->request_buffer_bytes =
            MIN((uint64_t)b->limit_bytes.value, (uint64_t)LIMIT_EDITED_BODY_BYTES);
}

void compile_traffic_rule(struct compile *c, struct compile_place *at)
{
    const struct compile_traffic *t = at->traffic;

    /* What a policy with an error would have bounded must not run unbounded: the rule refuses. */
    if (t->merged.is_broken)
        compile_break_rule(at, "its BackendTrafficPolicy has an error");
    traffic_request_buffer(at->rule, t->spec ? t->spec->request_buffer : NULL);
    traffic_timeouts(at, t->spec ? t->spec->cluster.timeout : NULL);
    compile_keep_alive(c, at);
    compile_balance(at, t->spec ? t->spec->cluster.load_balancer : NULL);
    compile_breaker(c, at, t->spec ? t->spec->cluster.circuit_breaker : NULL);
    compile_health(c, at);
    compile_fault(at);
    compile_retry(c, at);
    compile_overrides(c, at);
    compile_compress(c, at);
    compile_upgrade(at);
    compile_limits(c, at, &t->chain, &t->merged);
}
