/* The layer of external authorization: one call (upstream/ext_auth.h) while the exchange waits.
 * After a yes over HTTP the named headers of its answer take the place of the request's; one that
 * is named and absent is removed. Headers that come from claims were left out when the policy was
 * compiled: what a token says, no service changes. After a yes by gRPC its edits are carried out,
 * but for those of such headers. */
#include "gateway/exchange.h"
#include "gateway/layer/layer.h"
#include "gateway/rehearsal.h"
#include "gateway/worker.h"
#include "net/tls.h"

static void ext_auth_count(struct exchange *x, const struct ext_auth_plan *p, const char *result)
{
    metric_add(METRICS_SERIES(x->worker->metrics, METRIC_EXT_AUTH, p->policy, str_of(result)), 1);
}

/* ---- the call ---- */

/* The call knows its exchange. */
struct layer_call {
    struct ext_auth_call call;
    struct exchange *exchange;
};

static void ext_auth_on_done(struct ext_auth_call *e)
{
    exchange_resume(CONTAINER_OF(e, struct layer_call, call)->exchange);
}

/* Of the peer; unknown where the client is another. */
static uint16_t ext_auth_peer_port(const struct exchange *x)
{
    struct str port = str_slice(x->peer, x->peer.len, x->peer.len);
    uint64_t number = 0;

    if (!str_eq(x->client_ip, x->peer_ip))
        return 0;
    while (port.ptr > x->peer.ptr && port.ptr[-1] != ':') {
        port.ptr--;
        port.len++;
    }
    return str_to_u64(port, &number) ? (uint16_t)number : 0;
}

/* As Envoy: the first URI of its verified certificate, else the first DNS name, else the subject.
 */
static struct str ext_auth_principal(const struct exchange *x)
{
    const struct tls_peer *peer = x->downstream ? x->downstream->client_certificate : NULL;

    if (!peer)
        return STR("");
    if (peer->n_uris > 0)
        return peer->uris[0];
    return peer->n_dns_names > 0 ? peer->dns_names[0] : peer->subject;
}

static void ext_auth_begin(struct exchange *x, const struct ext_auth_plan *p)
{
    struct layer_call *made = ARENA_NEW(&x->arena, struct layer_call);
    struct check_subject about = {.request = &x->request,
                                  .source_ip = x->client_ip,
                                  .source_port = ext_auth_peer_port(x),
                                  .principal = ext_auth_principal(x),
                                  .destination = x->local,
                                  .wall_us = x->started_wall_us};

    made->exchange = x;
    made->call.on_done = ext_auth_on_done;
    x->layers.call = &made->call;
    ext_auth_start(&made->call, &p->config, &about, &x->worker->upstreams, &x->arena);
}

/* ---- what it says ---- */

static void ext_auth_take_headers(struct exchange *x, const struct ext_auth_plan *p,
                                  const struct http_headers *answer)
{
    struct http_headers *h = &x->request.headers;

    for (uint32_t i = 0; i < p->n_backend_headers; i++) {
        http_headers_remove(h, p->backend_headers[i]);
        for (uint16_t k = 0; k < answer->n; k++) {
            if (str_eq(answer->items[k].name, p->backend_headers[i]))
                http_headers_add(h, p->backend_headers[i], answer->items[k].value);
        }
    }
}

/* What claims, client ids, user names, certificates and the gateway say stays theirs. */
static bool ext_auth_may_write(const struct exchange *x, struct str name)
{
    return !listener_plan_is_own(x->listener, name);
}

static void ext_auth_take_edits(struct exchange *x, const struct check_answer *answer)
{
    struct http_headers *h = &x->request.headers;

    VEC_FOREACH (&answer->request_removals, name) {
        if (ext_auth_may_write(x, *name))
            http_headers_remove(h, *name);
    }
    VEC_FOREACH (&answer->request_edits, e) {
        if (ext_auth_may_write(x, e->name))
            check_edit_apply(e, h);
    }
    VEC_FOREACH (&answer->answer_edits, e)
        VEC_PUSH(&x->arena, &x->layers.answer_edits, *e);
}

void layer_edit_answer(struct exchange *x, struct http_headers *h)
{
    VEC_FOREACH (&x->layers.answer_edits, e)
        check_edit_apply(e, h);
}

static void ext_auth_relay_headers(struct http_response *r, const struct ext_auth_call *e)
{
    const struct http_headers *h = &e->attempt.response.headers;

    if (e->config->is_grpc) {
        VEC_FOREACH (&e->answer.answer_edits, edit)
            check_edit_apply(edit, &r->headers);
        return;
    }
    for (uint16_t i = 0; i < h->n; i++) {
        if (!header_is_framing(h->items[i].id))
            http_headers_add(&r->headers, h->items[i].name, h->items[i].value);
    }
}

/* Its answer is the client's, but for what belongs to the connection it came by. */
static enum step_result ext_auth_relay(struct exchange *x, const struct ext_auth_call *e)
{
    bool is_grpc = e->config->is_grpc;
    struct http_response *r = &x->response;

    *r = (struct http_response){.status = is_grpc ? e->answer.status : e->attempt.response.status,
                                .minor_version = 1,
                                .is_keep_alive = true,
                                .reason = is_grpc ? STR("") : e->attempt.response.reason};
    http_headers_init(&r->headers, &x->arena);
    ext_auth_relay_headers(r, e);
    x->local_body = is_grpc ? e->answer.body : e->body;
    if (r->status != 304) {
        r->body = HTTP_BODY_LENGTH;
        r->content_length = x->local_body.len;
        r->has_content_length = true;
    }
    x->is_local = true;
    return exchange_refuse(x, REFUSAL_EXT_AUTH_DENIED);
}

static enum step_result ext_auth_fail(struct exchange *x, const struct ext_auth_plan *p,
                                      const struct ext_auth_call *e)
{
    /* Whoever uses up the connections that there are is not let in for it. */
    if (p->fails_open && !e->has_no_room) {
        ext_auth_count(x, p, "failed_open");
        return STEP_NEXT;
    }
    ext_auth_count(x, p, "failed");
    x->refusal_detail =
        arena_printf(&x->arena, "%.*s: %s", STR_ARG(p->policy), e->why ? e->why : "");
    if (e->has_no_room)
        return exchange_refuse(x, REFUSAL_UPSTREAM_ROOM);
    x->refusal_status = p->status_on_error;
    return exchange_refuse(x, REFUSAL_EXT_AUTH_FAILED);
}

static enum step_result ext_auth_conclude(struct exchange *x, const struct ext_auth_plan *p,
                                          const struct ext_auth_call *e)
{
    switch (e->verdict) {
    case EXT_AUTH_ALLOWED:
        ext_auth_count(x, p, "allowed");
        if (p->config.is_grpc)
            ext_auth_take_edits(x, &e->answer);
        else
            ext_auth_take_headers(x, p, &e->attempt.response.headers);
        return STEP_NEXT;
    case EXT_AUTH_DENIED:
        ext_auth_count(x, p, "denied");
        x->refusal_detail = p->policy;
        return ext_auth_relay(x, e);
    case EXT_AUTH_DENIED_CUT:
        ext_auth_count(x, p, "denied");
        x->refusal_detail = p->policy;
        return exchange_refuse(x, REFUSAL_EXT_AUTH_DENIED);
    case EXT_AUTH_FAILED:
    case EXT_AUTH_PENDING:
        break;
    }
    return ext_auth_fail(x, p, e);
}

enum step_result layer_ask(struct exchange *x, const struct ext_auth_plan *p)
{
    struct layer_state *s = &x->layers;
    const struct ext_auth_call *e;

    if (UNLIKELY(x->rehearsal))
        return STEP_NEXT;
    if (!s->call)
        ext_auth_begin(x, p);
    e = s->call;
    if (e->verdict == EXT_AUTH_PENDING) {
        x->wait = WAIT_EXT_AUTH;
        return STEP_WAIT;
    }
    s->call = NULL;
    return ext_auth_conclude(x, p, e);
}
