/* Which endpoint of a pool a try goes to. Worker-local. */
#pragma once

#include "upstream/pool.h"

/* What a pool's choices have in common: part of the pool. */
struct pick *pick_new(uint64_t seed);
void pick_free(struct pick *pick);

/* The endpoint that the balancer chooses; NULL when there is none. `avoid` (NULL: none) is the text
 * of one that has just failed: taken only when there is no other. Refreshes the cached view first.
 */
struct endpoint *pick_endpoint(struct pool *p, const char *avoid);
