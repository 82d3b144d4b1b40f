/* Serving those who wait (pending.h) from this worker's connections. It is done at the end of the
 * turn: who has just got its answer is not in the middle of it any more. A connection that the next
 * in turn cannot use is ended for it: at once, or, if it has streams, when they are through. */
#include "upstream/pool_share.h"

#include "base/assert.h"
#include "base/limits.h"
#include "upstream/attempt_internal.h"
#include "upstream/conn_h2.h"

static struct attempt *pool_share_attempt(struct pending_waiter *w)
{
    return CONTAINER_OF(w, struct attempt, waiter);
}

static bool conn_is_idle(const struct conn *c)
{
    return !c->h2 || !conn_h2_is_busy(c);
}

static struct conn *pool_share_oldest(const struct pool *p)
{
    LIST_FOREACH (&p->lists[CONN_OPEN], node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);

        if (conn_is_idle(c))
            return c;
    }
    return NULL;
}

void pool_share_init(struct pool *p)
{
    pending_add_member(pool_breaker(p), &p->member, &p->upstreams->pending_news);
}

void pool_share_deinit(struct pool *p)
{
    list_remove(&p->serve.node);
    pending_remove_member(pool_breaker(p), &p->member);
}

void pool_share_note_idle(struct pool *p)
{
    const struct conn *c = pool_share_oldest(p);
    bool had_some =
        atomic_load_explicit(&p->member.idle_since_us, memory_order_relaxed) != PENDING_NEVER_US;

    if (had_some != (c != NULL))
        conn_limit_note_unused(&p->upstreams->limit, c != NULL);
    atomic_store_explicit(&p->member.idle_since_us, c ? c->idle_since_us : PENDING_NEVER_US,
                          memory_order_relaxed);
}

/* ---- serving ---- */

/* Of one whose streams did not end when it tried, not again at once. */
static bool pool_share_may_yield(const struct conn *c)
{
    uint64_t now_us = c->pool->upstreams->loop->now.mono_us;

    return c->state == CONN_OPEN &&
           (conn_is_idle(c) || c->yielding_us == 0 ||
            now_us - c->yielding_us >= LIMIT_H2_KEEP_S * UINT64_C(1000000));
}

static void pool_share_yield(struct conn *c, bool is_busy)
{
    if (!is_busy) {
        conn_close(c);
        return;
    }
    c->is_yielding = true;
    c->yielding_us = c->pool->upstreams->loop->now.mono_us;
    conn_move(c, CONN_DRAINING);
}

void pool_share_end_yielding(struct conn *c)
{
    c->is_yielding = false;
    pending_end_yielding(pool_breaker(c->pool));
}

/* Whether something came of it. */
static bool pool_share_serve_from(struct pool *p, struct conn *c)
{
    struct pending_offer offer = {
        .endpoint = c->endpoint->state,
        .is_ill = atomic_load_explicit(&c->endpoint->state->health.bits, memory_order_relaxed) != 0,
        .is_shared = c->h2 || c->state == CONN_CONNECTING,
        .is_busy = !conn_is_idle(c),
        .may_yield = pool_share_may_yield(c)};
    struct pending_waiter *w;
    bool yields;

    if (!pool_endpoint_of(p, c))
        return false;
    w = pending_serve(pool_breaker(p), &p->member, &offer, &yields);
    if (w)
        attempt_on_served(pool_share_attempt(w), c);
    else if (yields)
        pool_share_yield(c, offer.is_busy);
    return w || yields;
}

/* Others wait for it already, so that it is going to be shared, as far as is known. */
static bool conn_may_be_joined(const struct conn *c)
{
    return !c->pool->speaks_http1 && c->waiting.n_nodes > 0 &&
           c->waiting.n_nodes < c->pool->n_streams;
}

static bool pool_share_serve_any(struct pool *p)
{
    LIST_FOREACH (&p->lists[CONN_OPEN], node) {
        if (pool_share_serve_from(p, CONTAINER_OF(node, struct conn, node)))
            return true;
    }
    LIST_FOREACH (&p->lists[CONN_CONNECTING], node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);

        if (conn_may_be_joined(c) && pool_share_serve_from(p, c))
            return true;
    }
    return false;
}

static void pool_share_serve(struct deferred *d)
{
    struct pool *p = CONTAINER_OF(d, struct pool, serve);

    struct breaker *b = pool_breaker(p);

    while (pending_is_any(&b->pending) && pool_share_serve_any(p)) {
    }
    /* One less may not be enough for who waits (its bounds are tighter), and yet it must not wait
     * for connections that nobody uses. */
    if (pending_is_any(&b->pending) && pool_share_oldest(p))
        pending_want(b);
    if (UNLIKELY(p->upstreams->keeps_no_idle))
        upstreams_close_idle(p->upstreams, 1);
}

void pool_share_on_room(struct pool *p)
{
    if (UNLIKELY(pending_is_any(&pool_breaker(p)->pending)))
        loop_defer(p->upstreams->loop, &p->serve, pool_share_serve);
}

void pool_share_on_idle(struct pool *p)
{
    struct breaker *b = pool_breaker(p);

    pool_share_note_idle(p);
    if (LIKELY(!breaker_is_watched(b) && !p->upstreams->keeps_no_idle))
        return;
    if (p->upstreams->keeps_no_idle || pending_is_any_now(&b->pending))
        loop_defer(p->upstreams->loop, &p->serve, pool_share_serve);
}

/* ---- news ---- */

/* Others wait for what is unused here. */
static void pool_share_reclaim(struct pool *p)
{
    struct breaker *b = pool_breaker(p);
    uint32_t n = pending_take_wanted(&p->member);
    struct conn *c;

    while (n > 0 && pending_is_any(&b->pending) && (c = pool_share_oldest(p))) {
        conn_close(c);
        n--;
    }
    pool_share_note_idle(p);
    for (; n > 0 && pending_is_any(&b->pending); n--)
        pending_want(b);
}

void pool_share_on_news(struct wake *wake)
{
    struct upstreams *u = CONTAINER_OF(wake, struct upstreams, pending_news);
    struct pending_waiter *w;

    for (uint32_t i = 0; i < u->n_pools; i++) {
        struct pool *p = u->pools[i];

        if (!p)
            continue;
        while ((w = pending_take_told(pool_breaker(p), &p->member)))
            attempt_on_verdict(pool_share_attempt(w));
        if (atomic_exchange_explicit(&p->member.has_turn, false, memory_order_relaxed))
            pool_share_on_room(p);
        pool_share_reclaim(p);
    }
}

/* ---- room ---- */

/* Looks through all pools, which costs something only where there is no room. */
bool pool_share_close_oldest(struct upstreams *u)
{
    struct conn *oldest = NULL;

    for (uint32_t i = 0; i < u->n_pools; i++) {
        struct conn *c = u->pools[i] ? pool_share_oldest(u->pools[i]) : NULL;

        if (c && (!oldest || c->idle_since_us < oldest->idle_since_us))
            oldest = c;
        /* Streams of HTTP/2 may have made one used since. */
        if (u->pools[i])
            pool_share_note_idle(u->pools[i]);
    }
    if (!oldest)
        return false;
    if (u->limit.limit)
        atomic_fetch_add(&u->limit.limit->n_closed, 1);
    conn_close(oldest);
    return true;
}

void pool_share_on_limit(struct wake *wake)
{
    struct upstreams *u =
        CONTAINER_OF(CONTAINER_OF(wake, struct conn_limit_member, wake), struct upstreams, limit);
    size_t n = u->crowded.n_nodes;

    if (conn_limit_is_asked(&u->limit))
        pool_share_close_oldest(u);
    if (n == 0)
        return;
    /* A place that is given back while the last of them tries is not to be missed. */
    conn_limit_join(&u->limit);
    for (; n > 0 && u->crowded.first; n--)
        attempt_connect_again(CONTAINER_OF(u->crowded.first, struct attempt, node));
    conn_limit_leave(&u->limit);
}
