/* Weighted choice: shares come out as configured, zero weights never, all zero none. */
#include "policy/weights.h"

#include "base/random.h"
#include "test/harness/test.h"

TEST(weights_share_as_configured)
{
    struct arena a;
    struct weights w;
    struct random r;
    uint32_t values[] = {0, 90, 10, 0, 100, 0};
    unsigned counts[N_ELEMENTS(values)] = {0};

    arena_init(&a, 1024);
    random_init_seed(&r, 7);
    weights_init(&w, &a, values, N_ELEMENTS(values));
    for (int i = 0; i < 200000; i++)
        counts[weights_pick(&w, (uint32_t)random_u64(&r))]++;
    for (size_t i = 0; i < N_ELEMENTS(values); i++) {
        unsigned expected = values[i] * 1000;

        CHECK_MSG(counts[i] >= expected - expected / 20 && counts[i] <= expected + expected / 20,
                  "entry %zu: %u", i, counts[i]);
    }
    CHECK_INT(weights_pick(&w, 0), 1);
    CHECK_INT(weights_pick(&w, UINT32_MAX), 4);
    arena_deinit(&a);
}

TEST(no_weight_no_choice)
{
    struct arena a;
    struct weights w;
    uint32_t zeros[] = {0, 0};
    uint32_t huge[] = {UINT32_MAX, 1000000};

    arena_init(&a, 1024);
    weights_init(&w, &a, zeros, 2);
    CHECK_INT(weights_pick(&w, 12345), -1);
    weights_init(&w, &a, NULL, 0);
    CHECK_INT(weights_pick(&w, 12345), -1);
    weights_init(&w, &a, huge, 2);
    CHECK_INT(w.total, 2000000);
    CHECK_INT(weights_pick(&w, UINT32_MAX), 1);
    arena_deinit(&a);
}
