/* Endpoint choice: evenness, preference for the less loaded, retries elsewhere, unusable endpoints.
 */
#include "policy/balance/balancer.h"

#include "test/harness/test.h"

#define N 4

enum { PICKS = 60000 };

static uint32_t load_of(const void *context, uint32_t index)
{
    return ((const uint32_t *)context)[index];
}

static struct balancer_view view(const uint32_t *loads, uint32_t n, uint32_t avoid)
{
    return (struct balancer_view){.n = n, .avoid = avoid, .load = load_of, .context = loads};
}

static void count(enum balancer_kind kind, const uint32_t *loads, uint32_t avoid,
                  unsigned *ret_counts)
{
    struct balancer_view v = view(loads, N, avoid);
    struct balancer b;

    memset(ret_counts, 0, N * sizeof *ret_counts);
    balancer_init(&b, kind, 42);
    for (int i = 0; i < PICKS; i++) {
        uint32_t index = balancer_pick(&b, &v);

        CHECK(index < N);
        ret_counts[index]++;
    }
}

static bool is_about(unsigned n, unsigned wanted)
{
    return n > wanted - wanted / 16 && n < wanted + wanted / 16;
}

TEST(equal_loads_are_chosen_evenly)
{
    uint32_t loads[N] = {0};
    unsigned counts[N];

    for (int kind = BALANCER_LEAST_REQUEST; kind < BALANCER_KINDS; kind++) {
        count((enum balancer_kind)kind, loads, BALANCER_NO_ENDPOINT, counts);
        for (unsigned i = 0; i < N; i++)
            CHECK_MSG(is_about(counts[i], PICKS / N), "kind %d: %u", kind, counts[i]);
    }
}

TEST(the_neighbours_of_one_that_is_ill_get_no_more_than_the_others)
{
    static const uint32_t cases[][N] = {{0, UINT32_MAX, 0, 0}, {0, 0, 0, UINT32_MAX}};
    unsigned counts[N];

    for (size_t c = 0; c < N_ELEMENTS(cases); c++) {
        for (int kind = BALANCER_LEAST_REQUEST; kind < BALANCER_KINDS; kind++) {
            count((enum balancer_kind)kind, cases[c], BALANCER_NO_ENDPOINT, counts);
            for (unsigned i = 0; i < N; i++)
                CHECK_MSG(cases[c][i] ? counts[i] == 0 : is_about(counts[i], PICKS / (N - 1)),
                          "kind %d: %u", kind, counts[i]);
        }
    }
}

TEST(round_robin_takes_each_usable_one_once_a_round)
{
    uint32_t loads[N] = {7, UINT32_MAX, 0, 9};
    struct balancer_view v = view(loads, N, BALANCER_NO_ENDPOINT);
    struct balancer b;

    balancer_init(&b, BALANCER_ROUND_ROBIN, 5);
    uint32_t before = balancer_pick(&b, &v);

    for (int i = 0; i < 100; i++) {
        uint32_t next = balancer_pick(&b, &v);

        CHECK_INT(next, before == 0 ? 2 : before == 2 ? 3 : 0);
        before = next;
    }
}

TEST(least_request_prefers_the_idle_one)
{
    uint32_t loads[N] = {5, 0, 5, 5};
    unsigned counts[N];

    count(BALANCER_LEAST_REQUEST, loads, BALANCER_NO_ENDPOINT, counts);
    /* It is one of the two drawn in half of all draws, and wins all of them. */
    CHECK(is_about(counts[1], PICKS / 2));
}

TEST(retry_goes_elsewhere_if_it_can)
{
    uint32_t loads[N] = {0};
    uint32_t only_two[N] = {UINT32_MAX, UINT32_MAX, 3, UINT32_MAX};
    uint32_t none[N] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    struct balancer_view of_none = view(none, N, BALANCER_NO_ENDPOINT);
    struct balancer_view empty = view(none, 0, BALANCER_NO_ENDPOINT);
    struct balancer_view alone = view(loads, 1, 0);
    unsigned counts[N];
    struct balancer b;

    for (int kind = BALANCER_LEAST_REQUEST; kind < BALANCER_KINDS; kind++) {
        count((enum balancer_kind)kind, loads, 2, counts);
        CHECK_INT(counts[2], 0);
        count((enum balancer_kind)kind, only_two, 2, counts);
        CHECK_INT(counts[2], PICKS);
        balancer_init(&b, (enum balancer_kind)kind, 1);
        CHECK_INT(balancer_pick(&b, &of_none), BALANCER_NO_ENDPOINT);
        CHECK_INT(balancer_pick(&b, &empty), BALANCER_NO_ENDPOINT);
        CHECK_INT(balancer_pick(&b, &alone), 0);
    }
}
