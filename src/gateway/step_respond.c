/* respond: relay the answer, or send the gateway's own. Runs first when there is something to send,
 * and again when the answer is complete or broken. A broken answer is cut off such that the client
 * notices: never a clean end. */
#include "base/assert.h"
#include "gateway/ai/ai_answer.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/forward.h"
#include "gateway/h2/websocket.h"
#include "gateway/traffic/affinity.h"
#include "gateway/traffic/compress.h"
#include "gateway/traffic/keep_alive.h"
#include "gateway/traffic/override.h"
#include "gateway/traffic/stream_time.h"
#include "gateway/traffic/upgrade.h"
#include "gateway/worker.h"
#include "http/grpc/grpc_request.h"

static void respond_on_idle(struct timer *t)
{
    exchange_cancel(CONTAINER_OF(t, struct exchange, idle_timer), CANCEL_IDLE_TIMEOUT);
}

/* Events and streams may last longer than the policy's request timeout: it ends with the first
 * byte. */
static bool respond_is_stream(const struct http_response *r)
{
    const struct http_header *type = http_headers_find_id(&r->headers, HEADER_CONTENT_TYPE);

    return r->status == 101 ||
           (type && (str_starts_with_nocase(type->value, STR("text/event-stream")) ||
                     str_starts_with_nocase(type->value, STR("application/x-ndjson")) ||
                     str_starts_with_nocase(type->value, STR("application/grpc"))));
}

static void respond_set_timers(struct exchange *x)
{
    struct loop *l = &x->worker->loop;

    /* A caller's own deadline bounds the whole of its call. */
    if (x->rule->request_us == 0 && timer_is_set(&x->total_timer) &&
        respond_is_stream(&x->response)) {
        if (x->has_grpc_timeout)
            timer_set(l, &x->total_timer, x->started_us + x->grpc_timeout_us);
        else
            timer_cancel(l, &x->total_timer);
    }
    if (x->rule->stream_us && respond_is_stream(&x->response))
        stream_time_on_stream(x);
    if (x->rule->stream_idle_us) {
        x->idle_timer.fn = respond_on_idle;
        timer_set(l, &x->idle_timer, l->now.mono_us + x->rule->stream_idle_us);
    }
}

static void respond_finish_headers(struct exchange *x)
{
    struct http_headers *h = &x->response.headers;

    /* Redirects and direct responses are the rule's answers too; refusals are not. */
    if (x->refusal == REFUSAL_NONE && x->rule && x->rule->response_mods)
        header_mods_apply(x->rule->response_mods, h);
    if (!x->is_local && x->backend->response_mods)
        header_mods_apply(x->backend->response_mods, h);
    if (!x->is_local && x->affinity)
        affinity_write_cookie(x->affinity, h);
    layer_edit_answer(x, h);
    if (x->limits.is_told)
        limit_write_headers(x, h);
    if (x->cors)
        cors_write_actual(x->cors, &x->request, h);
    if (!http_headers_find_id(h, HEADER_DATE))
        http_headers_add_id(h, HEADER_DATE, worker_date(x->worker));
    if (x->listener && UNLIKELY(x->listener->client.tells_envoy))
        forward_tell_client(x, h);
    if (x->listener && x->listener->client.late_edits)
        header_edits_apply(x->listener->client.late_edits, h);
}

/* The gateway's own answer goes out whole. */
static enum step_result respond_send_local(struct exchange *x)
{
    struct downstream *d = x->downstream;

    if (x->is_grpc)
        answer_as_grpc(x);
    respond_finish_headers(x);
    if (x->request.method == HTTP_METHOD_HEAD)
        x->response.body = HTTP_BODY_NONE;
    x->is_head_sent = true;
    x->head_sent_us = x->worker->loop.now.mono_us;
    d->ops->send_head(d, &x->response);
    if (x->response.body == HTTP_BODY_LENGTH)
        d->ops->send_data(d, x->local_body);
    d->ops->send_end(d, NULL);
    return STEP_NEXT;
}

static enum step_result respond_local(struct exchange *x)
{
    if (!x->is_local)
        answer_refusal(x);
    override_local(x);
    return respond_send_local(x);
}

/* Of an answer of gRPC the end is still to be told: in trailers, which say what went wrong. A cut
 * message before them is no message to the caller. */
static bool respond_may_tell_grpc(const struct exchange *x)
{
    const struct http_header *type =
        http_headers_find_id(&x->response.headers, HEADER_CONTENT_TYPE);

    return x->is_grpc && x->response.body == HTTP_BODY_CHUNKED && type &&
           grpc_content_type_is(type->value);
}

/* The answer is complete, or broken: then such that the client notices. */
static enum step_result respond_end(struct exchange *x)
{
    struct downstream *d = x->downstream;

    if (!x->is_answer_broken && x->answer && !ai_answer_on_end(x)) {
        x->is_answer_broken = true;
        x->refusal = REFUSAL_UPSTREAM_BAD_ANSWER;
    }
    if (x->is_answer_broken) {
        if (x->refusal == REFUSAL_NONE)
            x->refusal = REFUSAL_UPSTREAM_RESET;
        if (respond_may_tell_grpc(x)) {
            answer_grpc_trailers(x);
            d->ops->send_end(d, &x->response_trailers);
            return STEP_NEXT;
        }
        compress_flush(x);
        d->ops->abort(d);
        return STEP_NEXT;
    }
    ASSERT(x->is_answer_complete);
    compress_end(x);
    d->ops->send_end(d, x->response_trailers.n > 0 ? &x->response_trailers : NULL);
    return STEP_NEXT;
}

/* Where one side has no handshake of WebSocket the gateway takes its part. A backend that has made
 * none (its status is what somebody made it say) would read as requests what nobody here judges. */
static bool respond_shake_hands(struct exchange *x)
{
    if (x->rule->upgrades && !upgrade_is_agreed(x, &x->response))
        return false;
    if (x->request.other_upgrade.len > 0)
        return true; /* its handshake is not ours to know */
    if (x->attempt.is_tunnel)
        return x->request.is_tunnel || websocket_agree(&x->request, &x->response);
    if (LIKELY(!x->request.is_tunnel && x->response.status != 101))
        return true;
    return websocket_is_sound(&x->request, &x->response);
}

static enum step_result respond_relay_head(struct exchange *x)
{
    struct downstream *d = x->downstream;
    enum refusal why;

    if (override_backend(x)) {
        attempt_cancel(&x->attempt);
        return respond_send_local(x);
    }
    x->response = x->attempt.response;
    why = ai_answer_finish_head(x);
    if (!respond_shake_hands(x))
        why = REFUSAL_UPSTREAM_BAD_ANSWER;
    if (why != REFUSAL_NONE) {
        x->refusal = why;
        attempt_cancel(&x->attempt);
        return respond_local(x);
    }
    respond_finish_headers(x);
    compress_open(x);
    respond_set_timers(x);
    x->is_head_sent = true;
    x->head_sent_us = x->worker->loop.now.mono_us;
    d->ops->send_head(d, &x->response);
    keep_alive_open(x);
    if (x->answer)
        ai_answer_release(x);
    body_gate_release(x);
    if (x->response.status == 101) {
        x->is_raw = true;
        attempt_set_raw(&x->attempt);
        d->ops->set_raw(d);
    }
    attempt_set_arena(&x->attempt, &x->tail);
    arena_seal(&x->arena);
    if (ai_answer_is_over(x) && !x->is_answer_complete) {
        attempt_cancel(&x->attempt);
        x->is_answer_complete = true;
    }
    if (x->is_answer_complete)
        return respond_end(x); /* it was held until then */
    x->wait = WAIT_ANSWER;
    return STEP_WAIT;
}

enum step_result step_respond(struct exchange *x)
{
    struct downstream *d = x->downstream;

    if (!d)
        return STEP_NEXT; /* the client has left */
    if (!x->is_head_sent) {
        if (x->refusal != REFUSAL_NONE || x->is_local)
            return respond_local(x);
        return respond_relay_head(x);
    }
    return respond_end(x);
}
