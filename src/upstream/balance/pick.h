/* Which endpoint of a pool a try goes to. Worker-local. */
#pragma once

#include "policy/balance/balancer.h"
#include "upstream/pool.h"

/* What the policy of a rule says of that. Immutable. */
struct pick_rule {
    enum balancer_kind kind; /* of what has no key */
    uint32_t table_size;     /* of the tables for keys (balance/table.h); 0: keys do not count */
    uint64_t slow_start_us; /* in which the share of a new endpoint grows; 0: it is new to nobody */
};

/* A try. */
struct pick_wish {
    const struct pick_rule *rule; /* NULL: it says nothing */
    /* The text of an endpoint that has just failed, taken only when there is no other; NULL: none.
     */
    const char *avoid;
    bool has_key;
    uint64_t key;
    uint32_t n_tried; /* of a key: so many of its endpoints have failed before */
};

/* What a pool's choices have in common, whichever rules they are for: part of the pool. */
struct pick *pick_new(struct random *seeds);
void pick_free(struct pick *pick);

/* The endpoint for a try, by the pool's view as it is; NULL when there is none. */
struct endpoint *pick_endpoint(struct pool *p, const struct pick_wish *w);
