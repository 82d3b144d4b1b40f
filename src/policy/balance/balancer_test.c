/* Endpoint choice: evenness, preference for the less loaded, retries elsewhere, unusable endpoints.
 */
#include "policy/balance/balancer.h"

#include "test/harness/test.h"

#define N 4

static uint32_t load_of(const void *context, uint32_t index)
{
    return ((const uint32_t *)context)[index];
}

static void count(enum balancer_kind kind, const uint32_t *loads, uint32_t avoid,
                  unsigned *ret_counts)
{
    struct balancer b;

    memset(ret_counts, 0, N * sizeof *ret_counts);
    balancer_init(&b, kind, 42);
    for (int i = 0; i < 40000; i++) {
        uint32_t index = balancer_pick(&b, N, avoid, load_of, loads);

        CHECK(index < N);
        ret_counts[index]++;
    }
}

TEST(equal_loads_are_chosen_evenly)
{
    uint32_t loads[N] = {0};
    unsigned counts[N];

    for (int kind = BALANCER_LEAST_REQUEST; kind <= BALANCER_RANDOM; kind++) {
        count((enum balancer_kind)kind, loads, BALANCER_NO_ENDPOINT, counts);
        for (unsigned i = 0; i < N; i++)
            CHECK_MSG(counts[i] > 9400 && counts[i] < 10600, "kind %d: %u", kind, counts[i]);
    }
}

TEST(least_request_prefers_the_idle_one)
{
    uint32_t loads[N] = {5, 0, 5, 5};
    unsigned counts[N];

    count(BALANCER_LEAST_REQUEST, loads, BALANCER_NO_ENDPOINT, counts);
    /* It is one of the two drawn in half of all draws, and wins all of them. */
    CHECK(counts[1] > 19000 && counts[1] < 21000);
}

TEST(retry_goes_elsewhere_if_it_can)
{
    uint32_t loads[N] = {0};
    uint32_t only_two[N] = {UINT32_MAX, UINT32_MAX, 3, UINT32_MAX};
    uint32_t none[N] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    unsigned counts[N];
    struct balancer b;

    for (int kind = BALANCER_LEAST_REQUEST; kind <= BALANCER_RANDOM; kind++) {
        count((enum balancer_kind)kind, loads, 2, counts);
        CHECK_INT(counts[2], 0);
        count((enum balancer_kind)kind, only_two, 2, counts);
        CHECK_INT(counts[2], 40000);
        balancer_init(&b, (enum balancer_kind)kind, 1);
        CHECK_INT(balancer_pick(&b, N, BALANCER_NO_ENDPOINT, load_of, none), BALANCER_NO_ENDPOINT);
        CHECK_INT(balancer_pick(&b, 0, BALANCER_NO_ENDPOINT, load_of, none), BALANCER_NO_ENDPOINT);
        CHECK_INT(balancer_pick(&b, 1, 0, load_of, loads), 0);
    }
}
