/* compile: answers that the configuration writes, of HTTPRouteFilters and policies. Compile thread.
 */
#pragma once

#include "gateway/compile/compile.h"

struct custom_response;

/* filter.c: in the route's arena; its status is 0 where `spec` names none. What cannot be had as
 * written breaks the rule. */
const struct direct_plan *compile_direct(struct compile *c, struct compile_place *at,
                                         struct object *owner, const struct custom_response *spec);
