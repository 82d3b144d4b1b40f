/* The counts of a breaker: exact among threads, shared by whoever brings which bounds, and given
 * back whole. */
#include "upstream/breaker/breaker.h"

#include <pthread.h>

#include "test/harness/test.h"
#include "upstream/backend_state.h"

enum { N_THREADS = 4, N_ROUNDS = 100000 };

static const struct breaker_limits five = {
    .n_connections = 5, .n_endpoint_connections = 3, .n_requests = 5};

TEST(a_request_beyond_the_bound_is_refused)
{
    struct breaker b = {0};

    for (int i = 0; i < 5; i++)
        CHECK(breaker_take_request(&b, &five));
    CHECK(!breaker_take_request(&b, &five));
    CHECK_MSG(breaker_take_request(&b, NULL), "without bounds, and it counts");
    breaker_put_request(&b);
    CHECK(!breaker_take_request(&b, &five));
    breaker_put_request(&b);
    CHECK(breaker_take_request(&b, &five));
}

TEST(policies_share_the_count_and_differ_in_bounds)
{
    static const struct breaker_limits two = {.n_requests = 2};
    struct breaker b = {0};

    CHECK(breaker_take_request(&b, &five) && breaker_take_request(&b, &five));
    CHECK(!breaker_take_request(&b, &two) && breaker_take_request(&b, &five));
    for (int i = 0; i < 2; i++)
        breaker_put_request(&b);
    CHECK(breaker_take_request(&b, &two) && !breaker_take_request(&b, &two));
}

TEST(retries_have_places_of_their_own)
{
    struct breaker b = {0};

    CHECK(breaker_take_retry(&b, 2) && breaker_take_retry(&b, 2));
    CHECK(!breaker_take_retry(&b, 2));
    CHECK_INT(atomic_load(&b.n_overflows[BREAKER_RETRIES]), 1);
    breaker_put_retry(&b);
    CHECK(breaker_take_retry(&b, 2));
    CHECK_INT(bounded_count_get(&b.requests), 0);
}

TEST(a_connection_counts_at_its_endpoint_and_at_its_backend)
{
    struct breaker b = {0};
    struct endpoint_state first = {0}, second = {0};

    for (int i = 0; i < 3; i++)
        CHECK(breaker_take_connection(&b, &first, &five));
    CHECK_MSG(!breaker_take_connection(&b, &first, &five), "the endpoint is full");
    CHECK(breaker_take_connection(&b, &second, &five) &&
          breaker_take_connection(&b, &second, &five));
    CHECK_MSG(!breaker_take_connection(&b, &second, &five), "the backend is full");
    CHECK_INT(bounded_count_get(&second.connections), 2);
    breaker_put_connection(&b, &first);
    CHECK(breaker_take_connection(&b, &second, &five));
    CHECK_INT(bounded_count_get(&b.connections), 5);
    for (int i = 0; i < 2; i++)
        breaker_put_connection(&b, &first);
    for (int i = 0; i < 3; i++)
        breaker_put_connection(&b, &second);
    CHECK(bounded_count_get(&first.connections) == 0 &&
          bounded_count_get(&second.connections) == 0);
    CHECK_INT(bounded_count_get(&b.connections), 0);
}

static struct breaker shared;
static struct endpoint_state endpoints[2];
static _Atomic uint32_t n_open;
static _Atomic uint32_t n_beyond;

static void *opener_main(void *arg)
{
    struct endpoint_state *endpoint = arg;

    for (int i = 0; i < N_ROUNDS; i++) {
        if (!breaker_take_connection(&shared, endpoint, &five))
            continue;
        if (atomic_fetch_add(&n_open, 1) >= five.n_connections)
            atomic_fetch_add(&n_beyond, 1);
        atomic_fetch_sub(&n_open, 1);
        breaker_put_connection(&shared, endpoint);
    }
    return NULL;
}

TEST(threads_never_open_more_connections_than_the_bound)
{
    pthread_t threads[N_THREADS * 2];

    for (int i = 0; i < N_THREADS * 2; i++)
        CHECK(pthread_create(&threads[i], NULL, opener_main, &endpoints[i % 2]) == 0);
    for (int i = 0; i < N_THREADS * 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(atomic_load(&n_beyond), 0);
    CHECK_INT(bounded_count_get(&shared.connections), 0);
    CHECK(bounded_count_get(&endpoints[0].connections) == 0 &&
          bounded_count_get(&endpoints[1].connections) == 0);
}

enum { N_CHANGES = 3000000 };

static struct breaker_limits changing = {.n_connections = 1, .n_requests = 1};

static void *change_main(void *arg)
{
    _Atomic bool *is_over = arg;

    for (uint32_t i = 0; i < N_CHANGES; i++) {
        /* Up and down again: a bound that came back within one look would hide the change. */
        uint32_t n = i < N_CHANGES / 2 ? i : N_CHANGES - i;
        const struct breaker_limits next = {.n_connections = n, .n_requests = n + i % 2};

        (void)breaker_limits_set(&changing, &next);
    }
    atomic_store(is_over, true);
    return NULL;
}

TEST(bounds_that_change_are_never_half_of_one_and_half_of_another)
{
    _Atomic bool is_over = false;
    uint64_t n_torn = 0;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, change_main, &is_over) == 0);
    while (!atomic_load(&is_over))
        n_torn += !breaker_limits_fill_connections(&changing);
    pthread_join(thread, NULL);
    CHECK_INT(n_torn, 0);
}
