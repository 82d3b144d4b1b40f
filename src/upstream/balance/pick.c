/* Choosing by the pool's view of its endpoints: whether each may be used, and how much is under way
 * there. How one is chosen from that is the balancer's; a pool has one of each kind, since rules
 * that share it may differ in what they ask for. */
#include "upstream/balance/pick.h"

#include "base/mem.h"
#include "policy/balance/slow_start.h"
#include "upstream/balance/table.h"
#include "upstream/health/usable.h"

struct pick {
    struct balancer balancers[BALANCER_KINDS];
    uint32_t version; /* of the pool's view, that what they remember is about */
};

/* What a choice is made by. */
struct pick_context {
    const struct pool *pool;
    const struct pick_rule *rule;
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
    for (int kind = 0; kind < BALANCER_KINDS; kind++)
        balancer_deinit(&pick->balancers[kind]);
    mem_free(pick);
}

/* balancer_load_fn */
static uint32_t pick_load(const void *context, uint32_t index)
{
    const struct pool *p = ((const struct pick_context *)context)->pool;
    struct endpoint_set *s = p->endpoints;

    if (!endpoint_set_may_use(s, index, !p->forbids_panic))
        return UINT32_MAX;
    return atomic_load_explicit(&s->items[index].state->n_in_flight, memory_order_relaxed);
}

/* balancer_weight_fn */
static uint32_t pick_weight(const void *context, uint32_t index)
{
    const struct pick_context *c = context;
    const struct endpoint_state *e = c->pool->endpoints->items[index].state;

    return slow_start_weight(atomic_load_explicit(&e->new_since_us, memory_order_relaxed),
                             c->pool->upstreams->loop->now.mono_us, c->rule->slow_start_us);
}

static uint32_t pick_find(const struct endpoint_set *s, const char *text)
{
    for (uint32_t i = 0; text && i < s->n; i++) {
        if (strcmp(s->items[i].text, text) == 0)
            return i;
    }
    return BALANCER_NO_ENDPOINT;
}

/* That of a key; NULL: it has none, or its rule none for it. */
static const struct maglev *pick_table(const struct pool *p, const struct pick_wish *w)
{
    if (LIKELY(!w->has_key) || !w->rule || w->rule->table_size == 0)
        return NULL;
    return endpoint_set_table(p->endpoints, w->rule->table_size);
}

/* The weights that endpoints have where a rule starts new ones slowly. */
static void pick_weigh(struct pick *pick, struct balancer_view *view, uint32_t version)
{
    view->weight = pick_weight;
    if (pick->version == version)
        return;
    pick->version = version;
    balancer_forget(&pick->balancers[BALANCER_ROUND_ROBIN]);
}

/* Of one there is no choice. */
static struct endpoint *pick_only(const struct pool *p)
{
    struct endpoint_set *s = p->endpoints;

    return endpoint_set_may_use(s, 0, !p->forbids_panic) ? &s->items[0] : NULL;
}

static struct endpoint *pick_among(struct pool *p, const struct pick_wish *w)
{
    enum balancer_kind kind = w->rule ? w->rule->kind : BALANCER_LEAST_REQUEST;
    struct pick_context context = {p, w->rule};
    struct balancer_view view = {.n = p->endpoints->n,
                                 .avoid = pick_find(p->endpoints, w->avoid),
                                 .load = pick_load,
                                 .context = &context};
    const struct maglev *table = pick_table(p, w);
    uint32_t index;

    if (w->rule && w->rule->slow_start_us > 0)
        pick_weigh(p->pick, &view, p->version);
    index = table ? maglev_pick(table, w->key, w->n_tried, &view)
                  : balancer_pick(&p->pick->balancers[kind], &view);
    return index == BALANCER_NO_ENDPOINT ? NULL : &p->endpoints->items[index];
}

struct endpoint *pick_endpoint(struct pool *p, const struct pick_wish *w)
{
    return p->endpoints->n == 1 ? pick_only(p) : pick_among(p, w);
}
