/* Requests that stick to a backend and an endpoint by a key of their own: a header, a cookie, a
 * parameter or the client's address (affinity_plan.h). Where the key is absent the choice is a
 * random one. In the exchange's arena; worker-local. */
#pragma once

#include "gateway/traffic/affinity_plan.h"
#include "http/message.h"

struct exchange;

struct affinity {
    bool has_key;
    uint64_t key;       /* its hash */
    uint32_t n_redraws; /* of backends: another number leads elsewhere, if chance has it */
    struct str cookie;  /* that the client is told to keep; empty: none */
};

/* Before the first draw: x->affinity, where the rule has a plan. */
void affinity_begin(struct exchange *x);
static inline bool affinity_is_known(const struct affinity *a)
{
    return a && a->has_key;
}
/* By the key, if there is one, and else by chance: a number below `bound`. */
uint32_t affinity_below(struct exchange *x, uint32_t bound);
/* For the draw of a backend; only where the key is known. */
uint64_t affinity_draw_key(const struct affinity *a);
/* Tells the client of a cookie that was made, in an answer of a backend. */
void affinity_write_cookie(const struct affinity *a, struct http_headers *h);
