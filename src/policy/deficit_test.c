/* Shares of flows by deficit round robin: whatever they cost, however many items they have, and
 * whoever cannot go for a while. */
#include "policy/deficit.h"

#include "test/harness/test.h"

struct flow {
    struct deficit_flow deficit;
    uint64_t cost;
    bool is_blocked;
    uint64_t n_served;
    uint64_t spent;
};

static uint64_t cost_of(struct deficit_flow *f, void *ctx UNUSED)
{
    const struct flow *flow = CONTAINER_OF(f, struct flow, deficit);

    return flow->is_blocked ? 0 : flow->cost;
}

static struct flow *serve(struct deficit *d)
{
    struct deficit_flow *f = deficit_next(d, cost_of, NULL);
    struct flow *flow;

    if (!f)
        return NULL;
    flow = CONTAINER_OF(f, struct flow, deficit);
    deficit_spend(f, flow->cost);
    flow->n_served++;
    flow->spent += flow->cost;
    return flow;
}

TEST(flows_share_by_what_they_spend)
{
    static const struct {
        uint64_t quantum, costs[3], n, spent[3];
    } cases[] = {
        {1, {1, 1, 1}, 30, {10, 10, 10}},     {10, {1, 1, 1}, 30, {10, 10, 10}},
        {1, {1, 2, 4}, 70, {40, 40, 40}},     {8, {2, 8, 4}, 70, {80, 80, 80}},
        {5, {3, 7, 1}, 155, {105, 105, 105}},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct deficit d = {.quantum = cases[i].quantum};
        struct flow flows[3] = {0};

        for (size_t k = 0; k < 3; k++) {
            flows[k].cost = cases[i].costs[k];
            deficit_join(&d, &flows[k].deficit);
        }
        for (uint64_t n = 0; n < cases[i].n; n++)
            CHECK(serve(&d) != NULL);
        for (size_t k = 0; k < 3; k++)
            CHECK_MSG(flows[k].spent + cases[i].quantum + 7 >= cases[i].spent[k] &&
                          flows[k].spent <= cases[i].spent[k] + cases[i].quantum + 7,
                      "case %zu, flow %zu: %lu of about %lu", i, k, (unsigned long)flows[k].spent,
                      (unsigned long)cases[i].spent[k]);
    }
}

TEST(equal_costs_go_round)
{
    struct deficit d = {.quantum = 1};
    struct flow a = {.cost = 1}, b = {.cost = 1};

    deficit_join(&d, &a.deficit);
    deficit_join(&d, &b.deficit);
    CHECK(serve(&d) == &a && serve(&d) == &b && serve(&d) == &a && serve(&d) == &b);
}

TEST(who_goes_next_stays_so_until_it_has_gone)
{
    struct deficit d = {.quantum = 1};
    struct flow a = {.cost = 3}, b = {.cost = 1};

    deficit_join(&d, &a.deficit);
    deficit_join(&d, &b.deficit);
    for (int i = 0; i < 5; i++)
        CHECK(deficit_next(&d, cost_of, NULL) == &b.deficit);
    CHECK(serve(&d) == &b && serve(&d) == &b && serve(&d) == &a && serve(&d) == &b);
}

TEST(one_that_cannot_go_keeps_its_turn_and_gains_none)
{
    struct deficit d = {.quantum = 1};
    struct flow a = {.cost = 1, .is_blocked = true}, b = {.cost = 1};

    CHECK(serve(&d) == NULL);
    deficit_join(&d, &a.deficit);
    deficit_join(&d, &b.deficit);
    for (int i = 0; i < 10; i++)
        CHECK(serve(&d) == &b);
    a.is_blocked = false;
    CHECK(serve(&d) == &a && serve(&d) == &b && serve(&d) == &a);
    a.is_blocked = b.is_blocked = true;
    CHECK(serve(&d) == NULL);
}

TEST(one_that_leaves_forgets_what_it_saved)
{
    struct deficit d = {.quantum = 1};
    struct flow a = {.cost = 5}, b = {.cost = 1};

    deficit_join(&d, &a.deficit);
    deficit_join(&d, &b.deficit);
    for (int i = 0; i < 3; i++)
        CHECK(serve(&d) == &b);
    CHECK(a.deficit.saved > 0);
    deficit_leave(&a.deficit);
    deficit_leave(&a.deficit);
    CHECK(serve(&d) == &b);
    deficit_join(&d, &a.deficit);
    CHECK_INT(a.deficit.saved, 0);
    deficit_leave(&b.deficit);
    CHECK(serve(&d) == &a);
}
