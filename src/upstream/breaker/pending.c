/* The queue. A tenant is here as long as it has attempts that wait; each costs 1, and the quantum
 * is 1. Within a tenant the oldest goes first, but for two reasons: it cannot have what is there
 * (its bounds are tighter, its endpoints others), or a connection that is open already serves one
 * of its own worker without a new handshake, which is let happen PENDING_PASSES times at its cost.
 * Either way no more than PENDING_LOOKS of them are looked at: the lock is held for short. */
#include "upstream/breaker/pending.h"

#include "upstream/health/usable.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/wake.h"
#include "upstream/breaker/pending_elsewhere.h"
#include "upstream/endpoint.h"

enum { PENDING_PASSES = 8, PENDING_LOOKS = 64 };

struct pending_tenant {
    struct deficit_flow flow;
    struct list waiters; /* oldest first */
    struct str name;     /* in `text` */
    char text[];
};

void pending_init(struct pending_queue *q)
{
    *q = (struct pending_queue){.tenants.quantum = 1};
    pthread_mutex_init(&q->lock, NULL);
}

void pending_deinit(struct pending_queue *q)
{
    ASSERT(q->by_tenant.n_items == 0 && q->members.n_nodes == 0);
    map_deinit(&q->by_tenant);
    pthread_mutex_destroy(&q->lock);
}

/* ---- tenants; under the lock ---- */

static struct pending_tenant *pending_tenant_of(struct deficit_flow *f)
{
    return CONTAINER_OF(f, struct pending_tenant, flow);
}

static struct pending_waiter *pending_waiter_of(struct list_node *node)
{
    return CONTAINER_OF(node, struct pending_waiter, node);
}

static struct pending_tenant *pending_tenant_get(struct pending_queue *q, struct str name)
{
    struct pending_tenant *t = map_find(&q->by_tenant, name);

    if (!t && q->by_tenant.n_items >= LIMIT_PENDING_TENANTS) {
        name = STR("");
        t = map_find(&q->by_tenant, name);
    }
    if (t)
        return t;
    t = mem_alloc_zero(sizeof *t + name.len + 1);
    if (name.len > 0)
        memcpy(t->text, name.ptr, name.len);
    t->name = str_make(t->text, name.len);
    map_put(&q->by_tenant, t->name, t);
    deficit_join(&q->tenants, &t->flow);
    return t;
}

static void pending_tenant_settle(struct pending_queue *q, struct pending_tenant *t)
{
    if (t->waiters.n_nodes > 0)
        return;
    deficit_leave(&t->flow);
    map_remove(&q->by_tenant, t->name);
    mem_free(t);
}

/* So many more wait: another process may have to know. */
static void pending_account(const struct breaker *b, int32_t n)
{
    if (UNLIKELY(b->pending.session))
        places_tell(b, PLACE_PENDING, STR(""), b->pending.session, n);
}

/* It waits no longer; it may have been the last of its tenant. */
static void pending_take_out(struct breaker *b, struct pending_waiter *w)
{
    struct pending_queue *q = &b->pending;
    struct pending_tenant *t = TAKE(w->tenant);

    list_remove(&w->node);
    w->home->n_waiting--;
    q->n_beyond -= w->is_beyond;
    atomic_fetch_sub_explicit(&q->n_waiting, 1, memory_order_acq_rel);
    q->n_standins -= w->is_standin;
    if (!w->is_standin)
        pending_account(b, -1);
    pending_tenant_settle(q, t);
}

static void pending_tell(struct breaker *b, struct pending_waiter *w, enum pending_verdict verdict)
{
    pending_take_out(b, w);
    w->verdict = verdict;
    list_append(&w->home->told, &w->node);
    atomic_store_explicit(&w->home->has_told, true, memory_order_release);
    wake_post(w->home->wake);
}

/* ---- places ---- */

/* Where it could have a connection, if `freed` (NULL: nothing) had one less: the endpoint with the
 * fewest of those with room. NULL: nowhere. */
static struct endpoint *pending_find_place(struct breaker *b, const struct pending_waiter *w,
                                           const struct endpoint_state *freed)
{
    struct endpoint *best = NULL;
    uint32_t fewest = breaker_limit(&w->limits->n_endpoint_connections);

    if (bounded_count_get(&b->connections) >=
        (uint64_t)breaker_limit(&w->limits->n_connections) + (freed != NULL))
        return NULL;
    if (!breaker_wants_request(b, w->limits))
        return NULL;
    for (uint32_t i = 0; i < w->endpoints->n; i++) {
        struct endpoint *e = &w->endpoints->items[i];
        uint32_t n = bounded_count_get(&e->state->connections);

        n -= n > 0 && e->state == freed;
        if (n < fewest && (w->is_standin || endpoint_set_may_use(w->endpoints, i, w->may_panic))) {
            fewest = n;
            best = e;
        }
    }
    return best;
}

static struct pending_waiter *pending_find_grantable(struct breaker *b,
                                                     const struct pending_tenant *t)
{
    unsigned n = 0;

    LIST_FOREACH (&t->waiters, node) {
        if (pending_find_place(b, pending_waiter_of(node), NULL))
            return pending_waiter_of(node);
        if (++n == PENDING_LOOKS)
            break;
    }
    return NULL;
}

/* deficit_cost_fn over a breaker. */
static uint64_t pending_cost_of_grant(struct deficit_flow *f, void *ctx)
{
    return pending_find_grantable(ctx, pending_tenant_of(f)) != NULL;
}

/* Of another process: it says which of the endpoints that will do, or stands in for who waits. */
static enum place_verdict pending_ask(const struct breaker *b, const struct pending_tenant *t,
                                      struct pending_waiter *w)
{
    struct place_claim claim = {.kind = PLACE_CONNECTION,
                                .limit = breaker_limit(&w->limits->n_connections),
                                .endpoint_limit = breaker_limit(&w->limits->n_endpoint_connections),
                                .is_waiting = true,
                                .request_limit = breaker_limit(&w->limits->n_requests),
                                .tenant = t->name};
    struct endpoint *of_claim[PLACE_CLAIM_ENDPOINTS];
    enum place_verdict verdict;
    uint32_t index;

    for (uint32_t i = 0; i < w->endpoints->n && claim.n_endpoints < PLACE_CLAIM_ENDPOINTS; i++) {
        struct endpoint *e = &w->endpoints->items[i];

        if (bounded_count_get(&e->state->connections) >=
                breaker_limit(&w->limits->n_endpoint_connections) ||
            (!w->is_standin && !endpoint_set_may_use(w->endpoints, i, w->may_panic)))
            continue;
        of_claim[claim.n_endpoints] = e;
        claim.endpoints[claim.n_endpoints++] = str_of(e->text);
    }
    if (claim.n_endpoints == 0)
        return PLACE_DENIED;
    verdict = places_ask(b, &claim, &index);
    if (verdict != PLACE_GIVEN)
        return verdict;
    ASSERT(index < claim.n_endpoints);
    w->place = of_claim[index];
    return PLACE_GIVEN;
}

/* A place among the requests for one that is to go on. False: it waits on, for the next one that is
 * given back, here or in the process where one stands in for it. */
static bool pending_take_request(struct breaker *b, struct pending_waiter *w)
{
    if (breaker_take_request(b, w->limits))
        return true;
    (void)breaker_wants_request(b, w->limits); /* who gives one back looks here then */
    return false;
}

/* A connection, and a place among the requests. Some do not wait, and may have been faster: then
 * another look is due (PLACE_UNKNOWN), at the others, too. */
static enum place_verdict pending_take_place(struct breaker *b, const struct pending_tenant *t,
                                             struct pending_waiter *w)
{
    enum place_verdict verdict =
        UNLIKELY(breaker_is_deferred(b)) ? pending_ask(b, t, w) : PLACE_UNKNOWN;

    if (verdict == PLACE_GIVEN)
        breaker_hold_both(b, w->place->state);
    if (verdict != PLACE_UNKNOWN)
        return verdict;
    w->place = pending_find_place(b, w, NULL);
    if (!w->place || !breaker_try_connection(b, w->place->state, w->limits))
        return PLACE_UNKNOWN;
    if (pending_take_request(b, w))
        return PLACE_GIVEN;
    breaker_drop_connection(b, w->place->state);
    return PLACE_UNKNOWN;
}

/* False: nobody can have a place. */
static bool pending_grant(struct breaker *b)
{
    struct deficit_flow *f = deficit_next(&b->pending.tenants, pending_cost_of_grant, b);
    const struct pending_tenant *t;
    struct pending_waiter *w;
    enum place_verdict verdict;

    if (!f)
        return false;
    t = pending_tenant_of(f);
    w = pending_find_grantable(b, t);
    verdict = w ? pending_take_place(b, t, w) : PLACE_UNKNOWN;
    if (verdict != PLACE_GIVEN)
        return verdict == PLACE_UNKNOWN;
    deficit_spend(f, 1);
    pending_tell(b, w, PENDING_GRANTED);
    return true;
}

/* Whom it was let in beyond the bound for is not there any more. */
static void pending_drop_beyond(struct breaker *b)
{
    struct pending_queue *q = &b->pending;

    MAP_FOREACH (&q->by_tenant, slot) {
        struct pending_tenant *t = slot->value;

        LIST_FOREACH (&t->waiters, node) {
            struct pending_waiter *w = pending_waiter_of(node);

            if (!w->is_beyond)
                continue;
            breaker_count_overflow(b, BREAKER_PENDING);
            pending_tell(b, w, PENDING_DROPPED);
            return; /* of its tenant there may be nothing left */
        }
    }
}

/* The worker whose connection is unused longest is asked for it. */
static void pending_order(struct breaker *b)
{
    struct pending_queue *q = &b->pending;
    struct pending_member *oldest = NULL;
    uint64_t since_us = PENDING_NEVER_US;

    LIST_FOREACH (&q->members, node) {
        struct pending_member *m = CONTAINER_OF(node, struct pending_member, node);
        uint64_t us = atomic_load_explicit(&m->idle_since_us, memory_order_relaxed);

        if (us < since_us) {
            since_us = us;
            oldest = m;
        }
    }
    if (!oldest) {
        while (q->n_beyond > 0)
            pending_drop_beyond(b);
        return;
    }
    atomic_fetch_add_explicit(&oldest->n_wanted, 1, memory_order_relaxed);
    wake_post(oldest->wake);
}

static void pending_settle(struct breaker *b)
{
    while (pending_grant(b)) {
    }
    if (pending_is_any(&b->pending))
        pending_order(b);
}

static void pending_look(struct breaker *b, bool is_request)
{
    pending_settle(b);
    for (struct list_node *node = b->pending.members.first; is_request && node; node = node->next) {
        struct pending_member *m = CONTAINER_OF(node, struct pending_member, node);

        if (m->n_waiting == 0)
            continue;
        atomic_store_explicit(&m->has_turn, true, memory_order_relaxed);
        wake_post(m->wake);
    }
}

void pending_on_place(struct breaker *b, bool is_request)
{
    pthread_mutex_lock(&b->pending.lock);
    pending_look(b, is_request);
    pthread_mutex_unlock(&b->pending.lock);
}

static struct pending_waiter *pending_find_shut_out(const struct pending_queue *q)
{
    MAP_FOREACH (&q->by_tenant, slot) {
        const struct pending_tenant *t = slot->value;

        LIST_FOREACH (&t->waiters, node) {
            if (breaker_limits_are_shut(pending_waiter_of(node)->limits))
                return pending_waiter_of(node);
        }
    }
    return NULL;
}

void pending_on_bounds(struct breaker *b)
{
    struct pending_waiter *w;

    pthread_mutex_lock(&b->pending.lock);
    while ((w = pending_find_shut_out(&b->pending))) {
        breaker_count_overflow(b, BREAKER_PENDING);
        pending_tell(b, w, PENDING_DROPPED);
    }
    pending_look(b, true);
    pthread_mutex_unlock(&b->pending.lock);
}

void pending_want(struct breaker *b)
{
    pthread_mutex_lock(&b->pending.lock);
    if (pending_is_any(&b->pending))
        pending_order(b);
    pthread_mutex_unlock(&b->pending.lock);
}

uint32_t pending_take_wanted(struct pending_member *m)
{
    return atomic_exchange_explicit(&m->n_wanted, 0, memory_order_relaxed);
}

/* ---- coming and going ---- */

void pending_add_member(struct breaker *b, struct pending_member *m, struct wake *wake)
{
    *m = (struct pending_member){.wake = wake, .idle_since_us = PENDING_NEVER_US};
    pthread_mutex_lock(&b->pending.lock);
    list_append(&b->pending.members, &m->node);
    pthread_mutex_unlock(&b->pending.lock);
}

void pending_remove_member(struct breaker *b, struct pending_member *m)
{
    pthread_mutex_lock(&b->pending.lock);
    ASSERT(m->told.n_nodes == 0);
    list_remove(&m->node);
    pthread_mutex_unlock(&b->pending.lock);
}

static struct pending_tenant *pending_longest(struct pending_queue *q)
{
    struct pending_tenant *longest = NULL;

    MAP_FOREACH (&q->by_tenant, slot) {
        struct pending_tenant *t = slot->value;

        if (!longest || t->waiters.n_nodes > longest->waiters.n_nodes)
            longest = t;
    }
    return longest;
}

/* Of both processes, while one takes over. */
static uint32_t pending_n_all(const struct pending_queue *q)
{
    return pending_count(q) - q->n_standins + q->n_elsewhere;
}

/* There is no room in the queue, and yet a connection that some worker does not use: whoever comes
 * for that does not wait for others to end. As many as there are workers with such, at most. */
static bool pending_is_beyond(const struct pending_queue *q, uint32_t limit)
{
    uint32_t n = 0;

    if (pending_n_all(q) < limit)
        return false;
    LIST_FOREACH (&q->members, node) {
        const struct pending_member *m = CONTAINER_OF(node, struct pending_member, node);

        n += atomic_load_explicit(&m->idle_since_us, memory_order_relaxed) != PENDING_NEVER_US;
    }
    return q->n_beyond < n;
}

/* Is there room for one more of `t` (NULL: of another process)? The newest of the tenant who has
 * most makes it: a queue that one tenant has filled is not closed to the others. */
static bool pending_make_room(struct breaker *b, uint32_t limit, const struct pending_tenant *t)
{
    struct pending_queue *q = &b->pending;
    uint32_t n = pending_n_all(q);
    struct pending_tenant *longest;
    struct list_node *newest;

    if (n < limit)
        return true;
    if (n > limit || limit == 0 || !t)
        return false;
    longest = pending_longest(q);
    if (longest->waiters.n_nodes <= t->waiters.n_nodes + 1)
        return false;
    newest = longest->waiters.last;
    while (newest && pending_waiter_of(newest)->is_standin)
        newest = newest->prev; /* who waits in the other process is not ours to drop */
    if (!newest)
        return false;
    breaker_count_overflow(b, BREAKER_PENDING);
    pending_tell(b, pending_waiter_of(newest), PENDING_DROPPED);
    return true;
}

/* Whether there is room, here and in another process. One that is its own to count there is told.
 */
static bool pending_enter(struct breaker *b, uint32_t limit, const struct pending_tenant *t)
{
    struct place_claim claim = {.kind = PLACE_PENDING, .limit = limit};
    enum place_verdict verdict = PLACE_UNKNOWN;
    uint32_t endpoint;

    if (UNLIKELY(breaker_is_deferred(b)) && limit < BOUNDED_COUNT_MAX)
        verdict = places_ask(b, &claim, &endpoint);
    if (verdict != PLACE_UNKNOWN)
        return verdict == PLACE_GIVEN;
    if (!pending_make_room(b, limit, t))
        return false;
    pending_account(b, 1);
    return true;
}

bool pending_join(struct breaker *b, struct pending_waiter *w, struct str tenant)
{
    struct pending_queue *q = &b->pending;
    uint32_t limit = breaker_limit(&w->limits->n_pending);
    struct pending_tenant *t;
    bool has_room;

    pthread_mutex_lock(&q->lock);
    t = pending_tenant_get(q, tenant);
    w->is_beyond =
        !w->is_standin && !breaker_limits_are_shut(w->limits) && pending_is_beyond(q, limit);
    has_room = w->is_standin || w->is_beyond ||
               (!breaker_limits_are_shut(w->limits) && pending_enter(b, limit, t));
    q->n_beyond += w->is_beyond;
    if (w->is_beyond)
        pending_account(b, 1);
    if (has_room) {
        w->tenant = t;
        w->n_passed = 0;
        w->verdict = PENDING_WAITING;
        list_append(&t->waiters, &w->node);
        w->home->n_waiting++;
        q->n_standins += w->is_standin;
        atomic_fetch_add_explicit(&q->n_waiting, 1, memory_order_acq_rel);
        pending_settle(b);
    } else {
        pending_tenant_settle(q, t);
        breaker_count_overflow(b, BREAKER_PENDING);
    }
    pthread_mutex_unlock(&q->lock);
    return has_room;
}

void pending_leave(struct breaker *b, struct pending_waiter *w)
{
    struct pending_queue *q = &b->pending;

    pthread_mutex_lock(&q->lock);
    if (w->verdict == PENDING_WAITING)
        pending_take_out(b, w);
    else
        list_remove(&w->node);
    pthread_mutex_unlock(&q->lock);
    if (w->verdict == PENDING_GRANTED) {
        breaker_put_request(b);
        breaker_put_connection(b, w->place->state);
    }
}

struct pending_waiter *pending_take_told(struct breaker *b, struct pending_member *m)
{
    struct list_node *node;

    if (!atomic_load_explicit(&m->has_told, memory_order_acquire))
        return NULL;
    pthread_mutex_lock(&b->pending.lock);
    node = m->told.first;
    if (node)
        list_remove(node);
    else
        atomic_store_explicit(&m->has_told, false, memory_order_relaxed);
    pthread_mutex_unlock(&b->pending.lock);
    return node ? pending_waiter_of(node) : NULL;
}

/* ---- connections that are open already ---- */

void pending_end_yielding(struct breaker *b)
{
    pthread_mutex_lock(&b->pending.lock);
    ASSERT(b->pending.n_yielding > 0);
    b->pending.n_yielding--;
    pthread_mutex_unlock(&b->pending.lock);
}

struct pending_search {
    struct breaker *breaker;
    struct pending_member *member;
    const struct pending_offer *offer;
};

static bool pending_is_served(const struct pending_search *s, const struct pending_waiter *w)
{
    return w->home == s->member && !w->is_fresh_wanted && (w->may_share || !s->offer->is_shared) &&
           (!s->offer->is_ill || (w->may_panic && endpoint_set_is_in_panic(w->endpoints))) &&
           breaker_wants_request(s->breaker, w->limits);
}

/* Would it have a place if the connection ended? */
static bool pending_is_helped(const struct pending_search *s, const struct pending_waiter *w)
{
    return s->offer->may_yield && pending_find_place(s->breaker, w, s->offer->endpoint);
}

/* The oldest that the connection is good for, one way or the other. */
static struct pending_waiter *pending_find_first(const struct pending_search *s,
                                                 const struct pending_tenant *t)
{
    unsigned n = 0;

    LIST_FOREACH (&t->waiters, node) {
        struct pending_waiter *w = pending_waiter_of(node);

        if (pending_is_served(s, w) || pending_is_helped(s, w))
            return w;
        if (++n == PENDING_LOOKS)
            break;
    }
    return NULL;
}

static uint64_t pending_cost_of_service(struct deficit_flow *f, void *ctx)
{
    return pending_find_first(ctx, pending_tenant_of(f)) != NULL;
}

/* One of the same tenant that goes before `first`. */
static struct pending_waiter *pending_find_served(const struct pending_search *s,
                                                  struct pending_waiter *first)
{
    unsigned n = 0;

    if (first->n_passed >= PENDING_PASSES)
        return NULL;
    LIST_FOREACH (&first->tenant->waiters, node) {
        struct pending_waiter *w = pending_waiter_of(node);

        if (pending_is_served(s, w)) {
            first->n_passed++;
            return w;
        }
        if (++n == PENDING_LOOKS)
            break;
    }
    return NULL;
}

struct pending_waiter *pending_serve(struct breaker *b, struct pending_member *m,
                                     const struct pending_offer *offer, bool *ret_yields)
{
    struct pending_queue *q = &b->pending;
    struct pending_offer now = *offer;
    struct pending_search s = {b, m, &now};
    struct pending_waiter *w = NULL;
    struct deficit_flow *f;

    *ret_yields = false;
    pthread_mutex_lock(&q->lock);
    now.may_yield &= !now.is_busy || q->n_yielding == 0;
    f = deficit_next(&q->tenants, pending_cost_of_service, &s);
    if (f) {
        struct pending_waiter *first = pending_find_first(&s, pending_tenant_of(f));

        /* None where a place, or a bound, has gone meanwhile: it is told of the next. */
        if (first)
            w = pending_is_served(&s, first) ? first : pending_find_served(&s, first);
        *ret_yields = first && !w && pending_is_helped(&s, first); /* the bound may have gone */
        q->n_yielding += *ret_yields && offer->is_busy;
    }
    if (w && !pending_take_request(b, w)) {
        *ret_yields = false;
        pending_settle(b);
        w = NULL;
    }
    if (w) {
        deficit_spend(f, 1);
        pending_take_out(b, w);
    }
    pthread_mutex_unlock(&q->lock);
    return w;
}

/* ---- another process ---- */

/* A place that it has granted. */
struct pending_gift {
    const struct endpoint_state *endpoint;
    const struct place_grant *grant;
};

/* Where it would have the place; NULL: it may not. */
static struct endpoint *pending_accepts(const struct pending_gift *g,
                                        const struct pending_waiter *w)
{
    if (breaker_limit(&w->limits->n_connections) < g->grant->limit ||
        breaker_limit(&w->limits->n_requests) < g->grant->request_limit ||
        breaker_limit(&w->limits->n_endpoint_connections) < g->grant->endpoint_limit)
        return NULL;
    for (uint32_t i = 0; i < w->endpoints->n; i++) {
        if (w->endpoints->items[i].state == g->endpoint)
            return &w->endpoints->items[i];
    }
    return NULL;
}

static struct pending_waiter *pending_find_receiver(const struct pending_gift *g,
                                                    const struct pending_tenant *t)
{
    unsigned n = 0;

    LIST_FOREACH (&t->waiters, node) {
        if (pending_accepts(g, pending_waiter_of(node)))
            return pending_waiter_of(node);
        if (++n == PENDING_LOOKS)
            break;
    }
    return NULL;
}

static uint64_t pending_cost_of_gift(struct deficit_flow *f, void *ctx)
{
    return pending_find_receiver(ctx, pending_tenant_of(f)) != NULL;
}

bool pending_give(struct breaker *b, const struct endpoint_state *e,
                  const struct place_grant *grant)
{
    struct pending_gift gift = {e, grant};
    struct endpoint *place = NULL;
    struct deficit_flow *f;

    pthread_mutex_lock(&b->pending.lock);
    f = deficit_next(&b->pending.tenants, pending_cost_of_gift, &gift);
    if (f) {
        struct pending_waiter *w = pending_find_receiver(&gift, pending_tenant_of(f));

        place = w ? pending_accepts(&gift, w) : NULL; /* its bounds may have changed meanwhile */
        if (place) {
            w->place = place;
            deficit_spend(f, 1);
            pending_tell(b, w, PENDING_GRANTED);
            pending_settle(b);
        }
    }
    pthread_mutex_unlock(&b->pending.lock);
    return place != NULL;
}

bool pending_enter_elsewhere(struct breaker *b, uint32_t limit)
{
    struct pending_queue *q = &b->pending;
    bool has_room;

    pthread_mutex_lock(&q->lock);
    has_room = pending_enter(b, limit, NULL);
    if (has_room)
        q->n_elsewhere++;
    else
        breaker_count_overflow(b, BREAKER_PENDING);
    pthread_mutex_unlock(&q->lock);
    return has_room;
}

void pending_leave_elsewhere(struct breaker *b)
{
    struct pending_queue *q = &b->pending;

    pthread_mutex_lock(&q->lock);
    ASSERT(q->n_elsewhere > 0);
    q->n_elsewhere--;
    pending_account(b, -1);
    pthread_mutex_unlock(&q->lock);
}

void pending_share(struct breaker *b, uint32_t session)
{
    struct pending_queue *q = &b->pending;
    uint32_t n;

    pthread_mutex_lock(&q->lock);
    n = pending_n_all(q);
    if (q->session != session) {
        q->session = session;
        if (n > 0)
            pending_account(b, (int32_t)n);
    }
    pthread_mutex_unlock(&q->lock);
}
