/* What a rule's policy says of further tries (BackendTrafficPolicy `retry` and the parts of
 * `circuitBreaker` that bound it, HTTPRoute `retry`). Immutable, in the route's arena. */
#pragma once

#include "policy/retry/back_off.h"
#include "policy/retry/retry_rule.h"

struct retry_plan {
    struct retry_rule rule;
    uint32_t n_retries;            /* of one request, whatever backends they go to */
    uint32_t n_tries_per_priority; /* before the next priority is tried; 0: no bound */
    uint64_t try_us;               /* until the head of a try's answer; 0: none */
    struct back_off back_off;      /* of the part of a pause that is drawn */
    uint64_t least_pause_us;       /* and the part that is not */
    uint32_t n_parallel;           /* retries to one backend, of all requests */
    bool has_budget;               /* then n_parallel does not count, but: */
    uint32_t budget_numerator;     /* of the requests under way there that are no retries */
    uint32_t budget_denominator;
    uint32_t budget_least; /* retries that the budget allows at least */
};
