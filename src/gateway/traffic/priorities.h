/* Which of a rule's backends? Its priority, by health where there are several, and then one of it
 * by weight and health. Worker-local. */
#pragma once

#include "gateway/exchange.h"

/* The priority of the first try. Where `fallback` makes two, requests are shared by health
 * (priority_share.h); an AIGatewayRoute begins at the first one with an endpoint that is well. */
void priorities_begin(struct exchange *x);
/* On to the next one, of an AIGatewayRoute: one without an endpoint that is well is left out, if
 * there is another behind it. */
void priorities_next(struct exchange *x);
/* A backend of a priority, as an index in it; -1: its weights are all 0. A backend of which only
 * a part is well gets less than its weight, as Envoy's localities do. */
int32_t priorities_draw(struct exchange *x, uint32_t priority);
