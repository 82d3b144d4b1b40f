/* compile: the plan of further tries. Defaults are Envoy Gateway's ("Retry"): two retries, on
 * connect-failure, refused-stream, unavailable, cancelled and 503; pauses from 25 ms, ten times
 * that at most; 1024 retries to one backend at once. Statuses that a policy lists count without the
 * trigger retriable-status-codes, which is only needed to mean 503. */
#include "gateway/compile/traffic/retry.h"

#include "base/limits.h"
#include "gateway/compile/rule.h"
#include "gateway/compile/traffic.h"
#include "gateway/traffic/retry_plan.h"

enum {
    RETRIES_DEFAULT = 2,
    PARALLEL_DEFAULT = 1024,
    BACK_OFF_US = 25000,
    BACK_OFF_TIMES = 10,
    BUDGET_LEAST_DEFAULT = 3,
    PERCENT = 100,
    STATUS_DEFAULT = 503,
};

static const uint32_t retry_conditions[] = {
    [RETRY_ON_5XX] = RETRY_IF_5XX,
    [RETRY_ON_GATEWAY_ERROR] = RETRY_IF_GATEWAY_ERROR,
    [RETRY_ON_RESET] = RETRY_IF_RESET,
    [RETRY_ON_RESET_BEFORE_REQUEST] = RETRY_IF_RESET_BEFORE_REQUEST,
    [RETRY_ON_CONNECT_FAILURE] = RETRY_IF_CONNECT_FAILURE,
    [RETRY_ON_RETRIABLE_4XX] = RETRY_IF_RETRIABLE_4XX,
    [RETRY_ON_REFUSED_STREAM] = RETRY_IF_REFUSED_STREAM,
    [RETRY_ON_RETRIABLE_STATUS_CODES] = 0,
    [RETRY_ON_CANCELLED] = RETRY_IF_CANCELLED,
    [RETRY_ON_DEADLINE_EXCEEDED] = RETRY_IF_DEADLINE_EXCEEDED,
    [RETRY_ON_INTERNAL] = RETRY_IF_INTERNAL,
    [RETRY_ON_RESOURCE_EXHAUSTED] = RETRY_IF_RESOURCE_EXHAUSTED,
    [RETRY_ON_UNAVAILABLE] = RETRY_IF_UNAVAILABLE,
};

static const uint32_t retry_triggers_default =
    1U << RETRY_ON_CONNECT_FAILURE | 1U << RETRY_ON_REFUSED_STREAM | 1U << RETRY_ON_UNAVAILABLE |
    1U << RETRY_ON_CANCELLED | 1U << RETRY_ON_RETRIABLE_STATUS_CODES;

static uint32_t retry_count_of(struct opt_int asked)
{
    return asked.is_set ? (uint32_t)MIN(asked.value, (int64_t)LIMIT_RETRIES) : RETRIES_DEFAULT;
}

/* `codes`: NULL or empty where none are listed. */
static struct retry_rule retry_rule_of(struct arena *a, uint32_t triggers,
                                       const struct int_vec *codes)
{
    bool lists = codes && codes->n > 0;
    size_t n = lists ? codes->n : (triggers >> RETRY_ON_RETRIABLE_STATUS_CODES) & 1;
    uint16_t *statuses = ARENA_ARRAY(a, uint16_t, n + 1);
    struct retry_rule rule = {.codes = statuses, .n_codes = n};

    for (size_t i = 0; i < N_ELEMENTS(retry_conditions); i++)
        rule.conditions |= triggers & 1U << i ? retry_conditions[i] : 0;
    for (size_t i = 0; i < n; i++)
        statuses[i] = lists ? (uint16_t)codes->items[i] : STATUS_DEFAULT;
    return rule;
}

/* How many may be under way, of all requests to one backend. */
static void retry_bound(struct retry_plan *plan, const struct cluster_circuit_breaker *b)
{
    const struct retry_budget *budget = b ? b->retry_budget : NULL;

    plan->n_parallel = b && b->max_parallel_retries.is_set
                           ? (uint32_t)MIN(b->max_parallel_retries.value, (int64_t)UINT32_MAX)
                           : PARALLEL_DEFAULT;
    if (!budget)
        return;
    plan->has_budget = true;
    plan->budget_numerator = (uint32_t)MIN(budget->percent->numerator.value, (int64_t)UINT32_MAX);
    plan->budget_denominator =
        budget->percent->denominator.is_set
            ? (uint32_t)MIN(MAX(budget->percent->denominator.value, (int64_t)1),
                            (int64_t)UINT32_MAX)
            : PERCENT;
    plan->budget_least = budget->min_retry_concurrency.is_set
                             ? (uint32_t)budget->min_retry_concurrency.value
                             : BUDGET_LEAST_DEFAULT;
}

static struct retry_plan *retry_plan_new(struct compile_place *at)
{
    struct retry_plan *plan = ARENA_NEW(&at->plan->arena, struct retry_plan);
    const struct backend_traffic_policy_spec *spec = at->traffic->spec;

    plan->back_off = (struct back_off){BACK_OFF_US, BACK_OFF_US * BACK_OFF_TIMES};
    retry_bound(plan, spec ? spec->cluster.circuit_breaker : NULL);
    return plan;
}

static void retry_set_back_off(struct retry_plan *plan, const struct cluster_back_off *b)
{
    uint64_t base_us = duration_or(b->base_interval, BACK_OFF_US);

    plan->back_off.base_us = base_us;
    plan->back_off.max_us = duration_or(b->max_interval, base_us * BACK_OFF_TIMES);
}

void compile_retry(struct compile *c, struct compile_place *at)
{
    const struct cluster_retry *r = at->traffic->spec ? at->traffic->spec->cluster.retry : NULL;
    uint32_t triggers = r && r->retry_on ? r->retry_on->triggers : 0;
    struct retry_plan *plan;

    (void)c;
    if (!r)
        return;
    plan = retry_plan_new(at);
    plan->rule = retry_rule_of(&at->plan->arena, triggers ? triggers : retry_triggers_default,
                               r->retry_on ? &r->retry_on->http_status_codes : NULL);
    plan->n_retries = retry_count_of(r->num_retries);
    if (r->num_attempts_per_priority.is_set)
        plan->n_tries_per_priority = (uint32_t)r->num_attempts_per_priority.value;
    if (r->per_retry)
        plan->try_us = duration_or(r->per_retry->timeout, 0);
    if (r->per_retry && r->per_retry->back_off)
        retry_set_back_off(plan, r->per_retry->back_off);
    at->rule->retry = plan;
}

/* GEP-1731: connections that end without an answer, or run out of time, are tried again wherever a
 * rule has this word; nothing is tried again before `backoff` is over. */
void compile_route_retry(struct compile *c, struct compile_place *at,
                         const struct http_route_retry *own)
{
    struct retry_plan *plan;

    (void)c;
    if (!own)
        return;
    plan = retry_plan_new(at);
    plan->rule =
        retry_rule_of(&at->plan->arena, retry_triggers_default | 1U << RETRY_ON_RESET, &own->codes);
    plan->n_retries = retry_count_of(own->attempts);
    if (own->backoff.is_set) {
        plan->least_pause_us = own->backoff.us;
        plan->back_off.base_us = own->backoff.us / 2;
        plan->back_off.max_us = plan->back_off.base_us * BACK_OFF_TIMES;
    }
    at->rule->retry = plan;
}
