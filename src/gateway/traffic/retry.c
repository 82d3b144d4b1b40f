/* See retry.h. What is tried again is decided in policy/retry; here is how often, where, when, and
 * with which content. The exchange's try_timer runs the pause: no try is under way then. */
#include "gateway/traffic/retry.h"

#include "base/limits.h"
#include "gateway/ai/ai_answer.h"
#include "gateway/traffic/client_protocol.h"
#include "gateway/traffic/draw.h"
#include "gateway/worker.h"
#include "http/grpc/grpc_status.h"

static const char *const retry_denial_words[] = {
#define X(name, word) word,
    RETRY_DENIALS(X)
#undef X
};

static const struct str retry_succeeded = {"succeeded", 9};
static const struct str retry_failed = {"failed", 6};
static const struct str retry_cancelled = {"cancelled", 9};

/* ---- counting ---- */

static void retry_count(struct exchange *x, const struct backend_plan *b, enum retry_failure reason,
                        struct str outcome)
{
    metric_add(METRICS_SERIES(x->worker->metrics, METRIC_RETRIES, b->name,
                              str_of(retry_failure_words[reason]), outcome),
               1);
}

/* The retry that waits or is under way is over. */
static void retry_settle(struct exchange *x, struct str outcome)
{
    struct retry *r = x->retry;

    if (r->reason == RETRY_NONE)
        return;
    retry_count(x, r->next, r->reason, outcome);
    r->reason = RETRY_NONE;
    breaker_put_retry(&r->next->cluster->backend->breaker);
}

/* Requests under way at a backend, as far as this worker knows its endpoints. */
static uint64_t retry_n_in_flight(struct exchange *x, struct cluster *c)
{
    const struct endpoint_set *set = upstreams_pool(&x->worker->upstreams, c)->endpoints;
    uint64_t n = 0;

    for (uint32_t i = 0; i < set->n; i++)
        n += atomic_load_explicit(&set->items[i].state->n_in_flight, memory_order_relaxed);
    return n;
}

/* A share of the requests that are no retries themselves: else retries would earn retries, and an
 * upstream's load could grow by more than the share. */
static uint32_t retry_limit(struct exchange *x, const struct backend_plan *b)
{
    const struct retry_plan *plan = x->rule->retry;
    uint64_t n_retries = bounded_count_get(&b->cluster->backend->breaker.retries);
    uint64_t n = plan->has_budget ? retry_n_in_flight(x, client_protocol_cluster(x, b)) : 0;

    if (!plan->has_budget)
        return plan->n_parallel;
    n = n > n_retries ? n - n_retries : 0;
    n = n * plan->budget_numerator / plan->budget_denominator;
    return (uint32_t)MIN(MAX(n, (uint64_t)plan->budget_least), (uint64_t)UINT32_MAX);
}

/* ---- judging ---- */

bool retry_is_idempotent(const struct exchange *x)
{
    switch (x->request.method) {
    case HTTP_METHOD_GET:
    case HTTP_METHOD_HEAD:
    case HTTP_METHOD_OPTIONS:
    case HTTP_METHOD_PUT:
    case HTTP_METHOD_DELETE:
        return true;
    default:
        return false;
    }
}

/* A head that is the whole answer of a call says how the call went. */
static int retry_grpc_status(const struct exchange *x)
{
    const struct http_header *told =
        http_headers_find(&x->attempt.response.headers, STR("grpc-status"));

    return x->is_grpc && told ? grpc_status_parse(told->value) : -1;
}

static struct retry_case retry_case_of(const struct exchange *x)
{
    struct retry_case c = {
        .grpc_status = -1, .was_sent = true, .is_idempotent = retry_is_idempotent(x)};

    switch (x->failure) {
    case ATTEMPT_OK:
        c.failure = RETRY_ANSWERED;
        c.status = x->attempt.response.status;
        c.grpc_status = retry_grpc_status(x);
        break;
    case ATTEMPT_CONNECT_FAILED:
    case ATTEMPT_CONNECT_TIMEOUT:
        c.failure = RETRY_NOT_CONNECTED;
        c.was_sent = false;
        break;
    case ATTEMPT_REFUSED:
        c.failure = RETRY_REFUSED;
        break;
    case ATTEMPT_RESET:
    case ATTEMPT_RESET_MIDWAY:
    case ATTEMPT_BAD_ANSWER:
        c.failure = RETRY_RESET;
        break;
    case ATTEMPT_TIMEOUT:
        c.was_sent = x->retry->was_sent;
        c.failure = c.was_sent ? RETRY_TIMED_OUT : RETRY_NOT_CONNECTED;
        break;
    default: /* no rule names it */
        break;
    }
    return c;
}

bool retry_is_named(const struct exchange *x)
{
    struct retry_case c;

    if (!x->retry)
        return false;
    c = retry_case_of(x);
    return retry_rule_applies(&x->rule->retry->rule, &c);
}

bool retry_has_content(const struct exchange *x)
{
    return x->gate.state == GATE_WHOLE || !x->attempt.has_sent_body ||
           (x->retry && x->retry->replay.is_keeping);
}

/* Sets where it would go. A permit is taken when there is nothing else in the way. */
static enum retry_denial retry_deny(struct exchange *x)
{
    const struct retry_plan *plan = x->rule->retry;
    struct retry *r = x->retry;

    if (r->n_begun >= plan->n_retries)
        return RETRY_DENIED_EXHAUSTED;
    if (!retry_has_content(x))
        return RETRY_DENIED_UNREPLAYABLE;
    r->is_to_next_priority = plan->n_tries_per_priority > 0 &&
                             x->n_tries >= plan->n_tries_per_priority &&
                             x->priority + 1 < x->rule->n_priorities;
    if (!r->is_to_next_priority || draw_backend(x, x->priority + 1, &r->next) != REFUSAL_NONE) {
        r->is_to_next_priority = false;
        r->next = draw_again(x, x->priority);
    }
    return breaker_take_retry(&r->next->cluster->backend->breaker, retry_limit(x, r->next))
               ? RETRY_DENIED_NONE
               : RETRY_DENIED_OVERFLOW;
}

/* ---- waiting ---- */

static void retry_on_pause_over(struct timer *t)
{
    exchange_resume(CONTAINER_OF(t, struct exchange, try_timer));
}

/* What has failed is over. An answer whose request was complete is read to its end, if it has one
 * soon, and nobody sees it. */
static void retry_give_up(struct exchange *x)
{
    struct attempt *a = &x->attempt;

    if (x->failure == ATTEMPT_OK)
        x->failure = ATTEMPT_ERROR_ANSWER;
    if (!a->has_head || !a->is_request_done || a->is_raw)
        attempt_cancel(a);
    ai_answer_drop(x);
}

bool retry_wait(struct exchange *x)
{
    struct retry *r = x->retry;
    struct loop *l = &x->worker->loop;
    const struct retry_plan *plan = x->rule->retry;
    struct retry_case c;
    uint64_t bound_us;
    bool is_named;

    if (!r || r->is_judged)
        return false;
    r->is_judged = true;
    c = retry_case_of(x);
    is_named = retry_rule_applies(&plan->rule, &c);
    retry_settle(x, is_named || x->failure != ATTEMPT_OK ? retry_failed : retry_succeeded);
    if (!is_named)
        return false;
    r->denial = retry_deny(x);
    if (r->denial != RETRY_DENIED_NONE) {
        retry_count(x, x->backend, c.failure, str_of(retry_denial_words[r->denial]));
        return false;
    }
    bound_us = back_off_bound(&plan->back_off, r->n_begun++);
    r->reason = c.failure;
    r->is_waiting = true;
    r->n_discarded = 0;
    retry_give_up(x);
    x->try_timer.fn = retry_on_pause_over;
    timer_set(l, &x->try_timer,
              l->now.mono_us + back_off_draw(plan->least_pause_us, plan->least_pause_us + bound_us,
                                             random_u64(&x->worker->random)));
    x->wait = WAIT_BACK_OFF;
    return true;
}

bool retry_is_due(const struct exchange *x)
{
    return x->retry && x->retry->is_waiting;
}

bool retry_discards(struct exchange *x, size_t n_bytes)
{
    struct retry *r = x->retry;

    if (!r || !r->is_waiting)
        return false;
    r->n_discarded += n_bytes;
    if (r->n_discarded > LIMIT_PIPE_HIGH_BYTES)
        attempt_cancel(&x->attempt);
    return true;
}

/* ---- beginning and end ---- */

void retry_open(struct exchange *x)
{
    struct retry *r;

    if (!x->rule->retry)
        return;
    r = ARENA_NEW(&x->arena, struct retry);
    /* The gate has its own copy of an AI request's content, or has let go of it as it came. */
    r->replay.is_keeping =
        !x->gate.scan && !x->gate.form && x->request.body != HTTP_BODY_NONE &&
        !(x->request.body == HTTP_BODY_LENGTH && x->request.content_length > LIMIT_REPLAY_BYTES);
    x->retry = r;
}

void retry_on_try(struct exchange *x)
{
    struct retry *r = x->retry;

    if (!r)
        return;
    r->is_waiting = r->is_judged = r->was_sent = false;
    r->denial = RETRY_DENIED_NONE;
    r->replay.is_due = r->replay.kept.len > 0;
}

void retry_close(struct exchange *x)
{
    struct retry *r = x->retry;

    if (!r)
        return;
    retry_settle(x, retry_cancelled);
    r->is_waiting = false;
    replay_drop(&r->replay, &x->worker->held_bodies);
}
