/* Choosing by the pool's view of its endpoints: whether each may be used, and how much is under way
 * there. How one is chosen from that is the balancer's; a pool has one of each kind, since rules
 * that share it may differ in what they ask for. */
#include "upstream/balance/pick.h"

#include "base/mem.h"
#include "upstream/balance/table.h"
#include "upstream/health/usable.h"

struct pick {
    struct balancer balancers[BALANCER_KINDS];
};

struct pick *pick_new(struct random *seeds)
{
    struct pick *pick = MEM_NEW(struct pick);

    for (int kind = 0; kind < BALANCER_KINDS; kind++)
        balancer_init(&pick->balancers[kind], (enum balancer_kind)kind, random_u64(seeds));
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

static uint32_t pick_find(const struct endpoint_set *s, const char *text)
{
    for (uint32_t i = 0; text && i < s->n; i++) {
        if (strcmp(s->items[i].text, text) == 0)
            return i;
    }
    return BALANCER_NO_ENDPOINT;
}

/* Of a key, where its rule has tables. */
static uint32_t pick_by_key(const struct pool *p, const struct pick_wish *w,
                            const struct balancer_view *view)
{
    const struct maglev *m =
        view->n > 0 ? endpoint_set_table(p->endpoints, w->rule->table_size) : NULL;

    return m ? maglev_pick(m, w->key, w->n_tried, view) : BALANCER_NO_ENDPOINT;
}

struct endpoint *pick_endpoint(struct pool *p, const struct pick_wish *w)
{
    enum balancer_kind kind = w->rule ? w->rule->kind : BALANCER_LEAST_REQUEST;
    struct balancer_view view = {.n = p->endpoints->n,
                                 .avoid = pick_find(p->endpoints, w->avoid),
                                 .load = pick_load,
                                 .context = p};
    uint32_t index;

    if (w->has_key && w->rule && w->rule->table_size > 0)
        index = pick_by_key(p, w, &view);
    else
        index = balancer_pick(&p->pick->balancers[kind], &view);
    return index == BALANCER_NO_ENDPOINT ? NULL : &p->endpoints->items[index];
}
