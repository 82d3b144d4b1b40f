/* What an exchange did cost, by the keys of llmRequestCosts. Filled by whoever reads AI answers,
 * before the step `account`: exact values, or estimates where the answer did not say. Read by
 * limits and logs. Worker-local. */
#pragma once

#include "base/str.h"

struct cost_list;
struct exchange;

#define COST_NAMESPACE STR("io.envoy.ai_gateway")

/* One cost; the key lives as long as the exchange. x->costs is a VEC of these. */
struct cost_value {
    struct str key;
    uint64_t value;
};

/* False: the exchange has no such cost (it is no AI request, or never reached a model). */
bool exchange_cost(const struct exchange *x, struct str metadata_namespace, struct str key,
                   uint64_t *ret_cost);
/* What is to be paid: the costs of the route that took it; where it has none, those of the first
 * AIGatewayRoute of the listener that has some, so that no budget of a Gateway is passed by. After
 * `route`. */
const struct cost_list *exchange_costs(const struct exchange *x);
