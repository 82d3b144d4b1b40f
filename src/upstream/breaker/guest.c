/* See guest.h. What is counted goes through the breaker as if it were our own, so that a process
 * which is taken over itself tells and asks the next one of it too. */
#include "upstream/breaker/guest.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "upstream/breaker/pending_elsewhere.h"

enum { US_PER_S = 1000000 };

struct guest_endpoint {
    struct endpoint_state *state; /* one reference */
    uint32_t n;                   /* connections */
};

struct guest_backend {
    struct guest *guest;
    struct backend_state *state; /* one reference */
    struct map endpoints;        /* struct guest_endpoint by text */
    uint32_t n[PLACE_KINDS];     /* but for connections */
    struct pending_member member;
    struct pending_waiter standin;
    struct breaker_limits limits; /* the stand-in's */
    struct buf tenant;            /* so too */
    bool has_standin;
    bool is_held; /* it does not stand: what it was granted could not be told */
};

/* ---- what is known ---- */

static struct breaker *guest_breaker(struct guest_backend *b)
{
    return &b->state->breaker;
}

/* NULL: none of ours. */
static struct guest_backend *guest_backend(struct guest *g, struct str name)
{
    struct guest_backend *b = map_find(&g->backends, name);
    struct backend_state *state = b ? NULL : backend_state_find(g->clusters, name);

    if (!state)
        return b;
    b = MEM_NEW(struct guest_backend);
    b->guest = g;
    b->state = state;
    pending_add_member(guest_breaker(b), &b->member, &g->news);
    map_put(&g->backends, state->name, b);
    return b;
}

/* NULL: no address's text, or one more than may be. */
static struct guest_endpoint *guest_endpoint(struct guest_backend *b, struct str text)
{
    struct guest_endpoint *e = map_find(&b->endpoints, text);
    char copy[ENDPOINT_TEXT_BYTES];

    if (e || text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len) ||
        b->guest->n_endpoints >= LIMIT_TAKEOVER_ENDPOINTS)
        return e;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    e = MEM_NEW(struct guest_endpoint);
    e->state = endpoint_state_get(b->state, copy);
    map_put(&b->endpoints, str_of(e->state->text), e);
    b->guest->n_endpoints++;
    return e;
}

struct endpoint_state *guest_endpoint_state(struct guest *g, struct str backend,
                                            struct str endpoint)
{
    struct guest_backend *b = guest_backend(g, backend);
    struct guest_endpoint *e = b ? guest_endpoint(b, endpoint) : NULL;

    return e ? e->state : NULL;
}

/* ---- places ---- */

static bool guest_take(struct guest_backend *b, enum place_kind kind, uint32_t limit)
{
    struct breaker_limits l = {.n_requests = limit};
    bool is_taken = false;

    switch (kind) {
    case PLACE_REQUEST:
        is_taken = breaker_take_request(guest_breaker(b), &l);
        break;
    case PLACE_RETRY:
        is_taken = breaker_take_retry(guest_breaker(b), limit);
        break;
    case PLACE_PENDING:
        is_taken = pending_enter_elsewhere(guest_breaker(b), limit);
        break;
    case PLACE_CONNECTION:
    case PLACE_KINDS:
        UNREACHABLE();
    }
    b->n[kind] += is_taken;
    return is_taken;
}

static void guest_put(struct guest_backend *b, enum place_kind kind)
{
    if (b->n[kind] == 0)
        return;
    b->n[kind]--;
    if (kind == PLACE_REQUEST)
        breaker_put_request(guest_breaker(b));
    else if (kind == PLACE_RETRY)
        breaker_put_retry(guest_breaker(b));
    else
        pending_leave_elsewhere(guest_breaker(b));
}

static bool guest_connect(struct guest_backend *b, struct guest_endpoint *e,
                          const struct breaker_limits *l)
{
    bool is_taken = breaker_take_connection(guest_breaker(b), e->state, l);

    e->n += is_taken;
    return is_taken;
}

static void guest_disconnect(struct guest_backend *b, struct guest_endpoint *e)
{
    if (e->n == 0)
        return;
    e->n--;
    breaker_put_connection(guest_breaker(b), e->state);
}

static void guest_apply_connections(struct guest_backend *b, const struct place_move *move)
{
    struct guest_endpoint *e = guest_endpoint(b, move->endpoint);

    for (int32_t i = 0; e && i < move->n && guest_connect(b, e, NULL); i++) {
    }
    for (int32_t i = 0; e && i > move->n && e->n > 0; i--)
        guest_disconnect(b, e);
}

void guest_apply(struct guest *g, const struct place_move *move)
{
    struct guest_backend *b = guest_backend(g, move->backend);

    if (!b)
        return;
    if (move->kind == PLACE_CONNECTION) {
        guest_apply_connections(b, move);
        return;
    }
    for (int32_t i = 0; i < move->n && guest_take(b, move->kind, BOUNDED_COUNT_MAX); i++) {
    }
    for (int32_t i = 0; i > move->n && b->n[move->kind] > 0; i--)
        guest_put(b, move->kind);
}

/* ---- standing in ---- */

static void guest_end_standin(struct guest_backend *b)
{
    b->has_standin = b->is_held = false;
    endpoint_set_unref(TAKE(b->standin.endpoints));
}

static void guest_stand(struct guest_backend *b)
{
    b->is_held = false;
    if (!pending_join(guest_breaker(b), &b->standin, buf_str(&b->tenant)))
        guest_end_standin(b);
}

static void guest_on_granted(struct guest_backend *b)
{
    struct guest *g = b->guest;
    struct guest_endpoint *e = guest_endpoint(b, str_of(b->standin.place->text));
    struct place_grant grant = {.backend = b->state->name,
                                .limit = breaker_limit(&b->limits.n_connections),
                                .endpoint_limit = breaker_limit(&b->limits.n_endpoint_connections),
                                .request_limit = breaker_limit(&b->limits.n_requests)};

    struct endpoint_set *endpoints = TAKE(b->standin.endpoints);

    ASSERT(e); /* since it was asked for */
    grant.endpoint = str_of(e->state->text);
    e->n++;
    b->n[PLACE_REQUEST]++;
    b->has_standin = false; /* another may stand in before this returns */
    if (g->on_grant && g->on_grant(g->ctx, &grant)) {
        endpoint_set_unref(endpoints);
        return;
    }
    /* The other may stand still: until it hears again the place is for others. */
    b->standin.endpoints = endpoints;
    b->has_standin = b->is_held = true;
    guest_put(b, PLACE_REQUEST);
    guest_disconnect(b, e);
}

void guest_retry(struct guest *g)
{
    MAP_FOREACH (&g->backends, slot) {
        struct guest_backend *b = slot->value;

        if (b->is_held)
            guest_stand(b);
    }
}

static void guest_on_news(struct wake *w)
{
    struct guest *g = CONTAINER_OF(w, struct guest, news);

    MAP_FOREACH (&g->backends, slot) {
        struct guest_backend *b = slot->value;

        if (pending_take_told(guest_breaker(b), &b->member))
            guest_on_granted(b);
        (void)pending_take_wanted(&b->member); /* it keeps no connection that is unused */
    }
}

static void guest_stand_in(struct guest_backend *b, const struct place_claim *claim)
{
    struct endpoint_set *set = endpoint_set_new(claim->n_endpoints, ENDPOINTS_KNOWN);

    set->n = 0;
    for (uint32_t i = 0; i < claim->n_endpoints; i++) {
        struct guest_endpoint *e = guest_endpoint(b, claim->endpoints[i]);

        if (e)
            memcpy(set->items[set->n++].text, e->state->text, sizeof e->state->text);
    }
    endpoint_set_bind(set, b->state);
    b->has_standin = set->n > 0;
    b->limits = (struct breaker_limits){.n_connections = claim->limit,
                                        .n_endpoint_connections = claim->endpoint_limit,
                                        .n_requests = claim->request_limit};
    b->standin = (struct pending_waiter){.home = &b->member,
                                         .limits = &b->limits,
                                         .endpoints = set,
                                         .is_fresh_wanted = true,
                                         .is_standin = true};
    buf_clear(&b->tenant);
    buf_append_str(&b->tenant, claim->tenant);
    if (b->has_standin)
        guest_stand(b);
    else
        guest_end_standin(b);
}

/* ---- questions ---- */

static bool guest_judge_connection(struct guest_backend *b, const struct place_claim *claim,
                                   uint32_t *ret_endpoint)
{
    const struct breaker_limits l = {.n_connections = claim->limit,
                                     .n_endpoint_connections = claim->endpoint_limit};

    /* Who is about to wait does not overtake those who do. */
    bool may_take = !claim->is_waiting || !pending_is_any(&guest_breaker(b)->pending);

    for (uint32_t i = 0; may_take && i < claim->n_endpoints; i++) {
        struct guest_endpoint *e = guest_endpoint(b, claim->endpoints[i]);

        *ret_endpoint = i;
        if (!e || !guest_connect(b, e, &l))
            continue;
        if (!claim->is_waiting || guest_take(b, PLACE_REQUEST, claim->request_limit))
            return true;
        guest_disconnect(b, e);
        break;
    }
    *ret_endpoint = 0;
    if (claim->is_waiting && !b->has_standin)
        guest_stand_in(b, claim);
    return false;
}

bool guest_judge(struct guest *g, const struct place_claim *claim, uint32_t *ret_endpoint)
{
    struct guest_backend *b = guest_backend(g, claim->backend);

    *ret_endpoint = 0;
    if (!b)
        return true;
    if (claim->kind == PLACE_CONNECTION)
        return guest_judge_connection(b, claim, ret_endpoint);
    return guest_take(b, claim->kind, claim->limit);
}

/* ---- life ---- */

static void guest_release(struct guest_backend *b)
{
    if (b->has_standin && !b->is_held)
        pending_leave(guest_breaker(b), &b->standin);
    if (b->has_standin)
        guest_end_standin(b);
    for (int kind = 0; kind < PLACE_CONNECTION; kind++) {
        while (b->n[kind] > 0)
            guest_put(b, (enum place_kind)kind);
    }
    MAP_FOREACH (&b->endpoints, slot) {
        struct guest_endpoint *e = slot->value;

        while (e->n > 0)
            guest_disconnect(b, e);
    }
}

static void guest_free(struct guest_backend *b)
{
    guest_release(b);
    pending_remove_member(guest_breaker(b), &b->member);
    MAP_FOREACH (&b->endpoints, slot) {
        struct guest_endpoint *e = slot->value;

        endpoint_state_unref(e->state);
        mem_free(e);
    }
    map_deinit(&b->endpoints);
    buf_deinit(&b->tenant);
    backend_state_unref(b->state);
    mem_free(b);
}

static void guest_on_forget(struct timer *t)
{
    struct guest *g = CONTAINER_OF(t, struct guest, forget);

    MAP_FOREACH (&g->backends, slot)
        guest_free(slot->value);
    map_deinit(&g->backends);
    g->backends = (struct map){0};
    g->n_endpoints = 0;
}

void guest_disown(struct guest *g)
{
    MAP_FOREACH (&g->backends, slot)
        guest_release(slot->value);
    timer_set(g->loop, &g->forget, g->loop->now.mono_us + LIMIT_TAKEOVER_MEMORY_S * US_PER_S);
}

void guest_init(struct guest *g, struct cluster_registry *clusters, struct loop *l)
{
    *g = (struct guest){.clusters = clusters, .loop = l, .forget.fn = guest_on_forget};
    wake_init(&g->news, l, guest_on_news);
}

void guest_deinit(struct guest *g)
{
    if (!g->loop)
        return;
    timer_cancel(g->loop, &g->forget);
    guest_on_forget(&g->forget);
    g->loop = NULL;
}
