/* Waiting for connections: whose turn it is, what the bounds are, who is asked for what is unused;
 * and threads that hand places over to each other, where none may get lost. */
#include "upstream/breaker/pending.h"

#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/random.h"
#include "net/loop.h"
#include "test/harness/test.h"
#include "upstream/cluster.h"

static struct cluster_registry registry;
static struct cluster *cluster;
static struct endpoint_set *endpoints;
static struct breaker *breaker;

static void begin(uint32_t n_endpoints)
{
    struct cluster_identity identity = {.key = STR("k"), .name = STR("Backend/ns/b")};

    cluster_registry_init(&registry);
    identity.endpoints = endpoint_set_new(n_endpoints, ENDPOINTS_KNOWN);
    for (uint32_t i = 0; i < n_endpoints; i++)
        CHECK(
            endpoint_init_ip(&identity.endpoints->items[i], STR("127.0.0.1"), (uint16_t)(80 + i)));
    cluster = cluster_registry_get(&registry, &identity);
    endpoints = cluster_endpoints(cluster);
    breaker = &cluster->backend->breaker;
}

static void finish(void)
{
    CHECK(!pending_is_any(&breaker->pending));
    CHECK_INT(bounded_count_get(&breaker->connections), 0);
    for (uint32_t i = 0; i < endpoints->n; i++)
        CHECK_INT(bounded_count_get(&endpoints->items[i].state->connections), 0);
    endpoint_set_unref(endpoints);
    cluster_unref(cluster);
    cluster_registry_deinit(&registry);
}

/* A worker whose loop nobody turns: wakes are seen by what is told. */
struct desk {
    struct loop loop;
    struct wake wake;
    struct pending_member member;
};

static void on_wake(struct wake *w UNUSED)
{
}

static void open_desk(struct desk *d)
{
    CHECK_INT(loop_init(&d->loop), 0);
    wake_init(&d->wake, &d->loop, on_wake);
    pending_add_member(breaker, &d->member, &d->wake);
}

static void close_desk(struct desk *d)
{
    pending_remove_member(breaker, &d->member);
    loop_deinit(&d->loop);
}

static struct endpoint_state *place_of(uint32_t i)
{
    return endpoints->items[i].state;
}

static bool join(struct pending_waiter *w, struct desk *d, const struct breaker_limits *l,
                 const char *tenant)
{
    *w = (struct pending_waiter){.home = &d->member, .limits = l, .endpoints = endpoints};
    return pending_join(breaker, w, str_of(tenant));
}

static const struct breaker_limits one = {.n_connections = 1,
                                          .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                          .n_requests = BOUNDED_COUNT_MAX,
                                          .n_pending = 4};

TEST(a_place_that_is_given_back_is_handed_to_who_waits)
{
    struct desk d;
    struct pending_waiter a, b;

    begin(1);
    open_desk(&d);
    CHECK(breaker_take_connection(breaker, place_of(0), &one));
    CHECK(join(&a, &d, &one, "t") && join(&b, &d, &one, "t"));
    CHECK(pending_take_told(breaker, &d.member) == NULL);
    breaker_put_connection(breaker, place_of(0));
    CHECK_INT(bounded_count_get(&breaker->connections), 1);
    CHECK_MSG(!breaker_take_connection(breaker, place_of(0), &one), "nobody comes in between");
    CHECK(pending_take_told(breaker, &d.member) == &a);
    CHECK(a.verdict == PENDING_GRANTED && a.place == &endpoints->items[0]);
    CHECK(pending_take_told(breaker, &d.member) == NULL);
    breaker_put_connection(breaker, place_of(0));
    CHECK(pending_take_told(breaker, &d.member) == &b);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

TEST(one_who_leaves_gives_what_it_was_granted_to_the_next)
{
    struct desk d;
    struct pending_waiter a, b, c;

    begin(1);
    open_desk(&d);
    CHECK(breaker_take_connection(breaker, place_of(0), &one));
    CHECK(join(&a, &d, &one, "t") && join(&b, &d, &one, "t") && join(&c, &d, &one, "t"));
    pending_leave(breaker, &b);
    breaker_put_connection(breaker, place_of(0));
    CHECK_INT(a.verdict, PENDING_GRANTED);
    pending_leave(breaker, &a);
    CHECK(pending_take_told(breaker, &d.member) == &c && c.verdict == PENDING_GRANTED);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

TEST(who_needs_no_more_than_a_place_among_the_requests_has_its_connections_looked_at)
{
    static const struct breaker_limits l = {.n_connections = 1,
                                            .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                            .n_requests = 1,
                                            .n_pending = 4};
    struct pending_waiter a;
    struct desk here, there;
    bool yields;

    begin(1);
    open_desk(&here);
    open_desk(&there);
    struct pending_offer offer = {.endpoint = place_of(0), .is_busy = true};

    CHECK(breaker_take_connection(breaker, place_of(0), &l));
    CHECK(breaker_take_request(breaker, &l));
    CHECK(join(&a, &here, &l, "t"));
    CHECK(pending_serve(breaker, &here.member, &offer, &yields) == NULL && !yields);
    CHECK(!here.member.has_turn);
    breaker_put_request(breaker);
    CHECK_MSG(here.member.has_turn && here.wake.is_posted, "its connection is good for it now");
    CHECK(!there.member.has_turn && !there.wake.is_posted);
    CHECK(pending_serve(breaker, &here.member, &offer, &yields) == &a);
    breaker_put_request(breaker);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&here);
    close_desk(&there);
    finish();
}

TEST(a_place_comes_with_one_among_the_requests)
{
    static const struct breaker_limits l = {.n_connections = 2,
                                            .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                            .n_requests = 1,
                                            .n_pending = 4};
    struct pending_offer offer = {.endpoint = NULL};
    struct pending_waiter a, b;
    bool yields;
    struct desk d;

    begin(1);
    open_desk(&d);
    CHECK(breaker_take_request(breaker, &l));
    CHECK(join(&a, &d, &l, "t") && join(&b, &d, &l, "t"));
    CHECK_MSG(pending_take_told(breaker, &d.member) == NULL, "room for a connection is not enough");
    CHECK(pending_serve(breaker, &d.member, &offer, &yields) == NULL && !yields);
    breaker_put_request(breaker);
    CHECK(pending_take_told(breaker, &d.member) == &a && a.verdict == PENDING_GRANTED);
    CHECK_INT(bounded_count_get(&breaker->requests), 1);
    CHECK(pending_serve(breaker, &d.member, &offer, &yields) == NULL && !yields);
    breaker_put_request(breaker);
    CHECK_MSG(pending_take_told(breaker, &d.member) == &b, "there is room for two connections");
    breaker_put_request(breaker);
    breaker_put_connection(breaker, place_of(0));
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

TEST(who_waits_takes_no_connection_to_an_endpoint_that_is_ill)
{
    struct pending_offer offer = {.is_ill = true};
    struct pending_waiter a;
    bool yields;
    struct desk d;

    begin(2);
    open_desk(&d);
    CHECK(breaker_take_connection(breaker, place_of(0), &one));
    CHECK(join(&a, &d, &one, "t"));
    offer.endpoint = endpoints->items[0].state;
    CHECK(pending_serve(breaker, &d.member, &offer, &yields) == NULL && !yields);
    offer.may_yield = true;
    CHECK(pending_serve(breaker, &d.member, &offer, &yields) == NULL);
    CHECK_MSG(yields, "without it there is a place elsewhere");
    offer.is_ill = false;
    CHECK(pending_serve(breaker, &d.member, &offer, &yields) == &a);
    breaker_put_request(breaker);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

TEST(a_queue_without_room_lets_in_who_comes_for_an_unused_connection)
{
    static const struct breaker_limits none = {.n_connections = 1,
                                               .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                               .n_requests = BOUNDED_COUNT_MAX};
    struct desk d, other;
    struct pending_waiter a, b;

    begin(1);
    open_desk(&d);
    open_desk(&other);
    CHECK(breaker_take_connection(breaker, place_of(0), &none));
    CHECK_MSG(!join(&a, &d, &none, "t"), "it is in use");
    atomic_store(&other.member.idle_since_us, 7);
    CHECK(join(&a, &d, &none, "t"));
    CHECK_MSG(!join(&b, &d, &none, "t"), "one connection is for one");
    CHECK_INT(pending_take_wanted(&other.member), 1);
    atomic_store(&other.member.idle_since_us, PENDING_NEVER_US);
    breaker_put_connection(breaker, place_of(0));
    CHECK(pending_take_told(breaker, &d.member) == &a && a.verdict == PENDING_GRANTED);
    CHECK_INT(pending_count(&breaker->pending), 0);

    atomic_store(&other.member.idle_since_us, 7);
    CHECK(join(&b, &d, &none, "t"));
    atomic_store(&other.member.idle_since_us, PENDING_NEVER_US); /* its worker was faster */
    CHECK_INT(pending_take_wanted(&other.member), 1);
    pending_want(breaker);
    CHECK(pending_take_told(breaker, &d.member) == &b && b.verdict == PENDING_DROPPED);
    breaker_put_request(breaker);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&other);
    close_desk(&d);
    finish();
}

TEST(a_place_within_the_bounds_is_had_at_once)
{
    struct desk d;
    struct pending_waiter a;

    begin(1);
    open_desk(&d);
    CHECK(join(&a, &d, &one, "t"));
    CHECK(pending_take_told(breaker, &d.member) == &a && a.verdict == PENDING_GRANTED);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

TEST(bounds_are_those_of_who_waits)
{
    static const struct breaker_limits two = {.n_connections = 2,
                                              .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                              .n_requests = BOUNDED_COUNT_MAX,
                                              .n_pending = 4};
    struct desk d;
    struct pending_waiter narrow, wide;

    begin(1);
    open_desk(&d);
    CHECK(breaker_take_connection(breaker, place_of(0), NULL));
    CHECK(breaker_take_connection(breaker, place_of(0), NULL));
    CHECK(join(&narrow, &d, &one, "t") && join(&wide, &d, &two, "t"));
    breaker_put_connection(breaker, place_of(0));
    CHECK_MSG(pending_take_told(breaker, &d.member) == &wide, "the older one may not have it");
    breaker_put_connection(breaker, place_of(0));
    CHECK(pending_take_told(breaker, &d.member) == NULL);
    breaker_put_connection(breaker, place_of(0));
    CHECK(pending_take_told(breaker, &d.member) == &narrow);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

TEST(an_endpoint_with_room_is_chosen)
{
    static const struct breaker_limits l = {.n_connections = 9,
                                            .n_endpoint_connections = 2,
                                            .n_requests = BOUNDED_COUNT_MAX,
                                            .n_pending = 4};
    struct desk d;
    struct pending_waiter a;

    begin(2);
    open_desk(&d);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(breaker_take_connection(breaker, place_of(i), &l) &&
              breaker_take_connection(breaker, place_of(i), &l));
    CHECK(join(&a, &d, &l, "t"));
    breaker_put_connection(breaker, place_of(1));
    CHECK(pending_take_told(breaker, &d.member) == &a && a.place == &endpoints->items[1]);
    for (uint32_t i = 0; i < 2; i++) {
        breaker_put_connection(breaker, place_of(i));
        breaker_put_connection(breaker, place_of(i));
    }
    close_desk(&d);
    finish();
}

TEST(tenants_take_turns_however_many_they_are)
{
    static const struct breaker_limits l = {.n_connections = 1,
                                            .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                            .n_requests = BOUNDED_COUNT_MAX,
                                            .n_pending = 20};
    struct pending_waiter greedy[12], modest[3];
    uint32_t n_modest = 0;
    struct desk d;

    begin(1);
    open_desk(&d);
    CHECK(breaker_take_connection(breaker, place_of(0), &l));
    for (int i = 0; i < 12; i++)
        CHECK(join(&greedy[i], &d, &l, "greedy"));
    for (int i = 0; i < 3; i++)
        CHECK(join(&modest[i], &d, &l, "modest"));
    for (int i = 0; i < 15; i++) {
        struct pending_waiter *w;

        breaker_put_connection(breaker, place_of(0));
        w = pending_take_told(breaker, &d.member);
        CHECK(w != NULL);
        if (i < 6 && w >= modest && w < modest + 3)
            CHECK(w == &modest[n_modest++]);
    }
    CHECK_MSG(n_modest == 3, "%u of the first six", n_modest);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

TEST(a_queue_that_one_tenant_has_filled_is_not_closed_to_others)
{
    struct pending_waiter greedy[4], modest[3];
    struct desk d;

    begin(1);
    open_desk(&d);
    CHECK(breaker_take_connection(breaker, place_of(0), &one));
    for (int i = 0; i < 4; i++)
        CHECK(join(&greedy[i], &d, &one, "greedy"));
    CHECK(!join(&modest[2], &d, &one, "greedy"));
    CHECK_INT(atomic_load(&breaker->n_overflows[BREAKER_PENDING]), 1);
    for (int i = 0; i < 2; i++) {
        CHECK(join(&modest[i], &d, &one, "modest"));
        CHECK_MSG(pending_take_told(breaker, &d.member) == &greedy[3 - i], "its newest leaves");
        CHECK_INT(greedy[3 - i].verdict, PENDING_DROPPED);
    }
    CHECK_MSG(!join(&modest[2], &d, &one, "modest"), "they have equal shares now");
    CHECK_INT(atomic_load(&breaker->n_overflows[BREAKER_PENDING]), 4);
    for (int i = 0; i < 2; i++) {
        pending_leave(breaker, &greedy[i]);
        pending_leave(breaker, &modest[i]);
    }
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

TEST(a_queue_of_no_length_takes_nobody)
{
    static const struct breaker_limits l = {
        .n_connections = 1, .n_endpoint_connections = 1, .n_requests = BOUNDED_COUNT_MAX};
    struct pending_waiter a;
    struct desk d;

    begin(1);
    open_desk(&d);
    CHECK(!join(&a, &d, &l, "t"));
    CHECK_INT(breaker->pending.by_tenant.n_items, 0);
    close_desk(&d);
    finish();
}

TEST(who_has_the_oldest_unused_connection_is_asked_for_it)
{
    struct desk d[3];
    struct pending_waiter a;

    begin(1);
    for (int i = 0; i < 3; i++)
        open_desk(&d[i]);
    CHECK(breaker_take_connection(breaker, place_of(0), &one));
    atomic_store(&d[0].member.idle_since_us, 7);
    atomic_store(&d[1].member.idle_since_us, 5);
    CHECK(join(&a, &d[2], &one, "t"));
    CHECK_INT(pending_take_wanted(&d[0].member), 0);
    CHECK_INT(pending_take_wanted(&d[1].member), 1);
    atomic_store(&d[1].member.idle_since_us, PENDING_NEVER_US);
    pending_want(breaker);
    CHECK_INT(pending_take_wanted(&d[0].member), 1);
    breaker_put_connection(breaker, place_of(0));
    CHECK(pending_take_told(breaker, &d[2].member) == &a);
    breaker_put_connection(breaker, place_of(0));
    for (int i = 0; i < 3; i++)
        close_desk(&d[i]);
    finish();
}

TEST(an_open_connection_serves_its_own_worker_and_yields_in_the_end)
{
    struct desk mine, theirs;
    struct pending_waiter far, near[12];
    static const struct breaker_limits l = {.n_connections = 1,
                                            .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                            .n_requests = BOUNDED_COUNT_MAX,
                                            .n_pending = 20};
    struct pending_offer offer = {.is_busy = true, .may_yield = true};
    uint32_t n_served = 0;
    bool yields = false;

    begin(1);
    offer.endpoint = endpoints->items[0].state;
    open_desk(&mine);
    open_desk(&theirs);
    CHECK(breaker_take_connection(breaker, place_of(0), &l));
    CHECK(join(&far, &theirs, &l, "t"));
    for (int i = 0; i < 12; i++)
        CHECK(join(&near[i], &mine, &l, "t"));
    while (!yields) {
        struct pending_waiter *w = pending_serve(breaker, &mine.member, &offer, &yields);

        CHECK((w != NULL) != yields);
        if (w)
            CHECK(w == &near[n_served++]);
    }
    CHECK_MSG(n_served > 0 && n_served < 12, "%u before it", n_served);
    CHECK_MSG(pending_serve(breaker, &mine.member, &offer, &yields) == &near[n_served],
              "one connection is enough");
    n_served++;
    pending_end_yielding(breaker);
    breaker_put_connection(breaker, place_of(0));
    CHECK(pending_take_told(breaker, &theirs.member) == &far);
    while (n_served < 12)
        pending_leave(breaker, &near[n_served++]);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&mine);
    close_desk(&theirs);
    finish();
}

TEST(who_is_not_given_what_was_ended_for_it_is_not_forgotten)
{
    struct desk mine, theirs;
    struct pending_waiter far;
    struct pending_offer offer = {.may_yield = true};
    bool yields;

    begin(1);
    offer.endpoint = endpoints->items[0].state;
    open_desk(&mine);
    open_desk(&theirs);
    CHECK(breaker_take_connection(breaker, place_of(0), &one));
    CHECK(join(&far, &theirs, &one, "t"));
    for (int i = 0; i < 3; i++)
        CHECK(pending_serve(breaker, &mine.member, &offer, &yields) == NULL && yields);
    offer.is_busy = true;
    CHECK(pending_serve(breaker, &mine.member, &offer, &yields) == NULL && yields);
    CHECK(pending_serve(breaker, &mine.member, &offer, &yields) == NULL && !yields);
    pending_end_yielding(breaker);
    CHECK(pending_serve(breaker, &mine.member, &offer, &yields) == NULL && yields);
    pending_end_yielding(breaker);
    pending_leave(breaker, &far);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&mine);
    close_desk(&theirs);
    finish();
}

TEST(what_only_a_new_connection_serves_is_not_served_by_an_open_one)
{
    struct desk d;
    struct pending_waiter fresh, upgrade;
    struct pending_offer offer = {.is_shared = true};
    bool yields;

    begin(1);
    open_desk(&d);
    offer.endpoint = endpoints->items[0].state;
    CHECK(breaker_take_connection(breaker, place_of(0), &one));
    fresh = (struct pending_waiter){.home = &d.member,
                                    .limits = &one,
                                    .endpoints = endpoints,
                                    .is_fresh_wanted = true,
                                    .may_share = true};
    CHECK(pending_join(breaker, &fresh, STR("t")));
    CHECK(join(&upgrade, &d, &one, "t"));
    CHECK(pending_serve(breaker, &d.member, &offer, &yields) == NULL && !yields);
    offer.is_shared = false;
    CHECK(pending_serve(breaker, &d.member, &offer, &yields) == &upgrade);
    pending_leave(breaker, &fresh);
    breaker_put_connection(breaker, place_of(0));
    close_desk(&d);
    finish();
}

/* ---- threads ---- */

/* Of a connection that is unused while a request waits it is not known which of the two bounds is
 * in the way: here either may be. */
enum { N_WORKERS = 4, N_CLIENTS = 12, N_ROUNDS = 400, N_PLACES = 3, N_REQUESTS = 2 };

static struct breaker_limits few = {.n_connections = N_PLACES,
                                    .n_endpoint_connections = 2,
                                    .n_requests = N_REQUESTS,
                                    .n_pending = BOUNDED_COUNT_MAX};

struct client {
    struct pending_waiter waiter;
    enum { CLIENT_OUT, CLIENT_WAITING, CLIENT_IN } state;
    struct endpoint *place;
    uint32_t n_rounds;
};

struct crew {
    struct desk desk;
    struct client clients[N_CLIENTS];
    struct endpoint *idle; /* an unused connection that it keeps */
    struct random random;
    uint32_t n_done;
    uint32_t index;
};

static _Atomic uint32_t n_inside;
static _Atomic uint32_t n_beyond;

static void crew_enter(struct client *c, struct endpoint *place)
{
    c->state = CLIENT_IN;
    c->place = place;
    if (atomic_fetch_add(&n_inside, 1) >= N_REQUESTS)
        atomic_fetch_add(&n_beyond, 1);
}

static void crew_close_idle(struct crew *w)
{
    struct endpoint *e = w->idle;

    if (!e)
        return;
    w->idle = NULL;
    atomic_store(&w->desk.member.idle_since_us, PENDING_NEVER_US);
    breaker_put_connection(breaker, e->state);
}

static void crew_on_news(struct crew *w)
{
    struct pending_waiter *p;
    uint32_t n;

    while ((p = pending_take_told(breaker, &w->desk.member)))
        crew_enter(CONTAINER_OF(p, struct client, waiter), p->place);
    n = pending_take_wanted(&w->desk.member);
    if (n > 0 && w->idle) {
        crew_close_idle(w);
        n--;
    }
    while (n-- > 0)
        pending_want(breaker);
}

/* Keeps it unused for a while, or gives it back; as pool_share_on_idle, it looks at the queue once
 * it is known to be unused. */
static void crew_let_go(struct crew *w, struct client *c)
{
    struct endpoint *e = c->place;

    c->state = CLIENT_OUT;
    w->n_done += ++c->n_rounds == N_ROUNDS;
    atomic_fetch_sub(&n_inside, 1);
    breaker_put_request(breaker);
    if (w->idle || random_below(&w->random, 2) == 0) {
        breaker_put_connection(breaker, e->state);
        return;
    }
    w->idle = e;
    atomic_store(&w->desk.member.idle_since_us, c->n_rounds);
    if (pending_is_any_now(&breaker->pending))
        crew_close_idle(w);
}

static void crew_come(struct crew *w, struct client *c)
{
    struct endpoint *e = &endpoints->items[random_below(&w->random, endpoints->n)];

    if (!pending_is_any(&breaker->pending) && breaker_take_connection(breaker, e->state, &few)) {
        if (breaker_take_request(breaker, &few)) {
            crew_enter(c, e);
            return;
        }
        breaker_put_connection(breaker, e->state);
    }
    c->waiter =
        (struct pending_waiter){.home = &w->desk.member, .limits = &few, .endpoints = endpoints};
    c->state = CLIENT_WAITING;
    if (!pending_join(breaker, &c->waiter, w->index % 2 ? STR("odd") : STR("even")))
        UNREACHABLE();
}

static void crew_step(struct crew *w, struct client *c)
{
    if (c->state == CLIENT_IN) {
        crew_let_go(w, c);
    } else if (c->state == CLIENT_OUT) {
        if (c->n_rounds < N_ROUNDS)
            crew_come(w, c);
    } else if (random_below(&w->random, 16) == 0) {
        pending_leave(breaker, &c->waiter);
        c->state = CLIENT_OUT;
    }
}

static void crew_on_wake(struct wake *wake)
{
    crew_on_news(CONTAINER_OF(wake, struct crew, desk.wake));
}

static bool crew_is_all_waiting(const struct crew *w)
{
    for (int i = 0; i < N_CLIENTS; i++) {
        if (w->clients[i].state != CLIENT_WAITING && w->clients[i].n_rounds < N_ROUNDS)
            return false;
    }
    return true;
}

static void *crew_main(void *arg)
{
    struct crew *w = arg;

    while (w->n_done < N_CLIENTS) {
        /* Who has nothing to do but to wait sleeps until it is woken: a lost wake is a hang. */
        if (loop_turn(&w->desk.loop, crew_is_all_waiting(w) ? -1 : 0) < 0)
            UNREACHABLE();
        crew_step(w, &w->clients[random_below(&w->random, N_CLIENTS)]);
    }
    crew_close_idle(w);
    return NULL;
}

/* Bounds that go up and down, up to those that there are else. */
static void *flap_main(void *arg)
{
    const _Atomic bool *is_over = arg;
    struct random random;

    random_init_seed(&random, 99);
    while (!atomic_load(is_over)) {
        const struct breaker_limits next = {
            .n_connections = 1 + random_below(&random, N_PLACES),
            .n_endpoint_connections = 1 + random_below(&random, 2),
            .n_requests = 1 + random_below(&random, N_REQUESTS),
            .n_pending = BOUNDED_COUNT_MAX,
        };

        (void)breaker_limits_set(&few, &next);
        pending_on_bounds(breaker);
    }
    return NULL;
}

static void play_crews(bool flaps)
{
    static struct crew crews[N_WORKERS];
    _Atomic bool is_over = false;
    pthread_t threads[N_WORKERS], flapper;

    begin(2);
    memset(crews, 0, sizeof crews);
    if (flaps)
        CHECK(pthread_create(&flapper, NULL, flap_main, &is_over) == 0);
    for (uint32_t i = 0; i < N_WORKERS; i++) {
        open_desk(&crews[i].desk);
        crews[i].desk.wake.fn = crew_on_wake;
        crews[i].index = i;
        random_init_seed(&crews[i].random, i + 1);
    }
    for (int i = 0; i < N_WORKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, crew_main, &crews[i]) == 0);
    for (int i = 0; i < N_WORKERS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&is_over, true);
    if (flaps)
        pthread_join(flapper, NULL);
    CHECK_INT(atomic_load(&n_beyond), 0);
    CHECK_INT(atomic_load(&n_inside), 0);
    for (int i = 0; i < N_WORKERS; i++)
        close_desk(&crews[i].desk);
    finish();
}

TEST(threads_hand_places_over_and_lose_none)
{
    play_crews(false);
}

TEST(bounds_that_change_all_the_time_lose_no_place_and_no_turn)
{
    play_crews(true);
}
