/* See places.h. The marks of counts (bounded_count.h) are sessions, so that no change is told twice
 * or not at all. The other process cannot count below nothing, so what a count was when its mark
 * was set has to reach it before what is given back of it: one lock, which nobody takes while
 * nothing is told. Locks are taken in this order: registry, backend, queue, that one. */
#include "upstream/breaker/places.h"

#include "base/assert.h"
#include "upstream/breaker/pending_elsewhere.h"
#include "upstream/cluster.h"

void places_init(struct places *p)
{
    *p = (struct places){0};
    pthread_mutex_init(&p->telling, NULL);
}

void places_deinit(struct places *p)
{
    pthread_mutex_destroy(&p->telling);
}

/* Under the lock. */
static void places_say(const struct breaker *b, const struct place_move *move)
{
    PRE(move->session != 0);
    b->places->tell(b->places->tell_ctx, move);
}

void places_tell(const struct breaker *b, enum place_kind kind, struct str endpoint,
                 uint32_t session, int32_t n)
{
    const struct place_move move = {
        .backend = b->backend, .endpoint = endpoint, .kind = kind, .session = session, .n = n};

    pthread_mutex_lock(&b->places->telling);
    places_say(b, &move);
    pthread_mutex_unlock(&b->places->telling);
}

enum place_verdict places_ask(const struct breaker *b, struct place_claim *claim,
                              uint32_t *ret_endpoint)
{
    place_ask_fn *ask =
        b->places ? atomic_load_explicit(&b->places->ask, memory_order_acquire) : NULL;

    *ret_endpoint = 0;
    claim->backend = b->backend;
    return ask ? ask(b->places->ask_ctx, claim, ret_endpoint) : PLACE_UNKNOWN;
}

/* ---- sharing ---- */

/* Who made the count after the session was set has told all of it already. */
static void places_mark(const struct breaker *b, struct bounded_count *c, enum place_kind kind,
                        struct str endpoint, uint32_t session)
{
    struct place_move move = {
        .backend = b->backend, .endpoint = endpoint, .kind = kind, .session = session};
    uint32_t before, n;

    pthread_mutex_lock(&b->places->telling);
    n = bounded_count_mark(c, session, &before);
    move.n = (int32_t)MIN(n, (uint32_t)INT32_MAX);
    if (session != 0 && before != session && n > 0)
        places_say(b, &move);
    pthread_mutex_unlock(&b->places->telling);
}

static void places_share_backend(struct backend_state *s, uint32_t session)
{
    struct breaker *b = &s->breaker;

    places_mark(b, &b->requests, PLACE_REQUEST, STR(""), session);
    places_mark(b, &b->retries, PLACE_RETRY, STR(""), session);
    pending_share(b, session);
    pthread_mutex_lock(&s->lock);
    MAP_FOREACH (&s->endpoints, slot) {
        struct endpoint_state *e = slot->value;

        places_mark(b, &e->connections, PLACE_CONNECTION, str_of(e->text), session);
    }
    pthread_mutex_unlock(&s->lock);
}

static void places_share_all(struct cluster_registry *r, uint32_t session)
{
    pthread_mutex_lock(&r->lock);
    atomic_store_explicit(&r->places.session, session, memory_order_release);
    MAP_FOREACH (&r->backends, slot)
        places_share_backend(slot->value, session);
    pthread_mutex_unlock(&r->lock);
}

void places_share(struct cluster_registry *r, uint32_t session, place_tell_fn *tell, void *ctx)
{
    PRE(session != 0 && tell && places_session(&r->places) == 0);
    if (!r->places.tell) { /* seen by whoever finds the mark in a count; the same ever after */
        r->places.tell = tell;
        r->places.tell_ctx = ctx;
    }
    ASSERT(r->places.tell == tell && r->places.tell_ctx == ctx);
    places_share_all(r, session);
}

void places_unshare(struct cluster_registry *r)
{
    places_share_all(r, 0);
}

void places_defer(struct cluster_registry *r, place_ask_fn *ask, void *ctx)
{
    if (!r->places.ask_ctx)
        r->places.ask_ctx = ctx;
    ASSERT(r->places.ask_ctx == ctx);
    atomic_store_explicit(&r->places.ask, ask, memory_order_release);
    if (ask)
        return;
    pthread_mutex_lock(&r->lock);
    MAP_FOREACH (&r->backends, slot) {
        struct backend_state *s = slot->value;

        if (pending_is_any_now(&s->breaker.pending))
            pending_on_place(&s->breaker, true);
    }
    pthread_mutex_unlock(&r->lock);
}

/* ---- grants ---- */

/* A backend that is not there any more. */
static void places_refuse(struct cluster_registry *r, const struct place_grant *grant)
{
    const struct breaker nobody = {.places = &r->places, .backend = grant->backend};
    uint32_t session = places_session(&r->places);

    if (session == 0)
        return;
    places_tell(&nobody, PLACE_REQUEST, STR(""), session, -1);
    places_tell(&nobody, PLACE_CONNECTION, grant->endpoint, session, -1);
}

void places_grant(struct cluster_registry *r, const struct place_grant *grant)
{
    struct backend_state *b = backend_state_find(r, grant->backend);
    char text[ENDPOINT_TEXT_BYTES];
    struct endpoint_state *e;

    if (!b || grant->endpoint.len >= sizeof text) {
        if (b)
            backend_state_unref(b);
        places_refuse(r, grant);
        return;
    }
    memcpy(text, grant->endpoint.ptr, grant->endpoint.len);
    text[grant->endpoint.len] = '\0';
    e = endpoint_state_get(b, text);
    breaker_hold_both(&b->breaker, e);
    if (!pending_give(&b->breaker, e, grant)) {
        breaker_put_request(&b->breaker);
        breaker_put_connection(&b->breaker, e);
    }
    endpoint_state_unref(e);
    backend_state_unref(b);
}
