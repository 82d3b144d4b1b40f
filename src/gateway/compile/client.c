/* compile: what a ClientTrafficPolicy says of a listener's clients, as plan.h's client_plan. */
#include "base/limits.h"
#include "gateway/compile/rule.h"
#include "gateway/compile/traffic/transport.h"
#include "http/path.h"
#include "manifest/client_traffic_policy.h"
#include "policy/regex.h"

enum {
    CLIENT_IDLE_US = 300 * 1000000,
    CLIENT_HEAD_US = 15 * 1000000,
    CLIENT_SILENCE_US = 60 * 1000000,
    CLIENT_INSPECT_US = 15 * 1000000,
    CLIENT_HEAD_BYTES_MAX = 1024 * 1024,
    CLIENT_HELD_BYTES = 1024 * 1024,
    CLIENT_STREAM_WINDOW_BYTES = 64 * 1024,
    CLIENT_WINDOW_BYTES = 1024 * 1024,
    CLIENT_ACCEPTS_MAX = 65536,
    CLIENT_BUFFER_BYTES_MIN = 4096,
};

const struct client_traffic_policy *
compile_client_policy(struct compile *c, const struct gateway *g, const struct listener *l)
{
    const struct object_vec *at =
        manifest_policies_at(c->manifest, KIND_CLIENT_TRAFFIC_POLICY, &g->object, l->name);

    if (at->n == 0)
        at = manifest_policies_at(c->manifest, KIND_CLIENT_TRAFFIC_POLICY, &g->object, STR(""));
    return at->n > 0 ? (const struct client_traffic_policy *)at->items[0] : NULL;
}

static void compile_detection(const struct client_ip_detection *spec, struct arena *a,
                              struct client_address_policy *ret)
{
    size_t bad;

    if (spec->custom_header) {
        ret->mode = CLIENT_ADDRESS_HEADER;
        ret->header = arena_lower(a, spec->custom_header->name);
        ret->must_have = spec->custom_header->fail_closed.value;
    } else if (spec->x_forwarded_for && spec->x_forwarded_for->trusted_cidrs.n > 0) {
        ret->mode = CLIENT_ADDRESS_CIDRS;
        if (!cidr_list_parse(spec->x_forwarded_for->trusted_cidrs.items,
                             spec->x_forwarded_for->trusted_cidrs.n, a, &ret->trusted, &bad))
            ret->mode = CLIENT_ADDRESS_SOCKET; /* checked at decode */
    } else if (spec->x_forwarded_for) {
        ret->mode = CLIENT_ADDRESS_HOPS;
        ret->n_trusted_hops = (uint32_t)spec->x_forwarded_for->num_trusted_hops.value;
    }
}

static bool detection_omits_append(const struct client_ip_detection *spec)
{
    return spec->x_forwarded_for && spec->x_forwarded_for->disable_append.value;
}

static void compile_client_headers(const struct client_headers *h, struct client_plan *ret)
{
    ret->drops_underscore = h->with_underscores_action == UNDERSCORES_DROP;
    ret->allows_underscore =
        ret->drops_underscore || h->with_underscores_action == UNDERSCORES_ALLOW;
    ret->keeps_request_id = h->preserve_request_id.value ||
                            h->request_id == REQUEST_ID_PRESERVE_OR_GENERATE ||
                            h->request_id == REQUEST_ID_PRESERVE;
    ret->omits_limit_headers = h->disable_rate_limit_headers.value;
    ret->tells_envoy = h->enable_envoy_headers.value;
    ret->omits_request_id =
        h->request_id == REQUEST_ID_PRESERVE || h->request_id == REQUEST_ID_DISABLE;
    if (client_cert_is_told(h->forwarded_client_cert)) {
        ret->tells_certificate = true;
        ret->certificate_details = h->forwarded_client_cert->details;
    }
    ret->strips_host_dot = h->host && h->host->strip_trailing_dot.value;
    if (h->max_request_header_bytes.is_set)
        ret->head_bytes_limit =
            (uint32_t)MIN(h->max_request_header_bytes.value, (int64_t)CLIENT_HEAD_BYTES_MAX);
}

static uint64_t positive_or(struct opt_duration d, uint64_t otherwise)
{
    return d.is_set && d.us > 0 ? d.us : otherwise;
}

static uint32_t bounded_or(struct opt_int asked, uint32_t limit, uint32_t otherwise)
{
    return asked.is_set ? (uint32_t)MIN(asked.value, (int64_t)limit) : otherwise;
}

static void compile_client_h2(const struct http2_settings *s, struct client_h2_plan *ret)
{
    static const uint64_t second_us = 1000000;
    static const struct http2_keepalive none;
    const struct http2_keepalive *k = s->connection_keepalive ? s->connection_keepalive : &none;

    ret->n_streams_max =
        bounded_or(s->max_concurrent_streams, LIMIT_H2_STREAMS_MAX, LIMIT_H2_STREAMS);
    ret->stream_window = bounded_or(s->initial_stream_window_bytes, LIMIT_H2_STREAM_WINDOW_BYTES,
                                    CLIENT_STREAM_WINDOW_BYTES);
    ret->connection_window =
        bounded_or(s->initial_connection_window_bytes, LIMIT_H2_WINDOW_BYTES, CLIENT_WINDOW_BYTES);
    ret->keeps_connection = s->on_invalid_message == HTTP2_TERMINATE_STREAM;
    ret->pings_idle = k->interval.is_set && k->interval.us > 0;
    ret->ping_us = positive_or(k->interval, LIMIT_H2_SILENCE_S * second_us);
    if (ret->pings_idle)
        ret->ping_jitter_us = (uint32_t)MIN(
            ret->ping_us / 100 * (uint64_t)k->interval_jitter_percent.value, (uint64_t)UINT32_MAX);
    ret->ping_answer_us = positive_or(k->timeout, LIMIT_H2_PING_ANSWER_S * second_us);
}

static void compile_client_limit(const struct connection_limit *l, struct client_plan *ret)
{
    ret->connection_limit = bounded_or(l->value, BOUNDED_COUNT_MAX, BOUNDED_COUNT_MAX);
    ret->close_delay_us = positive_or(l->close_delay, 0);
    ret->connection_us = positive_or(l->max_connection_duration, 0);
    ret->n_requests_max = bounded_or(l->max_requests_per_connection, UINT32_MAX, 0);
    ret->stream_us = positive_or(l->max_stream_duration, 0);
}

static void compile_client_times(const struct client_timeout *timeout, struct client_plan *ret)
{
    const struct client_http_timeout *http = timeout->http;
    const struct client_tcp_timeout *tcp = timeout->tcp;

    if (http) {
        ret->idle_us = positive_or(http->idle_timeout, CLIENT_IDLE_US);
        ret->head_us = positive_or(http->request_headers_received_timeout, CLIENT_HEAD_US);
        ret->received_us = positive_or(http->request_received_timeout, 0);
        ret->silence_us = positive_or(http->stream_idle_timeout, CLIENT_SILENCE_US);
        ret->stream_idle_us = positive_or(http->stream_idle_timeout, 0);
    }
    ret->handshake_us = ret->head_us;
    if (tcp) {
        ret->inspect_us = positive_or(tcp->connection_inspection_timeout, CLIENT_INSPECT_US);
        ret->handshake_us = positive_or(tcp->tls_handshake_timeout, ret->head_us);
    }
}

/* Of content that is passed on as it comes no more is ever held than our own bound. */
static void compile_client_buffer(struct opt_int limit, struct client_plan *ret)
{
    ret->held_bytes = bounded_or(limit, LIMIT_HELD_BYTES, CLIENT_HELD_BYTES);
    ret->buffer_bytes = MAX(bounded_or(limit, LIMIT_PIPE_HIGH_BYTES, LIMIT_PIPE_HIGH_BYTES),
                            (uint32_t)CLIENT_BUFFER_BYTES_MIN);
}

static enum proxy_mode compile_proxy_mode(const struct client_traffic_policy_spec *spec)
{
    if (spec->proxy_protocol)
        return spec->proxy_protocol->optional.value ? PROXY_MODE_OPTIONAL : PROXY_MODE_REQUIRED;
    return spec->enable_proxy_protocol.value ? PROXY_MODE_REQUIRED : PROXY_MODE_NONE;
}

/* Whatever the client's capitals. A pattern that takes too long matches: no upgrade is safer. */
static bool compile_upgrade_is(struct arena *scratch, const struct string_match *m, struct str name)
{
    const struct regex *regex;

    switch (m->type) {
    case STRING_PREFIX:
        return str_starts_with_nocase(name, m->value);
    case STRING_SUFFIX:
        return str_ends_with_nocase(name, m->value);
    case STRING_REGEX:
        return regex_compile(scratch, m->value, &regex, NULL) != 0 ||
               regex_match(regex, name) != REGEX_MISS;
    default:
        return str_eq_nocase(name, m->value);
    }
}

static void compile_client_http1(struct compile *c, const struct client_http1 *http1,
                                 struct client_plan *ret)
{
    VEC_FOREACH (&http1->ignored_upgrade_types, m)
        ret->ignores_websocket |= compile_upgrade_is(&c->scratch, m, STR("websocket"));
    ret->ends_when_old = http1->disable_safe_max_connection_duration.value;
    ret->omits_trailers = http1->enable_trailers.is_set && !http1->enable_trailers.value;
    ret->keeps_case = http1->preserve_header_case.value;
}

static bool host_is_one(struct str host)
{
    return host.len > 0 && host.ptr[0] != '*';
}

/* The one host that a route of HTTP on the listener has; STR_NULL: there is none, or no one. */
static struct str compile_route_host(const struct listener *l, size_t *ret_n)
{
    struct str host = STR_NULL;

    *ret_n = 0;
    VEC_FOREACH (&l->routes, attached) {
        if (attached->route->kind->id == KIND_GRPC_ROUTE)
            continue;
        for (size_t i = 0; i < attached->hostnames.n; i++) {
            if (!host_is_one(attached->hostnames.items[i]))
                continue;
            host = attached->hostnames.items[i];
            ++*ret_n;
        }
    }
    return *ret_n == 1 ? host : STR_NULL;
}

/* The listener's own host, else that of its one route with one; else the policy is not valid. */
static void compile_default_host(struct compile *c, const struct client_traffic_policy *p,
                                 const struct listener *l, struct arena *a, struct client_plan *ret)
{
    const struct client_http10 *http10 = p->spec.http1 ? p->spec.http1->http10 : NULL;
    struct str host = l->hostname;
    size_t n = 1;

    if (!http10 || !http10->use_default_host.value)
        return;
    if (!host_is_one(host))
        host = compile_route_host(l, &n);
    ret->default_host = arena_lower(a, host);
    if (n != 1)
        manifest_object_error(
            c->manifest, (struct object *)(uintptr_t)&p->object, DIAG_INVALID_VALUE, http10->mark,
            "http1.http10.useDefaultHost: listener \"%.*s\" has no host name of its own, and its "
            "routes have %zu instead of one",
            STR_ARG(l->name), n);
}

static void compile_client_path(const struct client_path *path, struct client_plan *ret)
{
    if (path->escaped_slashes_action == SLASHES_UNESCAPE)
        ret->escaped_slash = ESCAPED_SLASH_FORWARDED;
    else if (path->escaped_slashes_action == SLASHES_REDIRECT)
        ret->escaped_slash = ESCAPED_SLASH_REDIRECTED;
    ret->keeps_slashes = path->disable_merge_slashes.value;
    if (ret->escaped_slash != ESCAPED_SLASH_REFUSED)
        ret->path_reading |= PATH_UNESCAPES_SLASHES;
    if (ret->keeps_slashes)
        ret->path_reading |= PATH_KEEPS_EMPTY;
}

static void compile_health_path(struct compile *c, const struct client_traffic_policy *p,
                                struct arena *a, struct client_plan *ret)
{
    const struct client_health_check *h = p->spec.health_check;
    struct str path;

    if (compile_path_as(c, (struct object *)&p->object, h->mark, h->path, client_path_reading(ret),
                        &path))
        ret->health_path = arena_str(a, path);
}

static void compile_client_socket(const struct client_connection *connection,
                                  const struct tcp_keepalive *k, struct client_plan *ret)
{
    compile_socket_options(connection->socket_buffer_limit_bytes, k, &ret->socket);
    ret->n_accepts_max = bounded_or(connection->max_accept_per_socket_event, CLIENT_ACCEPTS_MAX, 0);
}

void compile_client(struct compile *c, const struct gateway *g, const struct listener *l,
                    struct arena *a, struct client_plan *ret)
{
    static const struct client_connection no_connection;
    static const struct http2_settings no_http2 = {.on_invalid_message = -1};
    const struct client_traffic_policy *p = compile_client_policy(c, g, l);

    *ret = (struct client_plan){.idle_us = CLIENT_IDLE_US,
                                .head_us = CLIENT_HEAD_US,
                                .silence_us = CLIENT_SILENCE_US,
                                .inspect_us = CLIENT_INSPECT_US,
                                .handshake_us = CLIENT_HEAD_US,
                                .connection_limit = BOUNDED_COUNT_MAX,
                                .buffer_bytes = LIMIT_PIPE_HIGH_BYTES,
                                .held_bytes = CLIENT_HELD_BYTES};
    compile_client_h2(p && !p->object.is_broken && p->spec.http2 ? p->spec.http2 : &no_http2,
                      &ret->h2);
    if (!p || p->object.is_broken)
        return;
    if (p->spec.client_ip_detection)
        compile_detection(p->spec.client_ip_detection, a, &ret->address);
    ret->omits_forwarded_for =
        p->spec.client_ip_detection && detection_omits_append(p->spec.client_ip_detection);
    if (p->spec.headers)
        compile_client_headers(p->spec.headers, ret);
    if (p->spec.connection)
        compile_client_socket(p->spec.connection, p->spec.tcp_keepalive, ret);
    else
        compile_client_socket(&no_connection, p->spec.tcp_keepalive, ret);
    if (p->spec.http1)
        compile_client_http1(c, p->spec.http1, ret);
    compile_default_host(c, p, l, a, ret);
    if (p->spec.path)
        compile_client_path(p->spec.path, ret);
    if (p->spec.health_check)
        compile_health_path(c, p, a, ret);
    ret->tells_backend_scheme = p->spec.scheme == SCHEME_MATCH_BACKEND;
    ret->proxy_mode = compile_proxy_mode(&p->spec);
    if (p->spec.timeout)
        compile_client_times(p->spec.timeout, ret);
    if (p->spec.connection && p->spec.connection->limit)
        compile_client_limit(p->spec.connection->limit, ret);
    if (p->spec.connection)
        compile_client_buffer(p->spec.connection->buffer_limit_bytes, ret);
}
