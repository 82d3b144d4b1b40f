/* upstream: which endpoint? Answers that need no backend end here (redirect, direct response); else
 * a backend is drawn by weight, the request is sent, and the step waits for the head of the answer.
 * Another try is made only where nothing can have been processed: the connection failed, or a
 * pooled one turned out to be closed under a request that may be repeated (RFC 9110 9.2.2) and has
 * no content. */
#include "base/assert.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/forward.h"
#include "gateway/mirror.h"
#include "gateway/worker.h"

enum { UPSTREAM_TRIES = 3 };

static enum refusal upstream_refusal(enum attempt_failure why)
{
    static const enum refusal map[] = {
        [ATTEMPT_OK] = REFUSAL_INTERNAL,
        [ATTEMPT_NO_ENDPOINT] = REFUSAL_NO_ENDPOINT,
        [ATTEMPT_CONNECT_FAILED] = REFUSAL_UPSTREAM_CONNECT,
        [ATTEMPT_CONNECT_TIMEOUT] = REFUSAL_UPSTREAM_CONNECT_TIMEOUT,
        [ATTEMPT_RESET] = REFUSAL_UPSTREAM_RESET,
        [ATTEMPT_RESET_MIDWAY] = REFUSAL_UPSTREAM_RESET,
        [ATTEMPT_BAD_ANSWER] = REFUSAL_UPSTREAM_BAD_ANSWER,
    };

    return map[why];
}

static void upstream_on_total_timeout(struct timer *t)
{
    exchange_cancel(CONTAINER_OF(t, struct exchange, total_timer), CANCEL_REQUEST_TIMEOUT);
}

static void upstream_on_try_timeout(struct timer *t)
{
    exchange_cancel(CONTAINER_OF(t, struct exchange, try_timer), CANCEL_REQUEST_TIMEOUT);
}

static void upstream_arm_timers(struct exchange *x)
{
    struct loop *l = &x->worker->loop;
    const struct rule_plan *rule = x->rule;
    uint64_t total_us = rule->request_us ? rule->request_us : rule->policy_request_us;

    if (total_us && !timer_is_set(&x->total_timer)) {
        x->total_timer.fn = upstream_on_total_timeout;
        timer_set(l, &x->total_timer, x->started_us + total_us);
    }
    if (rule->backend_request_us) {
        x->try_timer.fn = upstream_on_try_timeout;
        timer_set(l, &x->try_timer, l->now.mono_us + rule->backend_request_us);
    }
}

static bool upstream_may_repeat(const struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    bool is_idempotent =
        x->request.method == HTTP_METHOD_GET || x->request.method == HTTP_METHOD_HEAD ||
        x->request.method == HTTP_METHOD_OPTIONS || x->request.method == HTTP_METHOD_PUT ||
        x->request.method == HTTP_METHOD_DELETE;

    if (x->n_attempts >= UPSTREAM_TRIES || a->has_sent_body || a->has_head)
        return false;
    if (x->failure == ATTEMPT_CONNECT_FAILED)
        return true;
    return x->failure == ATTEMPT_RESET && a->was_reused && is_idempotent &&
           x->request.body == HTTP_BODY_NONE;
}

static enum step_result upstream_try(struct exchange *x)
{
    struct http_request *request = ARENA_NEW(&x->arena, struct http_request);
    int r;

    if (!forward_prepare(x, x->backend, request))
        return exchange_refuse(x, REFUSAL_REWRITE);
    if (x->n_attempts == 0 && x->rule->n_mirrors > 0)
        mirror_begin(x, request);
    forward_prepare_backend(x, x->backend, request);
    /* Some connections fail at once: then the next try is due here. */
    do {
        x->n_attempts++;
        upstream_arm_timers(x);
        x->attempt.idle_us = x->rule->connection_idle_us;
        x->upstream_us = x->worker->loop.now.mono_us;
        r = attempt_start(&x->attempt, x->backend->cluster, request, x->rule->connect_us);
        x->failure = (enum attempt_failure)r;
        x->attempt.is_fresh_wanted |= r != 0;
    } while (r != 0 && upstream_may_repeat(x));
    if (r != 0)
        return exchange_refuse(x, upstream_refusal(x->failure));
    x->wait = WAIT_UPSTREAM;
    exchange_pump_request(x);
    return STEP_WAIT;
}

static enum step_result upstream_begin(struct exchange *x)
{
    const struct rule_plan *rule = x->rule;
    int32_t chosen;

    if (rule->redirect)
        return answer_redirect(x, rule->redirect);
    if (rule->has_direct_response)
        return answer_direct(x, rule);
    if (rule->is_ai)
        return exchange_refuse(x, REFUSAL_NOT_ENFORCED);
    chosen = rule->n_backends > 0
                 ? weights_pick(&rule->weights, (uint32_t)(random_u64(&x->worker->random) >> 32))
                 : -1;
    if (chosen < 0)
        return exchange_refuse(x, REFUSAL_NO_BACKEND);
    x->backend = &rule->backends[chosen];
    if (x->backend->validity == BACKEND_NOT_ENFORCED)
        return exchange_refuse(x, REFUSAL_SECURITY_UNAVAILABLE);
    if (x->backend->validity != BACKEND_VALID)
        return exchange_refuse(x, REFUSAL_NO_BACKEND);
    if (x->request.expects_continue && x->downstream)
        x->downstream->ops->send_continue(x->downstream);
    return upstream_try(x);
}

enum step_result step_upstream(struct exchange *x)
{
    if (x->n_attempts == 0)
        return upstream_begin(x);
    if (x->failure == ATTEMPT_OK) {
        ASSERT(x->attempt.has_head);
        return STEP_NEXT; /* its time goes on: it is that of the whole answer */
    }
    if (upstream_may_repeat(x)) {
        x->attempt.is_fresh_wanted = true;
        return upstream_try(x);
    }
    return exchange_refuse(x, upstream_refusal(x->failure));
}
