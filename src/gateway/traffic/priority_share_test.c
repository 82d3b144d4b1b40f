/* Shares of priorities: the tables of Envoy's documentation of priority levels among them. */
#include "gateway/traffic/priority_share.h"

#include "base/macro.h"
#include "test/harness/test.h"

enum { PRIORITIES_MAX = 3 };

TEST(a_priority_takes_what_it_can_and_the_next_ones_the_rest)
{
    static const struct {
        uint32_t n;
        struct priority_health health[PRIORITIES_MAX];
        uint32_t shares[PRIORITIES_MAX];
        bool is_enough;
    } cases[] = {
        /* Two priorities, the second one well: 100, 72, 71, 50, 25 and 0 of 100. */
        {2, {{100, 100}, {100, 100}}, {100, 0}, true},
        {2, {{100, 72}, {100, 100}}, {100, 0}, true},
        {2, {{100, 71}, {100, 100}}, {99, 1}, true},
        {2, {{100, 50}, {100, 100}}, {70, 30}, true},
        {2, {{100, 25}, {100, 100}}, {35, 65}, true},
        {2, {{100, 0}, {100, 100}}, {0, 100}, true},
        /* Both are ill: what there is, in proportion. */
        {2, {{100, 25}, {100, 25}}, {50, 50}, false},
        {2, {{100, 20}, {100, 0}}, {100, 0}, false},
        {2, {{2, 1}, {4, 1}}, {70, 30}, true},
        {3, {{100, 20}, {100, 20}, {100, 20}}, {34, 33, 33}, false},
        {3, {{100, 0}, {100, 20}, {100, 20}}, {0, 50, 50}, false},
        {3, {{100, 25}, {100, 25}, {100, 100}}, {35, 35, 30}, true},
        /* Nobody is well: by their number. */
        {2, {{1, 0}, {3, 0}}, {25, 75}, false},
        {2, {{0, 0}, {3, 0}}, {0, 100}, false},
        /* One without endpoints can take nothing. */
        {2, {{0, 0}, {1, 1}}, {0, 100}, true},
        {2, {{0, 0}, {0, 0}}, {100, 0}, false},
        {1, {{4, 1}}, {100}, false},
        {1, {{4, 3}}, {100}, true},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        uint32_t shares[PRIORITIES_MAX] = {0};
        bool is_enough = false;

        for (uint32_t draw = 0; draw < PRIORITY_FULL; draw++)
            shares[priority_share_pick(cases[i].health, cases[i].n, draw, &is_enough)]++;
        for (uint32_t k = 0; k < PRIORITIES_MAX; k++)
            CHECK_MSG(shares[k] == cases[i].shares[k], "case %zu, priority %u: %u, expected %u", i,
                      k, shares[k], cases[i].shares[k]);
        CHECK_MSG(is_enough == cases[i].is_enough, "case %zu", i);
    }
}
