/* See draw.h. The share of a backend that cannot be used is refused, not given to the others
 * (policy/ weights.h); a further try, which nothing obliges to be refused, stays where it was
 * instead. */
#include "gateway/traffic/draw.h"

#include "gateway/traffic/affinity.h"
#include "gateway/traffic/priorities.h"
#include "gateway/worker.h"

enum {
    DRAWS_AGAIN = 5
}; /* as Envoy (host_selection_retry_max_attempts, as Envoy Gateway sets it) */

enum refusal draw_backend(struct exchange *x, uint32_t priority, const struct backend_plan **ret)
{
    const struct rule_plan *rule = x->rule;
    const struct priority_plan *p;
    int32_t chosen;

    *ret = NULL;
    if (priority >= rule->n_priorities)
        return REFUSAL_NO_BACKEND;
    p = &rule->priorities[priority];
    chosen = priorities_draw(x, priority);
    if (chosen < 0)
        return REFUSAL_NO_BACKEND;
    *ret = &rule->backends[p->first + (uint32_t)chosen];
    switch ((*ret)->validity) {
    case BACKEND_VALID:
        return REFUSAL_NONE;
    case BACKEND_NOT_ENFORCED:
        return REFUSAL_SECURITY_UNAVAILABLE;
    case BACKEND_UNSUPPORTED:
        return REFUSAL_UNSUPPORTED_ENDPOINT;
    case BACKEND_INVALID:
        break;
    }
    return REFUSAL_NO_BACKEND;
}

/* Of a key the first draw leads where it led before, where the endpoint is another one now. */
static void draw_anew(struct exchange *x, uint32_t nth)
{
    if (x->affinity)
        x->affinity->n_redraws = nth;
}

const struct backend_plan *draw_again(struct exchange *x, uint32_t priority)
{
    bool has_others = x->attempt.pool && x->attempt.pool->endpoints->n > 1;
    const struct backend_plan *again = x->backend;
    const struct backend_plan *drawn;

    for (unsigned i = 0; i < DRAWS_AGAIN; i++) {
        draw_anew(x, i);
        if (draw_backend(x, priority, &drawn) == REFUSAL_NONE &&
            (drawn != x->backend || has_others)) {
            again = drawn;
            break;
        }
    }
    draw_anew(x, 0);
    return again;
}
