/* compile: where a provider's keys come from: a set in the manifests, or one that is fetched, with
 * its backend, time limits and retries. What cannot be had as written is never weakened: the policy
 * refuses. Fetching itself is upstream/key_feed.c. */
#include "base/hash.h"
#include "gateway/compile/breaker.h"
#include "gateway/compile/compile.h"
#include "gateway/compile/health.h"
#include "gateway/compile/rule.h"
#include "manifest/core.h"
#include "manifest/link/link.h"
#include "manifest/security_policy.h"

enum {
    KEY_CACHE_DEFAULT_US = 300 * 1000000,
    KEY_FETCH_TIMEOUT_US = 5 * 1000000,
    KEY_CONNECT_TIMEOUT_US = 10 * 1000000,
    KEY_BACK_OFF_US = 1000000,
    KEY_FAILED_PAUSE_US = 1000000,
    KEY_TRIGGERS_DEFAULT = KEY_FEED_ON_5XX | KEY_FEED_ON_GATEWAY_ERROR | KEY_FEED_ON_RESET |
                           KEY_FEED_ON_CONNECT_FAILURE,
};

/* "http://host[:port]/path?query" */
static bool compile_split_uri(struct str uri, struct str *ret_host, struct str *ret_path)
{
    size_t scheme = str_starts_with_nocase(uri, STR("https://"))  ? 8
                    : str_starts_with_nocase(uri, STR("http://")) ? 7
                                                                  : 0;
    ssize_t slash;

    if (scheme == 0)
        return false;
    slash = str_find_char(uri, '/', scheme);
    *ret_host = str_slice(uri, scheme, slash < 0 ? uri.len : (size_t)slash);
    *ret_path = slash < 0 ? STR("/") : str_slice(uri, (size_t)slash, uri.len);
    return ret_host->len > 0;
}

/* Of retryOn what can happen to a fetch by HTTP/1: refused streams and statuses of gRPC cannot. */
static uint32_t compile_feed_triggers(const struct cluster_retry_on *on)
{
    static const uint32_t bits[] = {
        [RETRY_ON_5XX] = KEY_FEED_ON_5XX,
        [RETRY_ON_GATEWAY_ERROR] = KEY_FEED_ON_GATEWAY_ERROR,
        [RETRY_ON_RESET] = KEY_FEED_ON_RESET,
        [RETRY_ON_RESET_BEFORE_REQUEST] = KEY_FEED_ON_CONNECT_FAILURE,
        [RETRY_ON_CONNECT_FAILURE] = KEY_FEED_ON_CONNECT_FAILURE,
        [RETRY_ON_RETRIABLE_4XX] = KEY_FEED_ON_CONFLICT,
    };
    uint32_t triggers = 0;

    if (!on || on->triggers == 0)
        return KEY_TRIGGERS_DEFAULT;
    for (size_t i = 0; i < N_ELEMENTS(bits); i++)
        triggers |= on->triggers & 1U << i ? bits[i] : 0;
    return triggers;
}

static void compile_feed_retry(const struct jwt_remote_jwks *spec, struct key_feed_retry *ret)
{
    const struct cluster_settings *s = spec->backend_settings;
    const struct cluster_retry *retry = s ? s->retry : NULL;
    const struct cluster_back_off *back_off =
        retry && retry->per_retry ? retry->per_retry->back_off : NULL;

    ret->n_retries = retry && retry->num_retries.is_set ? (uint32_t)retry->num_retries.value : 1;
    ret->on = compile_feed_triggers(retry ? retry->retry_on : NULL);
    ret->back_off.base_us =
        back_off && back_off->base_interval.is_set ? back_off->base_interval.us : KEY_BACK_OFF_US;
    ret->back_off.max_us = back_off && back_off->max_interval.is_set ? back_off->max_interval.us
                                                                     : ret->back_off.base_us * 10;
    ret->failed_us = spec->failed_refetch_duration.us > 0 ? spec->failed_refetch_duration.us
                                                          : (uint64_t)KEY_FAILED_PAUSE_US;
}

static void compile_feed_times(const struct jwt_remote_jwks *spec, struct key_feed_config *config)
{
    const struct cluster_settings *s = spec->backend_settings;
    const struct cluster_timeout *t = s ? s->timeout : NULL;

    config->cache_us = spec->cache_duration.is_set ? spec->cache_duration.us : KEY_CACHE_DEFAULT_US;
    config->timeout_us = t && t->http && t->http->request_timeout.us > 0
                             ? t->http->request_timeout.us
                             : (uint64_t)KEY_FETCH_TIMEOUT_US;
    config->connect_us = t && t->tcp && t->tcp->connect_timeout.us > 0
                             ? t->tcp->connect_timeout.us
                             : (uint64_t)KEY_CONNECT_TIMEOUT_US;
    if (t && t->http)
        config->idle_us = compile_idle_time(t->http->connection_idle_timeout);
}

static void compile_feed_bounds(struct compile *c, struct object *policy,
                                const struct cluster_settings *s, struct key_feed_config *config)
{
    config->has_limits =
        compile_limits_of(config->cluster, s ? s->circuit_breaker : NULL, &config->limits);
    if (s)
        compile_health_of(c, policy, config->cluster, s->health_check);
}

/* Two feeds are one when nothing of this differs. */
static struct str compile_feed_key(struct compile *c, const struct jwt_remote_jwks *spec,
                                   const struct key_feed_config *config)
{
    const struct key_feed_retry *r = &config->retry;
    const struct breaker_limits *l = &config->limits;

    return arena_printf(
        &c->scratch, "remote|%.*s|%.*s|%llu|%llu|%llu|%u|%u|%llu|%llu|%llu|%llu|%d,%u,%u,%u,%u,%u",
        STR_ARG(spec->uri), STR_ARG(config->cluster->key), (unsigned long long)config->cache_us,
        (unsigned long long)config->connect_us, (unsigned long long)config->timeout_us,
        r->n_retries, r->on, (unsigned long long)r->back_off.base_us,
        (unsigned long long)r->back_off.max_us, (unsigned long long)r->failed_us,
        (unsigned long long)config->idle_us, config->has_limits, breaker_limit(&l->n_connections),
        breaker_limit(&l->n_endpoint_connections), breaker_limit(&l->n_pending),
        breaker_limit(&l->n_requests), breaker_limit(&l->n_served));
}

/* The backend cannot be used, or not yet (its authorities may come with a later file): no error of
 * the policy, which refuses all the same. Said once, not for each rule. */
static void compile_name_lost_source(struct compile *c, struct object *policy,
                                     const struct jwt_provider_spec *p)
{
    struct str text =
        arena_printf(&c->manifest->arena,
                     "the key set of provider \"%.*s\" cannot be fetched, since its "
                     "backend cannot be used as written: what the policy covers refuses",
                     STR_ARG(p->name));

    if (link_take_back(c->manifest, policy, text))
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, p->remote_jwks->mark,
                 policy->label, "%.*s", STR_ARG(text));
}

/* The cluster of a key source: its backendRefs, else the host of its URI by DNS. Whoever could
 * change keys on their way could sign tokens: an address that promises TLS is never asked in clear
 * text. NULL after saying why. */
static struct cluster *compile_feed_cluster(struct compile *c, struct object *policy,
                                            const struct jwt_provider_spec *p, struct str host)
{
    const struct jwt_remote_jwks *spec = p->remote_jwks;
    bool is_https = str_starts_with_nocase(spec->uri, STR("https://"));
    struct cluster *cluster =
        spec->backend_refs.n > 0
            ? compile_cluster_of(c, policy, &spec->backend_refs.items[0], false,
                                 spec->backend_settings)
            : compile_cluster_of_uri(c, host, is_https, spec->backend_settings);

    if (!cluster) {
        compile_name_lost_source(c, policy, p);
    } else if (is_https && !cluster->tls) {
        manifest_object_error(c->manifest, policy, DIAG_INVALID_VALUE, spec->mark,
                              "the key set of provider \"%.*s\" has an https:// address and a "
                              "backend without TLS (%.*s): it would be fetched in clear text",
                              STR_ARG(p->name), STR_ARG(cluster->name));
        cluster_unref(cluster);
        cluster = NULL;
    }
    return cluster;
}

static struct key_feed *compile_remote_feed(struct compile *c, struct object *policy,
                                            const struct jwt_provider_spec *p)
{
    struct key_feed_config config = {.name = p->name};
    struct key_feed *feed;

    if (!compile_split_uri(p->remote_jwks->uri, &config.host, &config.path))
        return NULL;
    config.cluster = compile_feed_cluster(c, policy, p, config.host);
    if (!config.cluster)
        return NULL;
    compile_feed_times(p->remote_jwks, &config);
    compile_feed_retry(p->remote_jwks, &config.retry);
    compile_feed_bounds(c, policy, p->remote_jwks->backend_settings, &config);
    feed = key_feed_get_remote(c->feeds, compile_feed_key(c, p->remote_jwks, &config), &config);
    cluster_unref(config.cluster);
    return feed;
}

static struct key_feed *compile_local_feed(struct compile *c, struct object *policy,
                                           const struct jwt_provider_spec *p)
{
    const struct jwt_local_jwks *local = p->local_jwks;
    struct str json = local->inline_text.text;
    struct key_feed *feed = NULL;
    struct str key;

    if (local->value_ref)
        json = keeper_find_or_first(local->value_ref->target, "jwks");
    key = arena_printf(&c->scratch, "local|%.*s|%016llx%016llx", STR_ARG(p->name),
                       (unsigned long long)hash_str(json),
                       (unsigned long long)hash_sip24(hash_process_key(), json.ptr, json.len));
    if (key_feed_get_local(c->feeds, key, p->name, json, &feed) != 0) {
        manifest_object_error(c->manifest, policy, DIAG_INVALID_VALUE, local->mark,
                              "the key set of provider %.*s is not a usable JSON Web Key Set",
                              STR_ARG(p->name));
        return NULL;
    }
    return feed;
}

struct key_feed *compile_key_source(struct compile *c, struct object *policy,
                                    const struct jwt_provider_spec *p)
{
    if (p->remote_jwks)
        return compile_remote_feed(c, policy, p);
    return p->local_jwks ? compile_local_feed(c, policy, p) : NULL;
}
