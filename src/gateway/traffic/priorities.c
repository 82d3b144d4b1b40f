/* Priorities and draws. What is read is this worker's view of each backend's endpoints; as long as
 * all are well nothing else is asked than whether they are. A backend without a cluster (invalid,
 * not supported) is never left out for its health: its share is refused, as the Gateway API
 * demands.
 */
#include "gateway/traffic/priorities.h"

#include "gateway/traffic/affinity.h"
#include "gateway/traffic/client_protocol.h"
#include "gateway/traffic/priority_share.h"
#include "gateway/worker.h"
#include "policy/balance/rendezvous.h"
#include "upstream/health/usable.h"

static struct endpoint_set *priorities_endpoints(struct exchange *x, struct cluster *c)
{
    struct pool *p = upstreams_pool(&x->worker->upstreams, c);

    pool_refresh(p);
    return p->endpoints;
}

/* ---- a priority ---- */

/* *ret_is_open: it cannot be judged, or is not to be: a name that is not known yet, or nothing
 * valid in it. */
static struct priority_health priorities_health(struct exchange *x, uint32_t index,
                                                bool *ret_is_open)
{
    const struct rule_plan *rule = x->rule;
    const struct priority_plan *p = &rule->priorities[index];
    struct priority_health h = {0};
    bool is_pending = false;
    bool has_cluster = false;

    for (uint32_t i = p->first; i < p->first + p->weights.n; i++) {
        const struct backend_plan *b = &rule->backends[i];
        struct endpoint_set *s;

        if (!b->cluster || b->weight == 0)
            continue;
        has_cluster = true;
        s = priorities_endpoints(x, client_protocol_cluster(x, b));
        is_pending |= s->state == ENDPOINTS_PENDING;
        h.n += s->n;
        h.n_well += endpoint_set_n_well(s);
    }
    *ret_is_open = is_pending || !has_cluster;
    return h;
}

static bool priorities_is_usable(struct exchange *x, uint32_t index)
{
    bool is_open;
    struct priority_health h = priorities_health(x, index, &is_open);

    return is_open || h.n_well > 0;
}

/* The first usable one from `index` on, where there is another way no endpoint that is ill gets
 * anything; else `index` itself. */
static void priorities_seek(struct exchange *x, uint32_t index)
{
    uint32_t n = x->rule->n_priorities;
    uint32_t i = index;

    while (i < n && !priorities_is_usable(x, i))
        i++;
    x->priority = i < n ? i : index;
    x->attempt.forbids_panic = i < n;
}

static void priorities_share(struct exchange *x)
{
    uint32_t n = x->rule->n_priorities;
    struct priority_health *all;
    bool is_open;
    struct priority_health first = priorities_health(x, 0, &is_open);

    x->attempt.forbids_panic = true;
    if (is_open || priority_availability(first) == PRIORITY_FULL)
        return;
    all = ARENA_ARRAY(&x->arena, struct priority_health, n);
    for (uint32_t i = 0; i < n; i++) {
        all[i] = priorities_health(x, i, &is_open);
        if (is_open)
            all[i] = (struct priority_health){1, 1};
    }
    x->priority =
        priority_share_pick(all, n, affinity_below(x, PRIORITY_FULL), &x->attempt.forbids_panic);
}

void priorities_begin(struct exchange *x)
{
    if (x->rule->n_priorities <= 1)
        return;
    if (x->rule->is_ai)
        priorities_seek(x, 0);
    else
        priorities_share(x);
}

void priorities_next(struct exchange *x)
{
    priorities_seek(x, x->priority + 1);
}

/* ---- a backend of it ---- */

static uint32_t priorities_backend_availability(struct exchange *x, const struct backend_plan *b)
{
    struct endpoint_set *s;

    if (!b->cluster)
        return PRIORITY_FULL;
    s = priorities_endpoints(x, client_protocol_cluster(x, b));
    return s->n == 0
               ? PRIORITY_FULL
               : priority_availability((struct priority_health){s->n, endpoint_set_n_well(s)});
}

/* By weight times availability; `otherwise` where nothing is available. */
static int32_t priorities_draw_by_health(struct exchange *x, const struct priority_plan *p,
                                         int32_t otherwise)
{
    const struct backend_plan *backends = &x->rule->backends[p->first];
    uint64_t total = 0;
    uint64_t point;

    for (uint32_t i = 0; i < p->weights.n; i++)
        total += (uint64_t)backends[i].weight * priorities_backend_availability(x, &backends[i]);
    if (total == 0)
        return otherwise;
    point = random_u64(&x->worker->random) % total;
    for (uint32_t i = 0; i < p->weights.n; i++) {
        uint64_t share =
            (uint64_t)backends[i].weight * priorities_backend_availability(x, &backends[i]);

        if (point < share)
            return (int32_t)i;
        point -= share;
    }
    return otherwise; /* endpoints have fallen ill meanwhile */
}

/* The same shares, and each key stays where it is as long as it can. */
static int32_t priorities_draw_by_key(struct exchange *x, const struct priority_plan *p,
                                      bool regards_health)
{
    uint64_t key = affinity_draw_key(x->affinity);
    struct rendezvous r = {0};

    for (uint32_t i = 0; i < p->weights.n; i++) {
        const struct backend_plan *b = &x->rule->backends[p->first + i];
        uint64_t share = regards_health ? priorities_backend_availability(x, b) : PRIORITY_FULL;

        rendezvous_offer(&r, key, x->rule->affinity->seeds[p->first + i], b->weight * share, i);
    }
    if (!r.is_any && regards_health)
        return priorities_draw_by_key(x, p, false);
    return r.is_any ? (int32_t)r.index : -1;
}

int32_t priorities_draw(struct exchange *x, uint32_t priority)
{
    const struct priority_plan *p = &x->rule->priorities[priority];
    int32_t chosen = weights_pick(&p->weights, (uint32_t)(random_u64(&x->worker->random) >> 32));
    uint32_t availability;

    if (affinity_is_known(x->affinity) && p->weights.n > 1)
        return priorities_draw_by_key(x, p, true);
    if (chosen < 0 || p->weights.n == 1)
        return chosen;
    availability =
        priorities_backend_availability(x, &x->rule->backends[p->first + (uint32_t)chosen]);
    /* What an ill backend gives away is drawn again among all by what they can take: together that
     * is a draw by weight times availability, for the price of a draw by weight where all are well.
     */
    if (availability == PRIORITY_FULL ||
        random_below(&x->worker->random, PRIORITY_FULL) < availability)
        return chosen;
    return priorities_draw_by_health(x, p, chosen);
}
