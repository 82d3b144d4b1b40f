/* upstream: which endpoint? Answers that need no backend end here (redirect, direct response, the
 * list of models); else a backend is drawn by priority, weight and health, the request is sent, and
 * the step waits for the head of the answer. Without a policy another try at a priority is made
 * only where nothing can have been processed: the connection failed, the backend refused the
 * stream, or a pooled one turned out to be closed under a request that may be repeated (RFC 9110
 * 9.2.2) and has no content. A policy's further tries come first (traffic/retry.h). What fails for
 * good, before any content of an answer, goes to the next priority where an AIGatewayRoute has one:
 * that is what it is there for (decision 11). */
#include "base/assert.h"
#include "gateway/ai/ai_answer.h"
#include "gateway/ai/ai_request.h"
#include "gateway/ai/model_list.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/forward.h"
#include "gateway/mirror.h"
#include "gateway/rehearsal.h"
#include "gateway/trace/trace.h"
#include "gateway/traffic/affinity.h"
#include "gateway/traffic/client_protocol.h"
#include "gateway/traffic/draw.h"
#include "gateway/traffic/priorities.h"
#include "gateway/traffic/proxied.h"
#include "gateway/traffic/request_buffer.h"
#include "gateway/traffic/retry.h"
#include "gateway/traffic/stream_time.h"
#include "gateway/traffic/upgrade.h"
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
        [ATTEMPT_NO_ROOM] = REFUSAL_UPSTREAM_ROOM,
        [ATTEMPT_BAD_ANSWER] = REFUSAL_UPSTREAM_BAD_ANSWER,
        [ATTEMPT_TIMEOUT] = REFUSAL_UPSTREAM_TIMEOUT,
        [ATTEMPT_ERROR_ANSWER] = REFUSAL_UPSTREAM_BAD_ANSWER,
    };

    return map[why];
}

static bool upstream_has_next_priority(const struct exchange *x)
{
    return x->rule->is_ai && x->priority + 1 < x->rule->n_priorities && !x->is_head_sent &&
           retry_has_content(x);
}

/* ---- one try ---- */

/* Of one try with its whole answer: the route's, else that of the older form of the
 * AIServiceBackend, whose total is a total of its own attempt. 0: none. */
static uint64_t upstream_whole_us(const struct exchange *x)
{
    const struct ai_backend_plan *ai = x->backend->ai;

    if (!ai || x->rule->backend_request_us)
        return x->rule->backend_request_us;
    return ai->backend_request_us ? ai->backend_request_us : ai->request_us;
}

/* Until its head, where a policy for further tries says so: of both the sooner one. */
static uint64_t upstream_try_us(const struct exchange *x)
{
    uint64_t whole_us = upstream_whole_us(x);
    uint64_t head_us = x->rule->retry ? x->rule->retry->try_us : 0;

    return head_us && (head_us < whole_us || whole_us == 0) ? head_us : whole_us;
}

/* The head has come in time: only the whole answer's time counts from now on, also while the answer
 * is held. */
static bool upstream_has_more_time(struct exchange *x)
{
    uint64_t whole_us = upstream_whole_us(x);
    struct loop *l = &x->worker->loop;

    if (!x->attempt.has_head && !x->is_head_sent)
        return false;
    if (whole_us == 0)
        return true;
    if (l->now.mono_us >= x->upstream_us + whole_us)
        return false;
    timer_set(l, &x->try_timer, x->upstream_us + whole_us);
    return true;
}

static void upstream_on_try_timeout(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, try_timer);

    if (upstream_has_more_time(x))
        return;
    if (x->is_head_sent) {
        exchange_cancel(x, CANCEL_REQUEST_TIMEOUT);
        return;
    }
    outlier_note_timeout(&x->attempt);
    if (!x->retry && !upstream_has_next_priority(x)) {
        exchange_cancel(x, CANCEL_REQUEST_TIMEOUT);
        return;
    }
    if (x->retry)
        x->retry->was_sent = x->attempt.state == ATTEMPT_STREAMING;
    attempt_cancel(&x->attempt);
    x->failure = ATTEMPT_TIMEOUT;
    exchange_resume(x);
}

static void upstream_arm_try(struct exchange *x)
{
    struct loop *l = &x->worker->loop;
    uint64_t try_us = upstream_try_us(x);

    if (try_us) {
        x->try_timer.fn = upstream_on_try_timeout;
        timer_set(l, &x->try_timer, l->now.mono_us + try_us);
    } else {
        timer_cancel(l, &x->try_timer);
    }
}

/* At once, and without any policy: nothing can have been processed. What a policy names is left to
 * it, but for a pooled connection that the backend had closed meanwhile. */
static bool upstream_may_repeat(const struct exchange *x)
{
    const struct attempt *a = &x->attempt;

    if (x->n_tries >= UPSTREAM_TRIES || a->has_head)
        return false;
    if (x->failure == ATTEMPT_RESET)
        return a->was_reused && !a->has_sent_body && retry_is_idempotent(x) &&
               x->request.body == HTTP_BODY_NONE;
    if (retry_is_named(x))
        return false;
    /* The backend says that it has not looked at it (RFC 9113 8.7). */
    if (x->failure == ATTEMPT_REFUSED)
        return retry_has_content(x);
    return x->failure == ATTEMPT_CONNECT_FAILED && !a->has_sent_body;
}

static void upstream_count_try(struct exchange *x)
{
    worker_count_attempt(x);
    if (UNLIKELY(x->trace))
        trace_end_attempt(x);
    x->first_byte_us = x->answered_us = 0;
    x->failure = ATTEMPT_OK;
}

/* What the rule says of its tries. */
static void upstream_set_attempt(struct exchange *x)
{
    x->attempt.idle_us = x->rule->connection_idle_us;
    x->attempt.limits = x->rule->breaker;
    x->attempt.tenant = x->tenant;
    x->attempt.pick = x->rule->pick;
    x->attempt.has_key = affinity_is_known(x->affinity);
    x->attempt.key = x->attempt.has_key ? x->affinity->key : 0;
}

/* Of a request that is explained: as far as it would come. */
static enum refusal upstream_foresee(struct exchange *x, struct cluster *cluster,
                                     const struct http_request *request)
{
    upstream_set_attempt(x);
    x->failure = (enum attempt_failure)attempt_foresee(&x->attempt, cluster);
    if (x->failure != ATTEMPT_OK)
        return upstream_refusal(x->failure);
    x->rehearsal->sent = request;
    return REFUSAL_NONE;
}

/* REFUSAL_NONE: under way. */
static enum refusal upstream_try(struct exchange *x)
{
    struct http_request *request = ARENA_NEW(&x->arena, struct http_request);
    struct cluster *cluster = client_protocol_cluster(x, x->backend);
    enum refusal why = forward_prepare(x, x->backend, request);
    int r;

    if (why != REFUSAL_NONE)
        return why;
    if (x->n_attempts == 0 && x->rule->n_mirrors > 0 && !x->rehearsal)
        mirror_begin(x, request);
    why = forward_prepare_backend(x, x->backend, request);
    if (why != REFUSAL_NONE)
        return why;
    if (UNLIKELY(x->listener->client.tells_envoy))
        forward_tell_backend(x, upstream_try_us(x), request);
    if (UNLIKELY(x->rehearsal))
        return upstream_foresee(x, cluster, request);
    /* Some connections fail at once: then the next try is due here. */
    for (;;) {
        x->n_attempts++;
        x->n_tries++;
        upstream_arm_try(x);
        retry_on_try(x);
        upstream_set_attempt(x);
        x->upstream_us = x->worker->loop.now.mono_us;
        x->first_byte_us = 0;
        if (x->rule->stream_us)
            stream_time_on_try(x);
        if (UNLIKELY(x->trace))
            trace_begin_attempt(x, request);
        if (UNLIKELY(cluster->transport.proxy))
            x->attempt.proxy_header = proxied_header(x, cluster->transport.proxy, &x->arena);
        r = attempt_start(&x->attempt, cluster, request, x->rule->connect_us);
        x->failure = (enum attempt_failure)r;
        x->attempt.is_fresh_wanted |= r != 0;
        if (r == 0 || !upstream_may_repeat(x))
            break;
        upstream_count_try(x);
    }
    return r == 0 ? REFUSAL_NONE : upstream_refusal(x->failure);
}

/* ---- from one to the next ---- */

static enum refusal upstream_draw(struct exchange *x)
{
    const struct backend_plan *drawn;
    enum refusal why = draw_backend(x, x->priority, &drawn);

    if (drawn)
        x->backend = drawn;
    if (why == REFUSAL_UNSUPPORTED_ENDPOINT)
        x->refusal_message = STR("The backend is of a kind that is not supported.");
    x->refusal_detail = why == REFUSAL_SECURITY_UNAVAILABLE
                            ? STR("a security policy of the backend is not enforced")
                            : STR("");
    return why;
}

/* Nothing of the try before is left, as if the next one were the first. */
static void upstream_leave(struct exchange *x)
{
    if (x->n_tries > 0)
        upstream_count_try(x);
    x->first_byte_us = x->answered_us = 0;
    x->failure = ATTEMPT_OK;
    x->refusal_message = x->refusal_param = STR("");
    x->is_answer_complete = false;
    x->response_trailers.n = 0;
    attempt_cancel(&x->attempt);
    x->attempt.has_head = x->attempt.has_sent_body = false;
    ai_answer_drop(x);
}

/* x->priority is then the next one's. */
static void upstream_leave_priority(struct exchange *x)
{
    upstream_leave(x);
    x->n_tries = 0;
    x->attempt.is_fresh_wanted = false;
}

/* The pause before it is over. */
static enum refusal upstream_retry(struct exchange *x)
{
    struct retry *r = x->retry;
    bool was_answered = x->failure == ATTEMPT_ERROR_ANSWER;

    if (r->is_to_next_priority) {
        upstream_leave_priority(x);
        x->priority++; /* where it was drawn */
    } else {
        upstream_leave(x);
        /* Elsewhere if there is another endpoint; there is nothing wrong with pooled connections
         * where the one before had an answer. */
        x->attempt.is_fresh_wanted = true;
        x->attempt.was_refused |= was_answered;
    }
    x->backend = r->next;
    return upstream_try(x);
}

/* A try is under way, or has failed at once: then after a pause, or at the next priority, and so
 * on until one is under way or nothing is left. */
static enum step_result upstream_go_on(struct exchange *x, enum refusal why)
{
    while (why != REFUSAL_NONE) {
        if (x->failure != ATTEMPT_OK && LIKELY(!x->rehearsal) && retry_wait(x))
            return STEP_WAIT;
        if (!upstream_has_next_priority(x))
            return exchange_refuse(x, why);
        upstream_leave_priority(x);
        priorities_next(x);
        why = upstream_draw(x);
        if (why == REFUSAL_NONE)
            why = upstream_try(x);
    }
    x->wait = WAIT_UPSTREAM;
    exchange_pump_request(x);
    return STEP_WAIT;
}

static enum step_result upstream_begin(struct exchange *x)
{
    const struct rule_plan *rule = x->rule;
    bool is_local = rule->redirect || rule->direct || x->is_model_list;
    enum step_result held = is_local ? STEP_NEXT : request_buffer_run(x);
    enum refusal why;

    if (held != STEP_NEXT)
        return held;
    if (rule->upgrades && !is_local && upgrade_judge(x) != REFUSAL_NONE)
        return exchange_refuse(x, REFUSAL_UPGRADE);
    if (fault_delays(x))
        return STEP_WAIT;
    if (fault_aborts(x))
        return exchange_refuse(x, REFUSAL_FAULT);
    if (rule->redirect)
        return answer_redirect(x, rule->redirect);
    if (rule->direct)
        return answer_direct(x, rule->direct, rule->direct->status);
    if (x->is_model_list)
        return model_list_answer(x);
    affinity_begin(x);
    priorities_begin(x);
    retry_open(x);
    why = upstream_draw(x);
    if (why == REFUSAL_NONE && x->request.expects_continue && x->downstream)
        x->downstream->ops->send_continue(x->downstream);
    if (why == REFUSAL_NONE)
        why = upstream_try(x);
    return upstream_go_on(x, why);
}

/* The head of an answer is there. */
static enum step_result upstream_judge(struct exchange *x)
{
    bool has_next;

    ASSERT(x->attempt.has_head);
    if (UNLIKELY(x->retry) && retry_wait(x))
        return STEP_WAIT;
    has_next = x->is_ai && upstream_has_next_priority(x);
    if (has_next && ai_answer_has_failed(x)) {
        x->failure = ATTEMPT_ERROR_ANSWER;
        return upstream_go_on(x, upstream_refusal(x->failure));
    }
    if (ai_answer_hold(x, has_next))
        return STEP_WAIT;
    retry_close(x);
    return STEP_NEXT;
}

enum step_result step_upstream(struct exchange *x)
{
    if (x->n_attempts == 0)
        return upstream_begin(x);
    if (retry_is_due(x))
        return upstream_go_on(x, upstream_retry(x));
    if (x->failure == ATTEMPT_OK)
        return upstream_judge(x);
    if (upstream_may_repeat(x)) {
        upstream_count_try(x);
        x->attempt.is_fresh_wanted = true;
        return upstream_go_on(x, upstream_try(x));
    }
    return upstream_go_on(x, upstream_refusal(x->failure));
}
