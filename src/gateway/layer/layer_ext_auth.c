/* The layer of external authorization: one call (upstream/ext_auth.h) while the exchange waits.
 * After a yes the named headers of its answer take the place of the request's; one that is named
 * and absent is removed. Headers that come from claims were left out when the policy was compiled:
 * what a token says, no service changes. */
#include "gateway/exchange.h"
#include "gateway/layer/layer.h"
#include "gateway/worker.h"

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

static void ext_auth_begin(struct exchange *x, const struct ext_auth_plan *p)
{
    struct layer_call *made = ARENA_NEW(&x->arena, struct layer_call);

    made->exchange = x;
    made->call.on_done = ext_auth_on_done;
    x->layers.call = &made->call;
    ext_auth_start(&made->call, &p->config, &x->request, &x->worker->upstreams, &x->arena);
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

/* Its answer is the client's, but for what belongs to the connection it came by. */
static enum step_result ext_auth_relay(struct exchange *x, const struct ext_auth_call *e)
{
    const struct http_response *answer = &e->attempt.response;
    struct http_response *r = &x->response;

    *r = (struct http_response){.status = answer->status,
                                .minor_version = 1,
                                .is_keep_alive = true,
                                .reason = answer->reason};
    http_headers_init(&r->headers, &x->arena);
    for (uint16_t i = 0; i < answer->headers.n; i++) {
        if (!header_is_framing(answer->headers.items[i].id))
            http_headers_add(&r->headers, answer->headers.items[i].name,
                             answer->headers.items[i].value);
    }
    x->local_body = e->body;
    if (answer->status != 304) {
        r->body = HTTP_BODY_LENGTH;
        r->content_length = e->body.len;
        r->has_content_length = true;
    }
    x->is_local = true;
    return exchange_refuse(x, REFUSAL_EXT_AUTH_DENIED);
}

static enum step_result ext_auth_fail(struct exchange *x, const struct ext_auth_plan *p,
                                      const struct ext_auth_call *e)
{
    if (p->fails_open) {
        ext_auth_count(x, p, "failed_open");
        return STEP_NEXT;
    }
    ext_auth_count(x, p, "failed");
    x->refusal_detail =
        arena_printf(&x->arena, "%.*s: %s", STR_ARG(p->policy), e->why ? e->why : "");
    x->refusal_status = p->status_on_error;
    return exchange_refuse(x, REFUSAL_EXT_AUTH_FAILED);
}

static enum step_result ext_auth_conclude(struct exchange *x, const struct ext_auth_plan *p,
                                          const struct ext_auth_call *e)
{
    switch (e->verdict) {
    case EXT_AUTH_ALLOWED:
        ext_auth_count(x, p, "allowed");
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
