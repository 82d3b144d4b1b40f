/* A route that several Gateways attach where their listeners are one: no request tells by which of
 * them it came, so it is compiled once, and served only where the Gateways guard it alike. Compile
 * thread. */
#pragma once

#include "gateway/compile/compile.h"

struct shared_route {
    const struct listener_member *member; /* the older Gateway's, whose policies it got */
    struct route_plan *plan;
};

/* Another member attaches `route` too: rules that it would guard by other SecurityPolicies refuse
 * from now on (an error); other BackendTrafficPolicies than those of the older Gateway do not apply
 * (a warning). */
void shared_route_compare(struct compile *c, const struct shared_route *first,
                          const struct listener_member *m, const struct object *route);
