/* upstream: which endpoint? Answers that need no backend end here (redirect, direct response, the
 * list of models); else a backend is drawn by priority, weight and health, the request is sent,
 * and the step waits for the head of the answer. Another try at a priority is made only where
 * nothing can have been processed: the connection failed, the backend refused the stream, or a
 * pooled one turned out to be closed under a request that may be repeated (RFC 9110 9.2.2) and has
 * no content. What fails for good,
 * before any content of an answer, goes to the next priority where an AIGatewayRoute has one: that
 * is what it is there for (decision 11). */
#include "base/assert.h"
#include "gateway/ai/ai_answer.h"
#include "gateway/ai/ai_request.h"
#include "gateway/ai/model_list.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/forward.h"
#include "gateway/mirror.h"
#include "gateway/traffic/priorities.h"
#include "gateway/worker.h"
#include "upstream/health/outlier.h"

enum { UPSTREAM_TRIES = 3 };

static enum refusal upstream_refusal(enum attempt_failure why)
{
    static const enum refusal map[] = {
        [ATTEMPT_OK] = REFUSAL_INTERNAL,
        [ATTEMPT_NO_ENDPOINT] = REFUSAL_NO_ENDPOINT,
        [ATTEMPT_CONNECT_FAILED] = REFUSAL_UPSTREAM_CONNECT,
        [ATTEMPT_CONNECT_TIMEOUT] = REFUSAL_UPSTREAM_CONNECT_TIMEOUT,
        [ATTEMPT_NO_UPGRADE] = REFUSAL_UPSTREAM_UPGRADE,
        [ATTEMPT_REFUSED] = REFUSAL_UPSTREAM_RESET,
        [ATTEMPT_RESET] = REFUSAL_UPSTREAM_RESET,
        [ATTEMPT_RESET_MIDWAY] = REFUSAL_UPSTREAM_RESET,
        [ATTEMPT_OVERFLOW] = REFUSAL_UPSTREAM_OVERFLOW,
        [ATTEMPT_BAD_ANSWER] = REFUSAL_UPSTREAM_BAD_ANSWER,
        [ATTEMPT_TIMEOUT] = REFUSAL_UPSTREAM_TIMEOUT,
        [ATTEMPT_ERROR_ANSWER] = REFUSAL_UPSTREAM_BAD_ANSWER,
    };

    return map[why];
}

/* The body is whole here, or there is none: it can be sent once more, elsewhere. */
static bool upstream_has_next_priority(const struct exchange *x)
{
    return x->rule->is_ai && x->priority + 1 < x->rule->n_priorities && !x->is_head_sent &&
           (x->gate.state == GATE_WHOLE || !x->attempt.has_sent_body);
}

static void upstream_on_try_timeout(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, try_timer);

    outlier_note_timeout(&x->attempt);
    if (!upstream_has_next_priority(x)) {
        exchange_cancel(x, CANCEL_REQUEST_TIMEOUT);
        return;
    }
    attempt_cancel(&x->attempt);
    x->failure = ATTEMPT_TIMEOUT;
    exchange_resume(x);
}

/* The time of one attempt with its whole answer: the route's, else that of the older form of the
 * AIServiceBackend, whose total is a total of its own attempt. */
static void upstream_arm_try(struct exchange *x)
{
    struct loop *l = &x->worker->loop;
    const struct ai_backend_plan *ai = x->backend->ai;
    uint64_t try_us = x->rule->backend_request_us;

    if (ai && try_us == 0)
        try_us = ai->backend_request_us ? ai->backend_request_us : ai->request_us;
    if (try_us) {
        x->try_timer.fn = upstream_on_try_timeout;
        timer_set(l, &x->try_timer, l->now.mono_us + try_us);
    } else {
        timer_cancel(l, &x->try_timer);
    }
}

static bool upstream_may_repeat(const struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    bool is_idempotent =
        x->request.method == HTTP_METHOD_GET || x->request.method == HTTP_METHOD_HEAD ||
        x->request.method == HTTP_METHOD_OPTIONS || x->request.method == HTTP_METHOD_PUT ||
        x->request.method == HTTP_METHOD_DELETE;

    if (x->n_tries >= UPSTREAM_TRIES || a->has_head)
        return false;
    /* The backend says that it has not looked at it (RFC 9113 8.7). */
    if (x->failure == ATTEMPT_REFUSED && x->gate.state == GATE_WHOLE)
        return true;
    if (a->has_sent_body)
        return false;
    if (x->failure == ATTEMPT_REFUSED)
        return true;
    if (x->failure == ATTEMPT_CONNECT_FAILED)
        return true;
    return x->failure == ATTEMPT_RESET && a->was_reused && is_idempotent &&
           x->request.body == HTTP_BODY_NONE;
}

/* REFUSAL_NONE: under way. */
static enum refusal upstream_try(struct exchange *x)
{
    struct http_request *request = ARENA_NEW(&x->arena, struct http_request);
    enum refusal why = forward_prepare(x, x->backend, request);
    int r;

    if (why != REFUSAL_NONE)
        return why;
    if (x->n_attempts == 0 && x->rule->n_mirrors > 0)
        mirror_begin(x, request);
    why = forward_prepare_backend(x, x->backend, request);
    if (why != REFUSAL_NONE)
        return why;
    /* Some connections fail at once: then the next try is due here. */
    do {
        if (x->n_tries > 0)
            worker_count_attempt(x);
        x->n_attempts++;
        x->n_tries++;
        upstream_arm_try(x);
        x->attempt.idle_us = x->rule->connection_idle_us;
        x->attempt.limits = x->rule->breaker;
        x->attempt.tenant = x->tenant;
        x->upstream_us = x->worker->loop.now.mono_us;
        x->first_byte_us = 0;
        r = attempt_start(&x->attempt, x->backend->cluster, request, x->rule->connect_us);
        x->failure = (enum attempt_failure)r;
        x->attempt.is_fresh_wanted |= r != 0;
    } while (r != 0 && upstream_may_repeat(x));
    return r == 0 ? REFUSAL_NONE : upstream_refusal(x->failure);
}

/* A backend of the priority under way. */
static enum refusal upstream_draw(struct exchange *x)
{
    const struct rule_plan *rule = x->rule;
    int32_t chosen;

    if (rule->n_priorities == 0)
        return REFUSAL_NO_BACKEND;
    chosen = priorities_draw(x, x->priority);
    if (chosen < 0)
        return REFUSAL_NO_BACKEND;
    x->backend = &rule->backends[rule->priorities[x->priority].first + (uint32_t)chosen];
    if (x->backend->validity == BACKEND_NOT_ENFORCED)
        return REFUSAL_SECURITY_UNAVAILABLE;
    if (x->backend->validity == BACKEND_UNSUPPORTED) {
        x->refusal_message = STR("The backend is of a kind that is not supported.");
        return REFUSAL_UNSUPPORTED_ENDPOINT;
    }
    return x->backend->validity == BACKEND_VALID ? REFUSAL_NONE : REFUSAL_NO_BACKEND;
}

/* On to the next priority, and so on until one is under way. */
static enum step_result upstream_fall_back(struct exchange *x, enum refusal why)
{
    while (why != REFUSAL_NONE && upstream_has_next_priority(x)) {
        if (x->n_tries > 0)
            worker_count_attempt(x);
        priorities_next(x);
        x->n_tries = 0;
        x->first_byte_us = 0;
        x->failure = ATTEMPT_OK;
        x->attempt.is_fresh_wanted = false;
        x->refusal_message = x->refusal_param = STR("");
        x->is_answer_complete = false;
        x->response_trailers.n = 0;
        attempt_cancel(&x->attempt);
        ai_answer_drop(x);
        why = upstream_draw(x);
        if (why == REFUSAL_NONE)
            why = upstream_try(x);
    }
    if (why != REFUSAL_NONE)
        return exchange_refuse(x, why);
    x->wait = WAIT_UPSTREAM;
    exchange_pump_request(x);
    return STEP_WAIT;
}

static enum step_result upstream_begin(struct exchange *x)
{
    const struct rule_plan *rule = x->rule;
    enum refusal why;

    if (rule->redirect)
        return answer_redirect(x, rule->redirect);
    if (rule->has_direct_response)
        return answer_direct(x, rule);
    if (x->is_model_list)
        return model_list_answer(x);
    priorities_begin(x);
    why = upstream_draw(x);
    if (why == REFUSAL_NONE && x->request.expects_continue && x->downstream)
        x->downstream->ops->send_continue(x->downstream);
    if (why == REFUSAL_NONE)
        why = upstream_try(x);
    return upstream_fall_back(x, why);
}

enum step_result step_upstream(struct exchange *x)
{
    if (x->n_attempts == 0)
        return upstream_begin(x);
    if (x->failure == ATTEMPT_OK) {
        ASSERT(x->attempt.has_head);
        bool has_next = x->is_ai && upstream_has_next_priority(x);

        if (!has_next || !ai_answer_has_failed(x))
            return ai_answer_hold(x, has_next) ? STEP_WAIT : STEP_NEXT;
        x->failure = ATTEMPT_ERROR_ANSWER;
    } else if (upstream_may_repeat(x)) {
        x->attempt.is_fresh_wanted = true;
        return upstream_fall_back(x, upstream_try(x));
    }
    return upstream_fall_back(x, upstream_refusal(x->failure));
}
