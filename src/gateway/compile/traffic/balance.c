/* compile: loadBalancer. Without one, and by types that are not supported (said when it was read),
 * LeastRequest. */
#include "gateway/compile/traffic/balance.h"

#include "gateway/compile/rule.h"
#include "manifest/part/load_balancer.h"
#include "upstream/balance/pick.h"

void compile_balance(struct compile_place *at, const struct cluster_load_balancer *spec)
{
    static const enum balancer_kind choices[] = {
        [LOAD_BALANCER_CONSISTENT_HASH] = BALANCER_LEAST_REQUEST,
        [LOAD_BALANCER_LEAST_REQUEST] = BALANCER_LEAST_REQUEST,
        [LOAD_BALANCER_RANDOM] = BALANCER_RANDOM,
        [LOAD_BALANCER_ROUND_ROBIN] = BALANCER_ROUND_ROBIN,
        [LOAD_BALANCER_BACKEND_UTILIZATION] = BALANCER_LEAST_REQUEST,
        [LOAD_BALANCER_DYNAMIC_MODULE] = BALANCER_LEAST_REQUEST,
    };
    struct pick_rule *rule;

    if (!spec || choices[spec->type] == BALANCER_LEAST_REQUEST)
        return;
    rule = ARENA_NEW(&at->plan->arena, struct pick_rule);
    rule->kind = choices[spec->type];
    at->rule->pick = rule;
}
