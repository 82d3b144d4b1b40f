/* Pauses between tries. */
#include "policy/retry/back_off.h"

#include "base/macro.h"
#include "test/harness/test.h"

TEST(the_bound_doubles_up_to_the_longest_pause)
{
    static const struct {
        struct back_off b;
        uint32_t n_failed;
        uint64_t bound_us;
    } cases[] = {
        {{25000, 250000}, 0, 25000},
        {{25000, 250000}, 1, 50000},
        {{25000, 250000}, 3, 200000},
        {{25000, 250000}, 4, 250000},
        {{25000, 250000}, UINT32_MAX, 250000},
        {{1000000, 1000000}, 5, 1000000},
        {{5, 3}, 0, 3},
        {{1, UINT64_MAX}, 20, 1 << 20},
        {{1, UINT64_MAX}, UINT32_MAX, 1 << 20},
        {{UINT64_MAX / 2 + 1, UINT64_MAX}, 3, UINT64_MAX},
        {{0, 0}, 7, 0},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(back_off_bound(&cases[i].b, cases[i].n_failed) == cases[i].bound_us, "%zu", i);
}

TEST(a_pause_lies_anywhere_within_its_bounds)
{
    bool is_low = false;
    bool is_high = false;

    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t us = back_off_draw(100, 110, i * 0x9e3779b97f4a7c15ULL);

        CHECK(us >= 100 && us <= 110);
        is_low |= us == 100;
        is_high |= us == 110;
    }
    CHECK(is_low && is_high);
    CHECK_INT(back_off_draw(7, 7, 12345), 7);
    CHECK_INT(back_off_draw(7, 3, 12345), 7);
    CHECK(back_off_draw(0, UINT64_MAX, 5) == 5);
}
