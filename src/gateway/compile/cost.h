/* compile: what usage costs (llmRequestCosts of AIGatewayRoutes). Compile thread. */
#pragma once

#include "gateway/compile/compile.h"
#include "manifest/ai_gateway_route.h"

/* Reports every cost expression that is not valid, at its place, and breaks its route: once, and
 * before the listeners that share the route are compiled. */
void compile_check_costs(struct compile *c);
/* The route's costs, in `a`. Those of a broken expression charge all tokens. */
struct cost_list compile_costs(const struct ai_gateway_route *route, struct arena *a);
