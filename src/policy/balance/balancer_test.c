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
    balancer_deinit(&b);
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

/* ---- by weight ---- */

enum { TENTH = BALANCER_FULL_WEIGHT / 10 };

struct weighted {
    uint32_t loads[N];
    uint32_t weights[N];
};

static uint32_t load_of_weighted(const void *context, uint32_t index)
{
    return ((const struct weighted *)context)->loads[index];
}

static uint32_t weight_of(const void *context, uint32_t index)
{
    return ((const struct weighted *)context)->weights[index];
}

static void count_weighted(enum balancer_kind kind, const struct weighted *w, unsigned n_picks,
                           unsigned *ret_counts)
{
    struct balancer_view v = {.n = N,
                              .avoid = BALANCER_NO_ENDPOINT,
                              .load = load_of_weighted,
                              .weight = weight_of,
                              .context = w};
    struct balancer b;

    memset(ret_counts, 0, N * sizeof *ret_counts);
    balancer_init(&b, kind, 42);
    for (unsigned i = 0; i < n_picks; i++) {
        uint32_t index = balancer_pick(&b, &v);

        CHECK(index < N);
        ret_counts[index]++;
    }
    balancer_deinit(&b);
}

TEST(each_gets_as_much_as_its_weight_says)
{
    static const struct weighted cases[] = {
        {.weights = {BALANCER_FULL_WEIGHT, BALANCER_FULL_WEIGHT, TENTH, BALANCER_FULL_WEIGHT}},
        {.weights = {TENTH, TENTH, TENTH, TENTH}},
        {.weights = {TENTH, 5 * TENTH, TENTH, 3 * TENTH}},
        {.weights = {TENTH, BALANCER_FULL_WEIGHT, TENTH, BALANCER_FULL_WEIGHT},
         .loads = {0, UINT32_MAX, 0, 0}},
    };
    unsigned counts[N];

    for (size_t c = 0; c < N_ELEMENTS(cases); c++) {
        uint64_t total = 0;

        for (unsigned i = 0; i < N; i++)
            total += cases[c].loads[i] ? 0 : cases[c].weights[i];
        for (int kind = BALANCER_LEAST_REQUEST; kind <= BALANCER_ROUND_ROBIN; kind++) {
            count_weighted((enum balancer_kind)kind, &cases[c], PICKS, counts);
            for (unsigned i = 0; i < N; i++) {
                unsigned wanted =
                    (unsigned)(cases[c].loads[i] ? 0
                                                 : (uint64_t)PICKS * cases[c].weights[i] / total);
                unsigned slack = kind == BALANCER_ROUND_ROBIN ? 2 : 2 + wanted / 12;

                CHECK_MSG(counts[i] <= wanted + slack && counts[i] + slack >= wanted,
                          "case %zu, kind %d: %u of %u", c, kind, counts[i], wanted);
            }
        }
    }
}

TEST(a_round_of_equal_weights_is_a_round_robin)
{
    static const struct weighted w = {.weights = {TENTH, TENTH, TENTH, TENTH}};
    struct balancer_view v = {.n = N,
                              .avoid = BALANCER_NO_ENDPOINT,
                              .load = load_of_weighted,
                              .weight = weight_of,
                              .context = &w};
    struct balancer b;

    balancer_init(&b, BALANCER_ROUND_ROBIN, 3);
    uint32_t before = balancer_pick(&b, &v);

    for (int i = 0; i < 100; i++) {
        uint32_t next = balancer_pick(&b, &v);

        CHECK_INT(next, (before + 1) % N);
        before = next;
    }
    balancer_deinit(&b);
}

TEST(the_less_loaded_of_two_by_weight)
{
    static const struct weighted w = {
        .loads = {9, 9, 0, 9},
        .weights = {BALANCER_FULL_WEIGHT, BALANCER_FULL_WEIGHT, TENTH, BALANCER_FULL_WEIGHT}};
    unsigned counts[N];

    /* It is one of the two in 1 - (30/31)^2 of all draws: not in half of them. */
    count_weighted(BALANCER_LEAST_REQUEST, &w, PICKS, counts);
    CHECK_MSG(is_about(counts[2], PICKS * 61 / 961), "%u", counts[2]);
}

TEST(nothing_usable_is_nothing_by_weight_too)
{
    static const struct weighted none = {.loads = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
                                         .weights = {TENTH, TENTH, TENTH, TENTH}};
    struct balancer_view v = {.n = N,
                              .avoid = BALANCER_NO_ENDPOINT,
                              .load = load_of_weighted,
                              .weight = weight_of,
                              .context = &none};

    for (int kind = BALANCER_LEAST_REQUEST; kind <= BALANCER_ROUND_ROBIN; kind++) {
        struct balancer b;

        balancer_init(&b, (enum balancer_kind)kind, 3);
        CHECK_INT(balancer_pick(&b, &v), BALANCER_NO_ENDPOINT);
        balancer_deinit(&b);
    }
}
