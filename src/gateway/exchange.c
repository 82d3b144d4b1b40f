/* The runner: the one place that advances an exchange through the journey, and its two entrances. A
 * step that waits is run again when it is resumed; it finds in the exchange what has come
 * meanwhile. An exchange is never freed in its own callback: it goes back to the worker's store at
 * the end of the loop turn. */
#include "gateway/exchange.h"

#include "gateway/ai/ai_answer.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/rehearsal.h"
#include "gateway/snapshot.h"
#include "gateway/traffic/compress.h"
#include "gateway/traffic/keep_alive.h"
#include "gateway/traffic/retry.h"
#include "gateway/worker.h"
#include "upstream/health/outlier.h"

/* One chunk has room for an AI request with its scans; what a plain one does not touch costs no
 * memory. */
enum { EXCHANGE_ARENA_BYTES = 16 * 1024 - 64, EXCHANGE_TAIL_BYTES = 1024, EXCHANGES_KEPT = 64 };

const struct journey_row journey_rows[] = {
#define X(name, may_wait, always, question) {#name, step_##name, may_wait, always, question},
    JOURNEY(X)
#undef X
};

struct exchange *exchange_new(struct worker *w, struct downstream *d)
{
    struct exchange *x;

    if (w->free_exchanges.last) {
        x = CONTAINER_OF(w->free_exchanges.last, struct exchange, node);
        struct arena arena = x->arena;
        struct arena tail = x->tail;

        list_remove(&x->node);
        memset(x, 0, sizeof *x);
        x->arena = arena;
        x->tail = tail;
    } else {
        x = MEM_NEW(struct exchange);
        arena_init(&x->arena, EXCHANGE_ARENA_BYTES);
        arena_init(&x->tail, EXCHANGE_TAIL_BYTES);
    }
    x->worker = w;
    x->downstream = d;
    x->started_us = w->loop.now.mono_us;
    x->started_wall_us = w->loop.now.wall_unix_us;
    list_append(&w->exchanges, &x->node);
    d->exchange = x;
    d->bytes_sent = 0;
    d->bytes_received = 0;
    attempt_init(&x->attempt, &w->upstreams, &exchange_attempt_events, &x->arena);
    x->attempt.tail = &x->tail;
    atomic_store_explicit(&w->n_open_exchanges, (uint32_t)w->exchanges.n_nodes,
                          memory_order_relaxed);
    return x;
}

static void exchange_store(struct exchange *x)
{
    struct worker *w = x->worker;

    arena_reset(&x->arena);
    arena_reset(&x->tail);
    buf_deinit(&x->pipe);
    buf_deinit(&x->edited);
    list_remove(&x->node);
    atomic_store_explicit(&w->n_open_exchanges, (uint32_t)w->exchanges.n_nodes,
                          memory_order_relaxed);
    if (w->free_exchanges.n_nodes < EXCHANGES_KEPT) {
        list_append(&w->free_exchanges, &x->node);
    } else {
        arena_deinit(&x->arena);
        arena_deinit(&x->tail);
        mem_free(x);
    }
}

void exchange_pin(struct exchange *x)
{
    PRE(x->hold && x->rule && !x->is_pinned);
    route_plan_ref(x->rule->route);
    listener_plan_ref(x->listener);
    x->is_pinned = true;
    worker_unhold(x->worker, x->hold);
    x->hold = NULL;
}

void exchange_discard(struct exchange *x)
{
    x->downstream->exchange = NULL;
    exchange_store(x);
}

static void exchange_on_retire(struct deferred *d)
{
    exchange_store(CONTAINER_OF(d, struct exchange, retire));
}

/* After the last step. */
static void exchange_finish(struct exchange *x)
{
    struct downstream *d = x->downstream;

    ASSERT(!x->is_finished);
    x->is_finished = true;
    x->downstream = NULL;
    attempt_cancel(&x->attempt);
    layer_cancel(x);
    body_gate_release(x);
    ai_answer_deinit(x);
    keep_alive_close(x);
    compress_close(x);
    timer_cancel(&x->worker->loop, &x->total_timer);
    if (timer_is_set(&x->life_timer)) /* rare, and this is every request's way */
        timer_cancel(&x->worker->loop, &x->life_timer);
    timer_cancel(&x->worker->loop, &x->try_timer);
    timer_cancel(&x->worker->loop, &x->idle_timer);
    if (d) {
        d->exchange = NULL;
        d->ops->release(d);
    }
    loop_retire(&x->worker->loop, &x->retire, exchange_on_retire);
}

static enum journey_step exchange_first_always(enum journey_step from)
{
    while (from < JOURNEY_END && !journey_rows[from].always_runs)
        from++;
    return from;
}

static void exchange_run(struct exchange *x)
{
    ASSERT(!x->is_running && !x->is_finished && x->wait == 0);
    x->is_running = true;
    while (x->step < JOURNEY_END) {
        const struct journey_row *row = &journey_rows[x->step];
        enum step_result result = row->run(x);

        x->step_us[x->step] = x->worker->loop.now.mono_us;
        if (UNLIKELY(x->rehearsal) && x->step != JOURNEY_log)
            x->rehearsal->ops->on_step(x->rehearsal, x, result);
        if (result == STEP_WAIT) {
            ASSERT(row->may_wait && x->wait != 0);
            break;
        }
        ASSERT(result != STEP_LAST || x->refusal != REFUSAL_NONE || x->is_local);
        x->step = result == STEP_LAST ? exchange_first_always(x->step + 1) : x->step + 1;
    }
    x->is_running = false;
    if (x->step == JOURNEY_END)
        exchange_finish(x);
}

void exchange_start(struct exchange *x)
{
    PRE(x->step == 0);
    if (x->request.body == HTTP_BODY_NONE)
        x->received_us = x->worker->loop.now.mono_us;
    exchange_run(x);
}

void exchange_resume(struct exchange *x)
{
    if (x->is_finished || x->is_running || x->wait == 0)
        return;
    x->wait = 0;
    exchange_run(x);
}

static enum refusal exchange_cancel_refusal(const struct exchange *x, enum exchange_cancel why)
{
    switch (why) {
    case CANCEL_STREAM_TIME:
        /* A stream both ways is open at both ends, and nobody is late. */
        return x->is_body_complete || x->is_grpc ? REFUSAL_STREAM_DURATION
                                                 : REFUSAL_REQUEST_TIMEOUT;
    case CANCEL_REQUEST_TIMEOUT:
    case CANCEL_IDLE_TIMEOUT:
        return REFUSAL_UPSTREAM_TIMEOUT;
    case CANCEL_BODY_TIMEOUT:
        return REFUSAL_REQUEST_TIMEOUT;
    case CANCEL_BAD_BODY:
        return REFUSAL_BAD_CHUNK;
    case CANCEL_DRAIN:
        return REFUSAL_DRAINING;
    case CANCEL_CLIENT_LEFT:
    case CANCEL_NONE:
        break;
    }
    return REFUSAL_NONE;
}

void exchange_cancel(struct exchange *x, enum exchange_cancel why)
{
    struct downstream *d = x->downstream;

    if (x->is_finished)
        return;
    ASSERT(!x->is_running);
    x->cancel = why;
    x->wait = 0;
    attempt_cancel(&x->attempt);
    retry_close(x); /* its place may be another's before this client is told */
    layer_cancel(x);
    if (x->refusal == REFUSAL_NONE)
        x->refusal = exchange_cancel_refusal(x, why);
    if (why == CANCEL_CLIENT_LEFT && d) {
        x->bytes_sent = d->bytes_sent;
        x->bytes_received = d->bytes_received;
        x->downstream = NULL;
        d->exchange = NULL;
    }
    if (x->step == JOURNEY_respond)
        x->is_answer_broken = true; /* the step runs again and cuts the answer off */
    else
        x->step = exchange_first_always(x->step);
    exchange_run(x);
}

static void exchange_on_total(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, total_timer);

    /* A caller's own deadline says nothing of the endpoint: it would eject whom it liked. */
    if (!x->has_grpc_timeout)
        outlier_note_timeout(&x->attempt);
    exchange_cancel(x, CANCEL_REQUEST_TIMEOUT);
}

bool exchange_arm_total(struct exchange *x)
{
    const struct rule_plan *rule = x->rule;
    struct loop *l = &x->worker->loop;
    uint64_t total_us = rule->request_us ? rule->request_us : rule->policy_request_us;

    /* The caller may ask for less than the route, never for more. */
    if (x->has_grpc_timeout && (total_us == 0 || x->grpc_timeout_us < total_us))
        total_us = x->grpc_timeout_us;
    else if (total_us == 0)
        return true;
    x->total_timer.fn = exchange_on_total;
    timer_set(l, &x->total_timer, x->started_us + total_us);
    return x->started_us + total_us > l->now.mono_us;
}

static void exchange_on_life(struct timer *t)
{
    exchange_cancel(CONTAINER_OF(t, struct exchange, life_timer), CANCEL_STREAM_TIME);
}

void exchange_bound_life(struct exchange *x, uint64_t end_us)
{
    if (timer_is_set(&x->life_timer) && x->life_timer.due_us <= end_us)
        return;
    x->life_timer.fn = exchange_on_life;
    timer_set(&x->worker->loop, &x->life_timer, end_us);
}

uint64_t exchange_silence_us(const struct exchange *x, uint64_t usual_us)
{
    if (!x->is_grpc || !x->rule)
        return usual_us;
    if (x->is_head_sent || x->rule->stream_idle_us == 0)
        return EXCHANGE_NEVER_US;
    return x->rule->stream_idle_us;
}

struct verdict *exchange_verdict(struct exchange *x, uint32_t auth_group)
{
    VEC_FOREACH (&x->verdicts, v) {
        if (v->auth_group == auth_group)
            return v;
    }
    return NULL;
}

enum refusal exchange_no_route(const struct exchange *x)
{
    return x->is_ai ? REFUSAL_MODEL_NOT_FOUND : REFUSAL_NO_ROUTE;
}

enum step_result exchange_refuse(struct exchange *x, enum refusal why)
{
    PRE(why != REFUSAL_NONE);
    x->refusal = why;
    return STEP_LAST;
}

enum step_result exchange_answer(struct exchange *x)
{
    x->is_local = true;
    return STEP_LAST;
}

enum step_result exchange_fail(struct exchange *x, int error)
{
    log_error("request failed in step %s: %s", journey_rows[x->step].name, error_trace());
    x->refusal_detail = arena_printf(&x->arena, "internal error %d", error);
    return exchange_refuse(x, REFUSAL_INTERNAL);
}
