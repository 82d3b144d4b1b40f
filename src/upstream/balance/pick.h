/* Which endpoint of a pool a try goes to. Worker-local. */
#pragma once

#include "policy/balance/balancer.h"
#include "upstream/pool.h"

/* What the policy of a rule says of that. Immutable. */
struct pick_rule {
    enum balancer_kind kind;
};

/* What a pool's choices have in common, whichever rules they are for: part of the pool. */
struct pick *pick_new(struct random *seeds);
void pick_free(struct pick *pick);

/* The endpoint for a try of a rule (NULL: it says nothing); NULL when there is none. `avoid` (NULL:
 * none) is the text of one that has just failed: taken only when there is no other. Refreshes the
 * cached view first. */
struct endpoint *pick_endpoint(struct pool *p, const struct pick_rule *rule, const char *avoid);
