/* See request_buffer.h. */
#include "gateway/traffic/request_buffer.h"

#include "base/limits.h"
#include "gateway/worker.h"

/* Of what the gate reads: it knows how to hold all of it, and how much of it there may be. */
static enum step_result request_buffer_of_gate(struct exchange *x)
{
    if (x->gate.state == GATE_STREAMING || x->gate.state == GATE_FAILED)
        return body_gate_hold_on(x);
    return x->gate.n_bytes > x->rule->request_buffer_bytes
               ? exchange_refuse(x, REFUSAL_BODY_TOO_LARGE)
               : STEP_NEXT;
}

/* How long it is can be told now; trailers need the chunked form. */
static void request_buffer_tell_length(struct exchange *x)
{
    if (x->request.body != HTTP_BODY_CHUNKED || x->has_trailers)
        return;
    x->request.body = HTTP_BODY_LENGTH;
    x->request.content_length = x->pipe.len;
}

enum step_result request_buffer_run(struct exchange *x)
{
    uint64_t bound = x->rule->request_buffer_bytes;

    if (bound == 0 || x->request.body == HTTP_BODY_NONE)
        return STEP_NEXT;
    if (x->request.body == HTTP_BODY_LENGTH && x->request.content_length > bound)
        return exchange_refuse(x, REFUSAL_BODY_TOO_LARGE);
    if (x->gate.scan || x->gate.form)
        return request_buffer_of_gate(x);
    if (x->pipe.len > bound)
        return exchange_refuse(x, REFUSAL_BODY_TOO_LARGE);
    /* What came before this step ran is not counted yet. */
    if (x->gate.n_counted < x->pipe.len &&
        !held_share_take(&x->worker->held_bodies, LIMIT_HELD_BYTES, x->pipe.len - x->gate.n_counted,
                         &x->gate.n_counted))
        return exchange_refuse(x, REFUSAL_OVERLOADED);
    if (x->is_body_complete) {
        request_buffer_tell_length(x);
        return STEP_NEXT;
    }
    if (x->request.expects_continue && x->downstream) {
        x->downstream->ops->send_continue(x->downstream);
        x->request.expects_continue = false;
    }
    x->wait = WAIT_BUFFER;
    exchange_allow_body(x);
    return STEP_WAIT;
}

void request_buffer_on_body(struct exchange *x, size_t n_bytes)
{
    if (!(x->wait & WAIT_BUFFER))
        return;
    if (x->pipe.len > x->rule->request_buffer_bytes ||
        !held_share_take(&x->worker->held_bodies, LIMIT_HELD_BYTES, n_bytes, &x->gate.n_counted))
        exchange_resume(x); /* which says why not */
}

void request_buffer_on_end(struct exchange *x)
{
    if (x->wait & WAIT_BUFFER)
        exchange_resume(x);
}
