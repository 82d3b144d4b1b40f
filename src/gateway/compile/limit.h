/* compile: rateLimit of BackendTrafficPolicies into limit plans. */
#pragma once

#include "gateway/compile/compile.h"
#include "manifest/policy_merge.h"

/* The limits of the rule at `at`, from the merged policy of its chain (not a broken one), into
 * rule->limits. What cannot be had as written makes the rule refuse: it must not pass unlimited. */
void compile_limits(struct compile *c, struct compile_place *at, const struct policy_chain *chain,
                    const struct merged_policy *merged);
/* Warns of costs that the limits of the rule at `at` (of an AIGatewayRoute) ask for and neither its
 * route nor `costs`, those of the listener, define: once for each route and cost. */
void compile_check_limit_costs(struct compile *c, const struct compile_place *at,
                               const struct cost_list *costs);
/* Does a limit of the rule, which are there, ask for the model? */
bool compile_counts_model(const struct rule_plan *rule);
/* Warns of limits of the rule at `at` (of a GRPCRoute) that count tokens, or hang on the model
 * where not of all its calls the model is read: once for each route and policy. */
void compile_check_grpc_limits(struct compile *c, const struct compile_place *at,
                               bool reads_all_models);
/* At the end: lets go of what was kept while compiling. */
void compile_limits_done(struct compile *c);
