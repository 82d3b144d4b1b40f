/* Counting for the breaker. Every bound is kept by one compare-and-swap of its count, so that two
 * workers never take the last place both. What is counted together with another process while that
 * one takes over is told it, or asked of it (places.h). */
#include "upstream/breaker/breaker.h"

#include "base/assert.h"
#include "upstream/backend_state.h"
#include "upstream/breaker/pending_elsewhere.h"

const char *breaker_overflow_word(enum breaker_overflow what)
{
    static const char *const words[] = {
#define X(name, word) word,
        BREAKER_OVERFLOWS(X)
#undef X
    };

    return words[what];
}

static bool breaker_limit_set(_Atomic uint32_t *limit, const _Atomic uint32_t *to)
{
    uint32_t n = breaker_limit(to);

    return atomic_exchange_explicit(limit, n, memory_order_acq_rel) != n;
}

/* Where as many may be under way as there may be connections, before and after, it is so in
 * between, or who waits for one of those would be refused for want of the other. */
bool breaker_limits_set(struct breaker_limits *l, const struct breaker_limits *to)
{
    bool is_wider = breaker_limit(&to->n_requests) > breaker_limit(&l->n_requests);
    bool is_changed = is_wider && breaker_limit_set(&l->n_requests, &to->n_requests);

    is_changed |= breaker_limit_set(&l->n_connections, &to->n_connections);
    is_changed |= breaker_limit_set(&l->n_requests, &to->n_requests);
    is_changed |= breaker_limit_set(&l->n_endpoint_connections, &to->n_endpoint_connections);
    is_changed |= breaker_limit_set(&l->n_pending, &to->n_pending);
    is_changed |= breaker_limit_set(&l->n_served, &to->n_served);
    return is_changed;
}

bool breaker_limits_fill_connections(const struct breaker_limits *l)
{
    uint32_t n_connections, n_requests;

    do {
        n_connections = breaker_limit(&l->n_connections);
        n_requests = breaker_limit(&l->n_requests);
    } while (UNLIKELY(n_connections != breaker_limit(&l->n_connections)));
    return n_requests >= n_connections;
}

bool breaker_limits_are_shut(const struct breaker_limits *l)
{
    return breaker_limit(&l->n_connections) == 0 ||
           breaker_limit(&l->n_endpoint_connections) == 0 || breaker_limit(&l->n_requests) == 0;
}

void breaker_init(struct breaker *b)
{
    *b = (struct breaker){0};
    pending_init(&b->pending);
}

void breaker_join(struct breaker *b, struct places *places, struct str backend)
{
    uint32_t session = places_session(places);
    uint32_t before;

    b->places = places;
    b->backend = backend;
    bounded_count_mark(&b->requests, session, &before);
    bounded_count_mark(&b->retries, session, &before);
    pending_share(b, session);
}

void breaker_deinit(struct breaker *b)
{
    pending_deinit(&b->pending);
}

void breaker_watch(struct breaker *b)
{
    atomic_store_explicit(&b->is_watched, true, memory_order_relaxed);
}

void breaker_count_overflow(struct breaker *b, enum breaker_overflow what)
{
    atomic_fetch_add_explicit(&b->n_overflows[what], 1, memory_order_relaxed);
}

/* A place that is not bounded is not asked for: nobody could refuse it. */
static enum place_verdict breaker_ask(const struct breaker *b, enum place_kind kind, uint32_t limit)
{
    struct place_claim claim = {.kind = kind, .limit = limit};
    uint32_t endpoint;

    if (limit >= BOUNDED_COUNT_MAX)
        return PLACE_UNKNOWN;
    return places_ask(b, &claim, &endpoint);
}

/* Counted by another already, who has allowed it. */
static void breaker_hold(struct bounded_count *c)
{
    bool has_room = bounded_count_take(c, BOUNDED_COUNT_MAX);

    ASSERT(has_room);
}

static bool breaker_take(struct breaker *b, struct bounded_count *c, uint32_t limit,
                         enum place_kind kind)
{
    enum place_verdict verdict =
        UNLIKELY(breaker_is_deferred(b)) ? breaker_ask(b, kind, limit) : PLACE_UNKNOWN;
    uint32_t mark;

    if (UNLIKELY(verdict == PLACE_GIVEN)) {
        breaker_hold(c);
        return true;
    }
    if (verdict == PLACE_UNKNOWN && bounded_count_take_marked(c, limit, &mark)) {
        if (UNLIKELY(mark))
            places_tell(b, kind, STR(""), mark, 1);
        return true;
    }
    return false;
}

static void breaker_put(const struct breaker *b, struct bounded_count *c, enum place_kind kind)
{
    uint32_t mark = bounded_count_put(c);

    if (UNLIKELY(mark))
        places_tell(b, kind, STR(""), mark, -1);
}

bool breaker_take_request(struct breaker *b, const struct breaker_limits *l)
{
    return breaker_take(b, &b->requests, l ? breaker_limit(&l->n_requests) : BOUNDED_COUNT_MAX,
                        PLACE_REQUEST);
}

/* No wake is lost: who wants a place says so first and looks second, who gives one back does so
 * first and looks for that word second; both change it, so that one of them sees the other. */
void breaker_put_request(struct breaker *b)
{
    breaker_put(b, &b->requests, PLACE_REQUEST);
    if (UNLIKELY(atomic_exchange_explicit(&b->is_request_wanted, false, memory_order_acq_rel)))
        pending_on_place(b, true);
}

bool breaker_wants_request(struct breaker *b, const struct breaker_limits *l)
{
    if (bounded_count_get(&b->requests) < breaker_limit(&l->n_requests))
        return true;
    atomic_exchange_explicit(&b->is_request_wanted, true, memory_order_acq_rel);
    return bounded_count_get(&b->requests) < breaker_limit(&l->n_requests);
}

bool breaker_take_retry(struct breaker *b, uint32_t limit)
{
    if (breaker_take(b, &b->retries, MIN(limit, (uint32_t)BOUNDED_COUNT_MAX), PLACE_RETRY))
        return true;
    breaker_count_overflow(b, BREAKER_RETRIES);
    return false;
}

void breaker_put_retry(struct breaker *b)
{
    breaker_put(b, &b->retries, PLACE_RETRY);
}

/* ---- connections ---- */

void breaker_hold_connection(struct breaker *b, struct endpoint_state *e)
{
    breaker_hold(&e->connections);
    breaker_hold(&b->connections);
}

void breaker_hold_both(struct breaker *b, struct endpoint_state *e)
{
    breaker_hold(&b->requests);
    breaker_hold_connection(b, e);
}

static void breaker_let_go(const struct breaker *b, struct endpoint_state *e)
{
    uint32_t mark = bounded_count_put(&e->connections);

    if (UNLIKELY(mark))
        places_tell(b, PLACE_CONNECTION, str_of(e->text), mark, -1);
}

static enum place_verdict breaker_ask_connection(const struct breaker *b,
                                                 const struct endpoint_state *e,
                                                 const struct breaker_limits *l)
{
    struct place_claim claim = {.kind = PLACE_CONNECTION,
                                .limit = breaker_limit(&l->n_connections),
                                .endpoint_limit = breaker_limit(&l->n_endpoint_connections),
                                .n_endpoints = 1,
                                .endpoints = {str_of(e->text)}};
    uint32_t endpoint;

    return places_ask(b, &claim, &endpoint);
}

void breaker_drop_connection(struct breaker *b, struct endpoint_state *e)
{
    breaker_let_go(b, e);
    bounded_count_put(&b->connections);
}

bool breaker_try_connection(struct breaker *b, struct endpoint_state *e,
                            const struct breaker_limits *l)
{
    uint32_t limit = l ? breaker_limit(&l->n_endpoint_connections) : BOUNDED_COUNT_MAX;
    uint32_t mark;

    if (!bounded_count_take_marked(&e->connections, limit, &mark))
        return false;
    if (UNLIKELY(mark))
        places_tell(b, PLACE_CONNECTION, str_of(e->text), mark, 1);
    if (bounded_count_take(&b->connections,
                           l ? breaker_limit(&l->n_connections) : BOUNDED_COUNT_MAX))
        return true;
    breaker_let_go(b, e);
    return false;
}

bool breaker_take_connection(struct breaker *b, struct endpoint_state *e,
                             const struct breaker_limits *l)
{
    enum place_verdict verdict = PLACE_UNKNOWN;

    if (l && bounded_count_get(&b->connections) >= breaker_limit(&l->n_connections))
        return false; /* as a rule: nothing was touched */
    if (UNLIKELY(l && breaker_is_deferred(b)))
        verdict = breaker_ask_connection(b, e, l);
    if (verdict == PLACE_GIVEN)
        breaker_hold_connection(b, e);
    if (verdict != PLACE_UNKNOWN)
        return verdict == PLACE_GIVEN;
    if (breaker_try_connection(b, e, l))
        return true;
    /* Who has looked meanwhile has seen a place of the endpoint taken that was not. */
    if (pending_is_any_now(&b->pending))
        pending_on_place(b, false);
    return false;
}

void breaker_put_connection(struct breaker *b, struct endpoint_state *e)
{
    breaker_drop_connection(b, e);
    if (pending_is_any_now(&b->pending))
        pending_on_place(b, false);
}
