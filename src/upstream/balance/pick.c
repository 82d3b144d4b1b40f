/* Choosing by the pool's view of its endpoints: whether each may be used, and how much is under way
 * there. How it is chosen from that is the balancer's. */
#include "upstream/balance/pick.h"

#include "base/mem.h"
#include "policy/balance/balancer.h"
#include "upstream/health/usable.h"

struct pick {
    struct balancer balancer;
};

struct pick *pick_new(uint64_t seed)
{
    struct pick *pick = MEM_NEW(struct pick);

    balancer_init(&pick->balancer, BALANCER_LEAST_REQUEST, seed);
    return pick;
}

void pick_free(struct pick *pick)
{
    mem_free(pick);
}

/* balancer_load_fn over the pool's view. */
static uint32_t pick_load(const void *context, uint32_t index)
{
    const struct pool *p = context;
    struct endpoint_set *s = p->endpoints;

    if (!endpoint_set_may_use(s, index, !p->forbids_panic))
        return UINT32_MAX;
    return atomic_load_explicit(&s->items[index].state->n_in_flight, memory_order_relaxed);
}

struct endpoint *pick_endpoint(struct pool *p, const char *avoid)
{
    uint32_t avoid_index = BALANCER_NO_ENDPOINT;
    uint32_t index;

    pool_refresh(p);
    for (uint32_t i = 0; avoid && i < p->endpoints->n; i++) {
        if (strcmp(p->endpoints->items[i].text, avoid) == 0)
            avoid_index = i;
    }
    index = balancer_pick(&p->pick->balancer, p->endpoints->n, avoid_index, pick_load, p);
    return index == BALANCER_NO_ENDPOINT ? NULL : &p->endpoints->items[index];
}
