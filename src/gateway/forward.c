/* Forwarding as Envoy Gateway does it at an edge: X-Forwarded-For gets the peer appended
 * unless the policy says not to, X-Forwarded-Proto is that of the connection unless a trusted proxy
 * said otherwise, X-Forwarded-Host is set where the host is rewritten, X-Request-Id is made here
 * unless the policy keeps the client's. */
#include "gateway/forward.h"

#include "gateway/ai/ai_request.h"
#include "gateway/traffic/compress.h"
#include "gateway/worker.h"
#include "telemetry/trace_id.h"

static void forward_set_for(struct exchange *x)
{
    struct http_headers *h = &x->request.headers;
    struct str before = http_headers_joined(h, header_name(HEADER_X_FORWARDED_FOR));
    struct str peer = x->peer_ip;

    if (x->listener->client.omits_forwarded_for)
        return;
    struct str value = before.len > 0
                           ? arena_printf(&x->arena, "%.*s,%.*s", STR_ARG(before), STR_ARG(peer))
                           : arena_str(&x->arena, peer);

    http_headers_set(h, header_name(HEADER_X_FORWARDED_FOR), value);
}

static void forward_set_proto(struct exchange *x)
{
    struct http_headers *h = &x->request.headers;
    const struct http_header *given = http_headers_find_id(h, HEADER_X_FORWARDED_PROTO);

    if (given && x->client.is_trusted_peer &&
        (str_eq(given->value, STR("http")) || str_eq(given->value, STR("https"))))
        return;
    http_headers_set(h, header_name(HEADER_X_FORWARDED_PROTO),
                     x->downstream && x->downstream->is_tls ? STR("https") : STR("http"));
}

static void forward_set_request_id(struct exchange *x)
{
    struct http_headers *h = &x->request.headers;
    const struct http_header *given = http_headers_find_id(h, HEADER_X_REQUEST_ID);
    char *text;

    if (given && given->value.len > 0 && x->listener->client.keeps_request_id)
        return;
    if (x->listener->client.omits_request_id) {
        http_headers_remove_id(h, HEADER_X_REQUEST_ID);
        return;
    }
    text = arena_bytes(&x->arena, TRACE_ID_UUID_BYTES);
    trace_id_uuid(&x->worker->random, text);
    http_headers_set(h, header_name(HEADER_X_REQUEST_ID), str_make(text, TRACE_ID_UUID_BYTES - 1));
}

void forward_add_headers(struct exchange *x)
{
    struct http_headers *h = &x->request.headers;

    if (!x->client.is_trusted_peer) {
        http_headers_remove_id(h, HEADER_X_FORWARDED_HOST);
        http_headers_remove_id(h, HEADER_X_FORWARDED_PORT);
        http_headers_remove_id(h, HEADER_FORWARDED);
    }
    forward_set_for(x);
    forward_set_proto(x);
    forward_set_request_id(x);
}

void forward_modify_headers(struct exchange *x)
{
    compress_note_request(x);
    if (x->rule->request_mods)
        header_mods_apply_request(x->rule->request_mods, &x->request);
}

static void forward_set_host(struct http_request *r, struct str host, bool tells_former)
{
    if (host.len == 0 || str_eq_nocase(host, r->authority))
        return;
    if (tells_former)
        http_headers_set(&r->headers, header_name(HEADER_X_FORWARDED_HOST), r->authority);
    r->authority = host;
}

enum refusal forward_prepare(struct exchange *x, const struct backend_plan *backend,
                             struct http_request *ret)
{
    const struct rule_plan *rule = x->rule;

    *ret = x->request;
    /* The list is shared with x->request until something differs: what a try adds must not pile up.
     */
    bool is_withholding = layer_is_withholding(x, backend);

    if (rule->host_rewrite || is_withholding)
        ret->headers = http_headers_copy(&x->request.headers, &x->arena);
    if (is_withholding)
        layer_withhold(x, backend, ret);
    if (rule->path_rewrite && path_rewrite_apply(rule->path_rewrite, x->request.path, x->n_matched,
                                                 &x->arena, &ret->path) != 0)
        return REFUSAL_REWRITE;
    if (rule->host_rewrite)
        forward_set_host(ret, host_rewrite_apply(rule->host_rewrite, &x->request, backend->host),
                         !rule->host_rewrite->hides_former);
    if (x->listener->client.tells_backend_scheme)
        ret->scheme = backend->cluster->tls ? STR("https") : STR("http");
    ret->minor_version = 1;
    return REFUSAL_NONE;
}

enum refusal forward_prepare_backend(struct exchange *x, const struct backend_plan *backend,
                                     struct http_request *request)
{
    if (backend->request_mods) {
        request->headers = http_headers_copy(&request->headers, &x->arena);
        header_mods_apply_request(backend->request_mods, request);
    }
    return x->is_ai ? ai_request_prepare(x, backend, request) : REFUSAL_NONE;
}

/* ---- x-envoy headers ---- */

static uint64_t forward_left_us(const struct exchange *x, uint64_t try_us)
{
    uint64_t now_us = x->worker->loop.now.mono_us;
    uint64_t left_us;

    if (!timer_is_set(&x->total_timer))
        return try_us;
    left_us = x->total_timer.due_us > now_us ? x->total_timer.due_us - now_us : 0;
    left_us = MAX(left_us, (uint64_t)1); /* 0 would be for ever */
    return try_us ? MIN(try_us, left_us) : left_us;
}

void forward_tell_backend(struct exchange *x, uint64_t try_us, struct http_request *request)
{
    uint64_t left_us = forward_left_us(x, try_us);
    struct arena *a = &x->arena;
    struct http_headers h = http_headers_copy(&request->headers, a);

    if (left_us > 0)
        http_headers_set(&h, STR("x-envoy-expected-rq-timeout-ms"),
                         arena_u64(a, (left_us + 999) / 1000));
    if (x->rule->path_rewrite && !str_eq(request->path, x->request.path))
        http_headers_set(
            &h, STR("x-envoy-original-path"),
            x->request.query.ptr
                ? arena_printf(a, "%.*s?%.*s", STR_ARG(x->request.path), STR_ARG(x->request.query))
                : x->request.path);
    request->headers = h;
}

void forward_tell_client(struct exchange *x, struct http_headers *h)
{
    if (!x->is_local)
        http_headers_set(h, STR("x-envoy-upstream-service-time"),
                         arena_u64(h->arena, (x->first_byte_us - x->upstream_us) / 1000));
    if (x->refusal == REFUSAL_UPSTREAM_OVERFLOW)
        http_headers_set(h, STR("x-envoy-overloaded"), STR("true"));
    if (x->refusal == REFUSAL_RATE_LIMITED && x->limits.is_global)
        http_headers_set(h, STR("x-envoy-ratelimited"), STR("true"));
}
