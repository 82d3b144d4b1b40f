/* Two processes in one: what the old one tells and asks, the new one hears and judges, and what it
 * grants goes back. */
#include "upstream/breaker/guest.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "test/harness/test.h"
#include "upstream/breaker/pending_elsewhere.h"

/* One of them. Its worker is a member whose loop nobody turns but us. */
struct side {
    struct loop loop;
    struct cluster_registry registry;
    struct guest guest;
    struct cluster *cluster;
    struct endpoint_set *endpoints;
    struct breaker *breaker;
    struct wake wake;
    struct pending_member member;
    uint32_t n_told;
};

static struct side from, to, last;

static void on_wake(struct wake *w UNUSED)
{
}

static void open_side(struct side *s)
{
    struct cluster_identity identity = {.key = STR("k"), .name = STR("Backend/ns/b")};

    CHECK_INT(loop_init(&s->loop), 0);
    cluster_registry_init(&s->registry);
    guest_init(&s->guest, &s->registry, &s->loop);
    identity.endpoints = endpoint_set_new(2, ENDPOINTS_KNOWN);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(
            endpoint_init_ip(&identity.endpoints->items[i], STR("127.0.0.1"), (uint16_t)(80 + i)));
    s->cluster = cluster_registry_get(&s->registry, &identity);
    s->endpoints = cluster_endpoints(s->cluster);
    s->breaker = &s->cluster->backend->breaker;
    wake_init(&s->wake, &s->loop, on_wake);
    pending_add_member(s->breaker, &s->member, &s->wake);
    s->n_told = 0;
}

static void close_side(struct side *s)
{
    guest_deinit(&s->guest);
    CHECK_INT(bounded_count_get(&s->breaker->connections), 0);
    CHECK_INT(bounded_count_get(&s->breaker->requests), 0);
    CHECK_INT(bounded_count_get(&s->breaker->retries), 0);
    CHECK(!pending_is_any(&s->breaker->pending) && s->breaker->pending.n_elsewhere == 0);
    for (uint32_t i = 0; i < 2; i++)
        CHECK_INT(bounded_count_get(&s->endpoints->items[i].state->connections), 0);
    pending_remove_member(s->breaker, &s->member);
    endpoint_set_unref(s->endpoints);
    cluster_unref(s->cluster);
    cluster_registry_deinit(&s->registry);
    loop_deinit(&s->loop);
}

static void tell(void *ctx, const struct place_move *move)
{
    struct side *s = ctx;

    s->n_told++;
    guest_apply(&s->guest, move);
}

static enum place_verdict ask(void *ctx, const struct place_claim *claim, uint32_t *ret_endpoint)
{
    struct side *s = ctx;

    return guest_judge(&s->guest, claim, ret_endpoint) ? PLACE_GIVEN : PLACE_DENIED;
}

static bool grant(void *ctx, const struct place_grant *g)
{
    struct side *s = ctx;

    places_grant(&s->registry, g);
    return true;
}

/* The new one has the whole state, and judges. */
static void take_over(struct side *old, struct side *new)
{
    places_share(&old->registry, 7, tell, new);
    new->guest.on_grant = grant;
    new->guest.ctx = old;
    places_defer(&old->registry, ask, new);
}

static void begin(void)
{
    open_side(&from);
    open_side(&to);
}

static void finish(void)
{
    close_side(&from);
    close_side(&to);
}

static struct endpoint_state *place_of(const struct side *s, uint32_t i)
{
    return s->endpoints->items[i].state;
}

static const struct breaker_limits two = {.n_connections = 2,
                                          .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                          .n_pending = 2,
                                          .n_requests = 2};

static bool join(struct pending_waiter *w, struct side *s, const struct breaker_limits *l)
{
    *w = (struct pending_waiter){.home = &s->member, .limits = l, .endpoints = s->endpoints};
    return pending_join(s->breaker, w, STR("t"));
}

static void turn(struct side *s)
{
    CHECK(loop_turn(&s->loop, 0) >= 0);
}

TEST(what_is_held_is_known_and_so_is_each_change)
{
    begin();
    CHECK(breaker_take_request(from.breaker, &two) && breaker_take_request(from.breaker, NULL));
    CHECK(breaker_take_retry(from.breaker, 9));
    CHECK(breaker_take_connection(from.breaker, place_of(&from, 1), &two));
    places_share(&from.registry, 7, tell, &to);
    CHECK_INT(bounded_count_get(&to.breaker->requests), 2);
    CHECK_INT(bounded_count_get(&to.breaker->retries), 1);
    CHECK_INT(bounded_count_get(&to.breaker->connections), 1);
    CHECK_INT(bounded_count_get(&place_of(&to, 1)->connections), 1);
    CHECK_MSG(!breaker_take_request(to.breaker, &two), "they are taken there");
    CHECK(breaker_take_connection(from.breaker, place_of(&from, 0), NULL));
    CHECK_MSG(!breaker_take_connection(to.breaker, place_of(&to, 0), &two), "full by both");
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, place_of(&from, 1));
    CHECK(breaker_take_request(to.breaker, &two));
    CHECK(breaker_take_connection(to.breaker, place_of(&to, 1), &two));
    /* What is left of it goes with it. */
    guest_disown(&to.guest);
    CHECK_INT(bounded_count_get(&to.breaker->requests), 1);
    CHECK_INT(bounded_count_get(&to.breaker->retries), 0);
    CHECK_INT(bounded_count_get(&place_of(&to, 0)->connections), 0);
    places_unshare(&from.registry);
    to.n_told = 0;
    breaker_put_request(from.breaker);
    breaker_put_retry(from.breaker);
    breaker_put_connection(from.breaker, place_of(&from, 0));
    CHECK_INT(to.n_told, 0);
    breaker_put_request(to.breaker);
    breaker_put_connection(to.breaker, place_of(&to, 1));
    finish();
}

TEST(what_may_be_taken_the_other_says_and_counts)
{
    static const struct breaker_limits narrow = {.n_connections = 9, .n_endpoint_connections = 1};

    begin();
    take_over(&from, &to);
    CHECK(breaker_take_request(to.breaker, &two) && breaker_take_request(from.breaker, &two));
    CHECK(!breaker_take_request(from.breaker, &two) && !breaker_take_request(to.breaker, &two));
    CHECK_INT(bounded_count_get(&to.breaker->requests), 2);
    CHECK(breaker_take_retry(from.breaker, 1) && !breaker_take_retry(to.breaker, 1));
    CHECK(breaker_take_connection(to.breaker, place_of(&to, 0), &narrow));
    CHECK(!breaker_take_connection(from.breaker, place_of(&from, 0), &narrow));
    CHECK(breaker_take_connection(from.breaker, place_of(&from, 1), &narrow));
    CHECK_INT(bounded_count_get(&to.breaker->connections), 2);
    CHECK_INT(to.n_told, 0);
    breaker_put_request(from.breaker);
    breaker_put_retry(from.breaker);
    breaker_put_connection(from.breaker, place_of(&from, 1));
    CHECK_INT(bounded_count_get(&to.breaker->requests), 1);
    breaker_put_request(to.breaker);
    breaker_put_connection(to.breaker, place_of(&to, 0));
    finish();
}

TEST(who_waits_is_granted_what_is_given_back_on_the_other_side)
{
    struct pending_waiter a, b, here;

    begin();
    take_over(&from, &to);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(breaker_take_connection(to.breaker, place_of(&to, i), &two));
    CHECK(join(&a, &from, &two) && join(&b, &from, &two));
    CHECK_INT(to.breaker->pending.n_elsewhere, 2);
    CHECK_MSG(!join(&here, &to, &two), "two wait, on whichever side");
    breaker_put_connection(to.breaker, place_of(&to, 1));
    turn(&to);
    CHECK(pending_take_told(from.breaker, &from.member) == &a && a.verdict == PENDING_GRANTED);
    CHECK(a.place == &from.endpoints->items[1]);
    CHECK(pending_take_told(from.breaker, &from.member) == NULL);
    CHECK_INT(bounded_count_get(&to.breaker->connections), 2);
    /* The next one is stood for at once, and has its turn when this one's is over. */
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, a.place->state);
    turn(&to);
    CHECK(pending_take_told(from.breaker, &from.member) == &b);
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, b.place->state);
    breaker_put_connection(to.breaker, place_of(&to, 0));
    finish();
}

TEST(who_waits_is_granted_a_place_among_the_requests_too)
{
    struct pending_waiter a;

    begin();
    take_over(&from, &to);
    CHECK(breaker_take_request(to.breaker, &two) && breaker_take_request(to.breaker, &two));
    CHECK(join(&a, &from, &two));
    CHECK_MSG(pending_take_told(from.breaker, &from.member) == NULL,
              "it waits, and is not refused");
    CHECK_INT(bounded_count_get(&to.breaker->connections), 0);
    breaker_put_request(to.breaker);
    turn(&to);
    CHECK(pending_take_told(from.breaker, &from.member) == &a && a.verdict == PENDING_GRANTED);
    CHECK_INT(bounded_count_get(&to.breaker->requests), 2);
    CHECK_INT(bounded_count_get(&from.breaker->requests), 1);
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, a.place->state);
    CHECK_INT(bounded_count_get(&to.breaker->requests), 1);
    breaker_put_request(to.breaker);
    finish();
}

TEST(who_stands_in_for_others_is_in_no_tenants_way)
{
    struct pending_waiter first, there, other;

    begin();
    take_over(&from, &to);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(breaker_take_connection(to.breaker, place_of(&to, i), &two));
    CHECK(join(&first, &to, &two) && join(&there, &from, &two));
    other = (struct pending_waiter){.home = &to.member, .limits = &two, .endpoints = to.endpoints};
    CHECK_MSG(pending_join(to.breaker, &other, STR("u")), "one of who has more makes room");
    CHECK(pending_take_told(to.breaker, &to.member) == &first);
    CHECK_INT(first.verdict, PENDING_DROPPED);
    CHECK_INT(there.verdict, PENDING_WAITING);
    pending_leave(to.breaker, &other);
    pending_leave(from.breaker, &there);
    for (uint32_t i = 0; i < 2; i++)
        breaker_put_connection(to.breaker, place_of(&to, i));
    turn(&to);
    finish();
}

TEST(what_nobody_waits_for_any_more_goes_back)
{
    static const struct breaker_limits one = {.n_connections = 1,
                                              .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                              .n_pending = 9,
                                              .n_requests = BOUNDED_COUNT_MAX};
    struct pending_waiter wide, narrow;

    begin();
    take_over(&from, &to);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(breaker_take_connection(to.breaker, place_of(&to, i), &two));
    CHECK(join(&wide, &from, &two) && join(&narrow, &from, &one));
    pending_leave(from.breaker, &wide);
    breaker_put_connection(to.breaker, place_of(&to, 1));
    turn(&to);
    CHECK_MSG(pending_take_told(from.breaker, &from.member) == NULL,
              "one would be beyond its bound");
    turn(&to);
    CHECK_INT(bounded_count_get(&to.breaker->connections), 1);
    breaker_put_connection(to.breaker, place_of(&to, 0));
    turn(&to);
    CHECK(pending_take_told(from.breaker, &from.member) == &narrow);
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, narrow.place->state);
    finish();
}

static bool grant_in_vain(void *ctx UNUSED, const struct place_grant *g UNUSED)
{
    return false;
}

TEST(what_cannot_be_told_is_for_others_until_the_other_hears_again)
{
    struct pending_waiter a;

    begin();
    take_over(&from, &to);
    to.guest.on_grant = grant_in_vain;
    for (uint32_t i = 0; i < 2; i++)
        CHECK(breaker_take_connection(to.breaker, place_of(&to, i), &two));
    CHECK(join(&a, &from, &two));
    breaker_put_connection(to.breaker, place_of(&to, 1));
    turn(&to);
    CHECK_MSG(bounded_count_get(&to.breaker->connections) == 1, "nobody has it");
    CHECK_INT(bounded_count_get(&to.breaker->requests), 0);
    CHECK(!pending_is_any(&to.breaker->pending));
    guest_retry(&to.guest);
    turn(&to);
    CHECK_MSG(bounded_count_get(&to.breaker->connections) == 1, "not yet");
    to.guest.on_grant = grant;
    guest_retry(&to.guest);
    turn(&to);
    CHECK(pending_take_told(from.breaker, &from.member) == &a && a.verdict == PENDING_GRANTED);
    guest_retry(&to.guest);
    CHECK_MSG(!pending_is_any(&to.breaker->pending), "it was told");
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, a.place->state);
    breaker_put_connection(to.breaker, place_of(&to, 0));
    finish();
}

TEST(one_that_waits_to_be_told_goes_with_the_other)
{
    struct pending_waiter a;

    begin();
    take_over(&from, &to);
    to.guest.on_grant = grant_in_vain;
    for (uint32_t i = 0; i < 2; i++)
        CHECK(breaker_take_connection(to.breaker, place_of(&to, i), &two));
    CHECK(join(&a, &from, &two));
    breaker_put_connection(to.breaker, place_of(&to, 1));
    turn(&to);
    places_unshare(&from.registry);
    places_defer(&from.registry, NULL, &to);
    CHECK(pending_take_told(from.breaker, &from.member) == &a);
    guest_disown(&to.guest);
    guest_retry(&to.guest);
    CHECK(!pending_is_any(&to.breaker->pending));
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, a.place->state);
    breaker_put_connection(to.breaker, place_of(&to, 0));
    finish();
}

TEST(who_waits_goes_on_by_itself_when_the_other_is_gone)
{
    struct pending_waiter a;

    begin();
    take_over(&from, &to);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(breaker_take_connection(to.breaker, place_of(&to, i), &two));
    CHECK(join(&a, &from, &two));
    places_unshare(&from.registry);
    places_defer(&from.registry, NULL, &to);
    CHECK(pending_take_told(from.breaker, &from.member) == &a && a.verdict == PENDING_GRANTED);
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, a.place->state);
    guest_disown(&to.guest);
    CHECK_MSG(!pending_is_any(&to.breaker->pending), "nobody stands in any more");
    for (uint32_t i = 0; i < 2; i++)
        breaker_put_connection(to.breaker, place_of(&to, i));
    finish();
}

TEST(three_in_a_row_keep_one_bound)
{
    static const struct breaker_limits more = {.n_connections = 2,
                                               .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                               .n_pending = 2,
                                               .n_requests = 3};
    struct pending_waiter a;

    begin();
    open_side(&last);
    CHECK(breaker_take_request(from.breaker, &two));
    take_over(&from, &to);
    take_over(&to, &last);
    CHECK_INT(bounded_count_get(&last.breaker->requests), 1);
    CHECK(breaker_take_request(last.breaker, &two) && !breaker_take_request(from.breaker, &two));
    breaker_put_request(from.breaker);
    CHECK(breaker_take_request(from.breaker, &two) && !breaker_take_request(to.breaker, &two));
    for (uint32_t i = 0; i < 2; i++)
        CHECK(breaker_take_connection(last.breaker, place_of(&last, i), &two));
    CHECK(join(&a, &from, &more));
    CHECK_INT(last.breaker->pending.n_elsewhere, 1);
    breaker_put_connection(last.breaker, place_of(&last, 0));
    turn(&last);
    turn(&to);
    CHECK(pending_take_told(from.breaker, &from.member) == &a && a.verdict == PENDING_GRANTED);
    CHECK_INT(bounded_count_get(&last.breaker->connections), 2);
    breaker_put_request(from.breaker);
    breaker_put_connection(from.breaker, a.place->state);
    breaker_put_request(from.breaker);
    breaker_put_request(last.breaker);
    breaker_put_connection(last.breaker, place_of(&last, 1));
    CHECK_INT(bounded_count_get(&last.breaker->connections), 0);
    finish();
    close_side(&last);
}

TEST(what_it_never_had_cannot_be_given_back)
{
    struct place_move move = {.backend = STR("Backend/ns/b"), .kind = PLACE_REQUEST, .n = -5};
    struct place_claim claim = {.backend = STR("Backend/ns/other"), .kind = PLACE_REQUEST};
    uint32_t endpoint;

    begin();
    CHECK(breaker_take_request(to.breaker, NULL));
    guest_apply(&to.guest, &move);
    CHECK_INT(bounded_count_get(&to.breaker->requests), 1);
    move.n = 2;
    guest_apply(&to.guest, &move);
    move.n = -5;
    guest_apply(&to.guest, &move);
    CHECK_INT(bounded_count_get(&to.breaker->requests), 1);
    move.kind = PLACE_CONNECTION;
    move.endpoint = STR("a\0b");
    move.n = 1;
    guest_apply(&to.guest, &move);
    CHECK_INT(bounded_count_get(&to.breaker->connections), 0);
    CHECK_MSG(guest_judge(&to.guest, &claim, &endpoint), "a backend that has no bounds here");
    CHECK(guest_endpoint_state(&to.guest, claim.backend, STR("127.0.0.1:80")) == NULL);
    breaker_put_request(to.breaker);
    finish();
}

TEST(an_endpoint_is_known_a_while_longer_than_who_told_of_it)
{
    begin();
    struct endpoint_state *e =
        guest_endpoint_state(&to.guest, STR("Backend/ns/b"), STR("127.0.0.1:99"));

    CHECK(e != NULL);
    guest_disown(&to.guest);
    CHECK(guest_endpoint_state(&to.guest, STR("Backend/ns/b"), STR("127.0.0.1:99")) == e);
    to.loop.now.mono_us += 120 * 1000000;
    to.guest.forget.fn(&to.guest.forget);
    CHECK_INT(to.cluster->backend->endpoints.n_items, 2);
    finish();
}

/* ---- threads ---- */

enum { N_THREADS = 3, N_SESSIONS = 1500, N_CHANGES = 60 };

static pthread_barrier_t gate;
static _Atomic int64_t n_known[N_SESSIONS + 1][PLACE_KINDS]; /* by session */

static void note(void *ctx UNUSED, const struct place_move *move)
{
    atomic_fetch_add(&n_known[move->session][move->kind], move->n);
}

static void *changer_main(void *arg)
{
    struct endpoint_state *e = arg;

    for (int i = 0; i < N_SESSIONS; i++) {
        pthread_barrier_wait(&gate);
        for (int n = 0; n < N_CHANGES; n++) {
            if (breaker_take_request(from.breaker, &two))
                breaker_put_request(from.breaker);
            if (breaker_take_connection(from.breaker, e, &two))
                breaker_put_connection(from.breaker, e);
        }
        pthread_barrier_wait(&gate);
    }
    return NULL;
}

TEST(whatever_changes_while_a_session_begins_is_told_once)
{
    pthread_t threads[N_THREADS];

    open_side(&from);
    CHECK(breaker_take_request(from.breaker, NULL));
    CHECK_INT(pthread_barrier_init(&gate, NULL, N_THREADS + 1), 0);
    for (uint32_t i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, changer_main, place_of(&from, i % 2)) == 0);
    for (uint32_t session = 1; session <= N_SESSIONS; session++) {
        pthread_barrier_wait(&gate);
        places_share(&from.registry, session, note, NULL);
        pthread_barrier_wait(&gate);
        CHECK_INT(atomic_load(&n_known[session][PLACE_REQUEST]), 1);
        CHECK_INT(atomic_load(&n_known[session][PLACE_CONNECTION]), 0);
        places_unshare(&from.registry);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&gate);
    breaker_put_request(from.breaker);
    close_side(&from);
}

/* What there was is told slowly, and given back meanwhile. */
static _Atomic uint32_t n_heard;

static void hear_slowly(void *ctx UNUSED, const struct place_move *move)
{
    static const struct timespec pause = {.tv_nsec = 1000000};

    if (move->n > 0) {
        while (bounded_count_get(&from.breaker->requests) > 0)
            nanosleep(&pause, NULL);
        for (int i = 0; i < 50 && atomic_load(&n_heard) == 0; i++)
            nanosleep(&pause, NULL); /* time for who would go before */
    }
    atomic_fetch_add(&n_heard, 1);
    guest_apply(&to.guest, move);
}

/* From when its change has to be told. */
static void *give_back_main(void *arg UNUSED)
{
    while (atomic_load(&from.breaker->requests.word) >> 32 == 0)
        sched_yield();
    breaker_put_request(from.breaker);
    return NULL;
}

TEST(what_is_given_back_while_a_session_begins_is_heard_after_what_there_was)
{
    pthread_t thread;

    begin();
    CHECK(breaker_take_request(from.breaker, &two));
    atomic_store(&n_heard, 0);
    CHECK(pthread_create(&thread, NULL, give_back_main, NULL) == 0);
    places_share(&from.registry, 7, hear_slowly, NULL);
    pthread_join(thread, NULL);
    CHECK_MSG(bounded_count_get(&to.breaker->requests) == 0, "a place that nobody gives back");
    finish();
}
