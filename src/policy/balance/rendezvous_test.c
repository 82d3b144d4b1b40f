/* Weighted rendezvous hashing: shares by weight, and who moves when weights change. */
#include "policy/balance/rendezvous.h"

#include "base/macro.h"
#include "policy/balance/stable_hash.h"
#include "test/harness/test.h"

enum { N = 4, KEYS = 100000 };

static const uint64_t seeds[N] = {11, 22, 33, 44};

static uint32_t pick(uint64_t key, const uint64_t *weights)
{
    struct rendezvous r = {0};

    for (uint32_t i = 0; i < N; i++)
        rendezvous_offer(&r, key, seeds[i], weights[i], i);
    return r.is_any ? r.index : N;
}

static uint64_t key_of(uint64_t i)
{
    return stable_hash(str_make((const char *)&i, sizeof i));
}

TEST(shares_are_those_of_the_weights)
{
    static const uint64_t cases[][N] = {{1, 1, 1, 1},
                                        {1000000, 1000000, 1000000, 1000000},
                                        {50, 30, 20, 0},
                                        {1, 0, 0, 0},
                                        {7, 0, 1, 2}};

    for (size_t c = 0; c < N_ELEMENTS(cases); c++) {
        unsigned counts[N + 1] = {0};
        uint64_t total = 0;

        for (uint64_t i = 0; i < KEYS; i++)
            counts[pick(key_of(i), cases[c])]++;
        for (unsigned i = 0; i < N; i++)
            total += cases[c][i];
        for (unsigned i = 0; i < N; i++) {
            unsigned wanted = (unsigned)(KEYS * cases[c][i] / total);

            CHECK_MSG(counts[i] <= wanted + KEYS / 200 && counts[i] + KEYS / 200 >= wanted,
                      "case %zu: %u of %u", c, counts[i], wanted);
            CHECK(cases[c][i] > 0 || counts[i] == 0);
        }
    }
}

TEST(a_weight_that_changes_moves_only_keys_of_its_own)
{
    static const uint64_t before[N] = {5, 5, 5, 5};
    static const uint64_t less[N] = {5, 5, 2, 5};
    static const uint64_t gone[N] = {5, 5, 0, 5};

    for (uint64_t i = 0; i < KEYS; i++) {
        uint32_t was = pick(key_of(i), before);

        CHECK(pick(key_of(i), less) == was || was == 2);
        CHECK((pick(key_of(i), gone) != was) == (was == 2));
    }
}

TEST(without_a_weight_there_is_none)
{
    static const uint64_t none[N] = {0};

    CHECK_INT(pick(1, none), N);
}
