/* Bounds that change while requests wait: who waits goes by those that are, nobody who has a place
 * loses it, and what nobody refers to is gone. */
#include "upstream/breaker/bounds.h"

#include <pthread.h>

#include "net/loop.h"
#include "net/wake.h"
#include "test/harness/test.h"
#include "upstream/cluster.h"

static struct cluster_registry registry;
static struct cluster *cluster;
static struct breaker *breaker;
static struct bounds *bounds;
static struct loop loop;
static struct wake wake;
static struct pending_member member;

static void on_wake(struct wake *w UNUSED)
{
}

static struct endpoint_state *place(void)
{
    return cluster->endpoints->items[0].state;
}

/* Bounds of one connection and one request, which are in use. */
static void begin(void)
{
    static const struct breaker_limits one = {.n_connections = 1,
                                              .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                              .n_requests = 1,
                                              .n_pending = 9};
    struct cluster_identity identity = {.key = STR("k"), .name = STR("Backend/ns/b")};

    cluster_registry_init(&registry);
    identity.endpoints = endpoint_set_new(1, ENDPOINTS_KNOWN);
    CHECK(endpoint_init_ip(&identity.endpoints->items[0], STR("127.0.0.1"), 80));
    cluster = cluster_registry_get(&registry, &identity);
    breaker = &cluster->backend->breaker;
    bounds = bounds_get(&registry, STR("rule"), &one);
    CHECK_INT(loop_init(&loop), 0);
    wake_init(&wake, &loop, on_wake);
    pending_add_member(breaker, &member, &wake);
    CHECK(breaker_take_request(breaker, &bounds->now));
    CHECK(breaker_take_connection(breaker, place(), &bounds->now));
}

static void put_place(void)
{
    breaker_put_request(breaker);
    breaker_put_connection(breaker, place());
}

static void finish(void)
{
    CHECK_INT(bounded_count_get(&breaker->requests), 0);
    CHECK_INT(bounded_count_get(&breaker->connections), 0);
    pending_remove_member(breaker, &member);
    loop_deinit(&loop);
    bounds_unref(bounds);
    cluster_unref(cluster);
    cluster_registry_deinit(&registry);
}

static bool join(struct pending_waiter *w)
{
    *w = (struct pending_waiter){
        .home = &member, .limits = &bounds->now, .endpoints = cluster->endpoints};
    return pending_join(breaker, w, STR("t"));
}

static void adopt(uint32_t n_connections, uint32_t n_requests)
{
    const struct bounds_wish wish = {.bounds = bounds,
                                     .limits = {.n_connections = n_connections,
                                                .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                                .n_requests = n_requests,
                                                .n_pending = 9}};

    bounds_adopt(&registry, &wish, 1);
}

TEST(who_waits_has_what_wider_bounds_allow_at_once)
{
    struct pending_waiter a, b, c;

    begin();
    CHECK(join(&a) && join(&b) && join(&c));
    adopt(3, 1);
    CHECK_MSG(!pending_take_told(breaker, &member), "a request has no place yet");
    adopt(3, 3);
    CHECK(pending_take_told(breaker, &member) == &a && a.verdict == PENDING_GRANTED);
    CHECK(pending_take_told(breaker, &member) == &b && b.verdict == PENDING_GRANTED);
    CHECK(!pending_take_told(breaker, &member));
    CHECK_INT(bounded_count_get(&breaker->connections), 3);
    put_place();
    CHECK(pending_take_told(breaker, &member) == &c && c.verdict == PENDING_GRANTED);
    for (int i = 0; i < 3; i++)
        put_place();
    finish();
}

TEST(who_needs_no_more_than_a_place_among_the_requests_looks_at_its_connections_again)
{
    struct pending_offer offer = {.is_busy = true};
    struct pending_waiter a;
    bool yields;

    begin();
    offer.endpoint = place();
    CHECK(join(&a));
    CHECK(!pending_serve(breaker, &member, &offer, &yields) && !yields);
    adopt(1, 2);
    CHECK(atomic_load(&member.has_turn) && wake.is_posted);
    CHECK(pending_serve(breaker, &member, &offer, &yields) == &a);
    breaker_put_request(breaker);
    put_place();
    finish();
}

TEST(narrower_bounds_take_nothing_away_and_hold_for_who_comes_and_who_waits)
{
    struct pending_waiter a, b;

    begin();
    adopt(3, 3);
    for (int i = 0; i < 2; i++) {
        CHECK(breaker_take_request(breaker, &bounds->now));
        CHECK(breaker_take_connection(breaker, place(), &bounds->now));
    }
    CHECK(join(&a) && join(&b));
    adopt(2, 2);
    CHECK_INT(bounded_count_get(&breaker->connections), 3);
    CHECK(!breaker_take_connection(breaker, place(), &bounds->now));
    put_place();
    CHECK_MSG(!pending_take_told(breaker, &member), "there are two already");
    put_place();
    CHECK(pending_take_told(breaker, &member) == &a && !pending_take_told(breaker, &member));
    pending_leave(breaker, &b);
    put_place();
    put_place();
    finish();
}

TEST(who_waits_is_refused_where_nobody_is_let_in_any_more)
{
    struct pending_waiter a, b;

    begin();
    CHECK(join(&a));
    adopt(1, 0);
    CHECK(pending_take_told(breaker, &member) == &a && a.verdict == PENDING_DROPPED);
    CHECK_MSG(!join(&b), "it would wait for nothing");
    CHECK_INT(atomic_load(&breaker->n_overflows[BREAKER_PENDING]), 2);
    put_place();
    finish();
}

TEST(plans_of_all_snapshots_share_one_place_which_goes_with_the_last)
{
    static const struct breaker_limits other = {.n_connections = 7};
    struct bounds *b;

    begin();
    CHECK(bounds_get(&registry, STR("rule"), &other) == bounds);
    CHECK_MSG(breaker_limit(&bounds->now.n_connections) == 1, "nothing is adopted yet");
    CHECK(bounds_find(&registry, STR("rule")) == bounds && bounds_ref(bounds) == bounds);
    CHECK(!bounds_find(&registry, STR("another")));
    b = bounds_get(&registry, STR("another"), &other);
    CHECK_INT(breaker_limit(&b->now.n_connections), 7);
    bounds_unref(b);
    CHECK(!bounds_find(&registry, STR("another")));
    for (int i = 0; i < 3; i++)
        bounds_unref(bounds);
    CHECK_INT(registry.bounds.n_items, 1);
    put_place();
    finish();
}

enum { N_OFFERS = 100000 };

static void *flap_main(void *arg)
{
    const _Atomic bool *is_over = arg;

    for (uint32_t i = 0; !atomic_load(is_over); i++) {
        const struct breaker_limits next = {.n_connections = 1,
                                            .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                            .n_requests = 1 + i % 2,
                                            .n_pending = 9};

        (void)breaker_limits_set(&bounds->now, &next);
    }
    return NULL;
}

TEST(bounds_may_change_while_it_is_found_out_whose_turn_it_is)
{
    struct pending_offer offer = {.is_busy = true};
    _Atomic bool is_over = false;
    struct pending_waiter a;
    uint32_t n_served = 0;
    pthread_t thread;
    bool yields;

    begin();
    offer.endpoint = place();
    CHECK(join(&a));
    CHECK(pthread_create(&thread, NULL, flap_main, &is_over) == 0);
    for (uint32_t i = 0; i < N_OFFERS || n_served == 0; i++) {
        if (pending_serve(breaker, &member, &offer, &yields)) {
            n_served++;
            breaker_put_request(breaker);
            CHECK(join(&a));
        }
        CHECK(!yields);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    pending_leave(breaker, &a);
    put_place();
    finish();
}
