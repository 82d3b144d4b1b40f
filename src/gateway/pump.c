/* The two pumps of an exchange. The request pump carries content from the downstream to the
 * attempt, through x->pipe while the upstream is not ready; it starts with the step `upstream` and
 * may outlive it (early answers, upgrades). The response pump carries the answer's content from the
 * attempt to the downstream and belongs to the step `respond`. Each pauses its source when its sink
 * is full: at most LIMIT_PIPE_HIGH_BYTES (less where the listener's policy says so) plus one read
 * are held per direction. */
#include "base/limits.h"
#include "gateway/ai/ai_answer.h"
#include "gateway/exchange.h"
#include "gateway/mirror.h"
#include "gateway/traffic/compress.h"
#include "gateway/traffic/keep_alive.h"
#include "gateway/traffic/request_buffer.h"
#include "gateway/traffic/retry.h"
#include "gateway/worker.h"

void exchange_note_progress(struct exchange *x)
{
    if (timer_is_set(&x->idle_timer))
        timer_set(&x->worker->loop, &x->idle_timer,
                  x->worker->loop.now.mono_us + x->rule->stream_idle_us);
}

void exchange_allow_body(struct exchange *x)
{
    bool is_wanted = x->attempt.state == ATTEMPT_STREAMING
                         ? !attempt_is_full(&x->attempt)
                         : x->pipe.len <= x->listener->client.buffer_bytes;

    /* What this backend gets was made of the pipe as it is: nothing joins it before it is sent. */
    if (x->gate.state == GATE_STREAMING && x->n_attempts > 0 &&
        x->attempt.state != ATTEMPT_STREAMING)
        is_wanted = false;

    is_wanted |= body_gate_wants_more(x) || (x->wait & WAIT_BUFFER);

    /* After an upgrade the bytes have no end that the codec could see. */
    if (x->downstream && (x->is_raw || !x->is_body_complete))
        x->downstream->ops->want_body(x->downstream, is_wanted);
}

/* To the attempt as it comes; kept, where a further one may need it. */
static void pump_send(struct exchange *x, struct str span)
{
    if (x->retry)
        replay_keep(&x->retry->replay, &x->worker->held_bodies, span);
    attempt_send(&x->attempt, span);
}

/* What an attempt before got already. */
static void pump_replay(struct exchange *x)
{
    struct replay *r = &x->retry->replay;

    if (!r->is_due)
        return;
    r->is_due = false;
    attempt_send(&x->attempt, buf_str(&r->kept));
    attempt_flush(&x->attempt);
}

void exchange_on_body(struct exchange *x, struct str span)
{
    if (!body_gate_on_body(x, span))
        return;
    if (x->mirrors.first)
        mirror_on_body(x, span);
    if (x->attempt.state == ATTEMPT_STREAMING && x->pipe.len == 0)
        pump_send(x, span);
    else
        buf_append(&x->pipe, span.ptr, span.len);
    body_gate_after_body(x);
    request_buffer_on_body(x, span.len);
    if (x->is_finished)
        return;
    exchange_note_progress(x);
    exchange_allow_body(x);
}

/* Late headers are nobody's to send in a trailer either. */
static void pump_drop_late_trailers(struct exchange *x)
{
    struct http_headers *t = &x->trailers;
    uint16_t n_kept = 0;

    if (!x->request.wants_spelling)
        t->spelling = NULL; /* kept for another listener of the port */
    for (uint16_t i = 0; x->listener && i < t->n; i++) {
        if (!listener_plan_drops(x->listener, t->items[i].name))
            t->items[n_kept++] = t->items[i];
    }
    t->n = n_kept;
}

void exchange_on_body_end(struct exchange *x, const struct http_headers *trailers)
{
    x->is_body_complete = true;
    x->received_us = x->worker->loop.now.mono_us;
    if (x->mirrors.first)
        mirror_on_body_end(x);
    if (trailers) {
        x->has_trailers = true;
        x->trailers = *trailers;
        pump_drop_late_trailers(x);
    }
    if (x->gate.state == GATE_HOLDING || x->gate.state == GATE_STREAMING) {
        body_gate_on_end(x);
        if (x->is_finished || x->gate.state != GATE_OPEN)
            return; /* what waited for the whole body has gone on with it */
    }
    request_buffer_on_end(x);
    if (x->is_finished)
        return;
    if (x->attempt.state == ATTEMPT_STREAMING && x->pipe.len == 0 && !x->attempt.is_request_done)
        attempt_send_end(&x->attempt, x->has_trailers ? &x->trailers : NULL);
}

void exchange_on_raw_end(struct exchange *x)
{
    if (x->attempt.state == ATTEMPT_STREAMING)
        attempt_shutdown(&x->attempt);
}

void exchange_on_body_flush(struct exchange *x)
{
    attempt_flush(&x->attempt);
}

/* A body that was held and is kept until no attempt can need it any more. */
static void pump_send_kept(struct exchange *x)
{
    struct attempt *a = &x->attempt;

    if (a->is_request_done)
        return;
    attempt_send(a, x->sent_body);
    attempt_send_end(a, NULL);
    attempt_flush(a);
}

void exchange_pump_request(struct exchange *x)
{
    struct attempt *a = &x->attempt;

    if (a->state != ATTEMPT_STREAMING) {
        if (x->gate.state == GATE_STREAMING)
            exchange_allow_body(x);
        return;
    }
    if (x->gate.state == GATE_WHOLE) {
        pump_send_kept(x);
        return;
    }
    if (x->retry)
        pump_replay(x);
    if (a->state == ATTEMPT_STREAMING && x->pipe.len > 0) {
        pump_send(x, x->edited.len > 0 ? buf_str(&x->edited) : buf_str(&x->pipe));
        attempt_flush(a);
        buf_deinit(&x->pipe);
        buf_deinit(&x->edited);
        body_gate_uncount(x);
    }
    if (x->is_body_complete && !a->is_request_done && a->state == ATTEMPT_STREAMING) {
        attempt_send_end(a, x->has_trailers ? &x->trailers : NULL);
        attempt_flush(a);
    }
    exchange_allow_body(x);
}

static struct exchange *pump_exchange(struct attempt *a)
{
    return CONTAINER_OF(a, struct exchange, attempt);
}

static void pump_on_ready(struct attempt *a)
{
    exchange_pump_request(pump_exchange(a));
}

static void pump_on_writable(struct attempt *a)
{
    exchange_allow_body(pump_exchange(a));
}

static void pump_on_head(struct attempt *a)
{
    struct exchange *x = pump_exchange(a);

    x->first_byte_us = x->worker->loop.now.mono_us;
    exchange_resume(x);
}

static void pump_on_data(struct attempt *a, struct str span)
{
    struct exchange *x = pump_exchange(a);
    struct downstream *d = x->downstream;

    if (retry_discards(x, span.len))
        return;
    if (x->answer) {
        ai_answer_on_data(x, span);
        return;
    }
    if (!d || !x->is_head_sent)
        return;
    exchange_note_progress(x);
    compress_send(x, span);
    keep_alive_on_sent(x, span);
    if (d->ops->is_full(d))
        attempt_pause(a);
}

static void pump_on_trailers(struct attempt *a, const struct http_headers *trailers)
{
    struct exchange *x = pump_exchange(a);

    if (!retry_discards(x, 0))
        x->response_trailers = *trailers;
}

static void pump_on_end(struct attempt *a)
{
    struct exchange *x = pump_exchange(a);

    if (retry_discards(x, 0))
        return;
    x->is_answer_complete = true;
    x->answered_us = x->worker->loop.now.mono_us;
    exchange_resume(x);
}

static void pump_on_batch_end(struct attempt *a)
{
    struct exchange *x = pump_exchange(a);
    struct downstream *d = x->downstream;

    if (retry_discards(x, 0))
        return;
    if (x->answer)
        ai_answer_send_made(x);
    if (d)
        compress_flush(x);
    if (x->answer)
        ai_answer_on_flush(x);
}

static void pump_on_fail(struct attempt *a, enum attempt_failure why)
{
    struct exchange *x = pump_exchange(a);

    if (retry_discards(x, 0))
        return;
    x->failure = why;
    x->is_answer_broken = x->is_head_sent;
    exchange_resume(x);
}

void exchange_on_drained(struct exchange *x)
{
    attempt_resume(&x->attempt);
}

const struct attempt_events exchange_attempt_events = {
    .on_ready = pump_on_ready,
    .on_writable = pump_on_writable,
    .on_head = pump_on_head,
    .on_data = pump_on_data,
    .on_trailers = pump_on_trailers,
    .on_end = pump_on_end,
    .on_batch_end = pump_on_batch_end,
    .on_fail = pump_on_fail,
};
