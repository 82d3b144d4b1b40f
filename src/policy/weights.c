/* Weighted choice by running sums. Owner: the arena; immutable. The random number is the caller's
 * (its worker's generator), so that a test can ask for every one of them. */
#include "policy/weights.h"

/* BackendRef.weight's maximum. */
#define WEIGHT_MAX 1000000U

void weights_init(struct weights *w, struct arena *arena, const uint32_t *values, uint32_t n)
{
    uint64_t *ends = ARENA_ARRAY(arena, uint64_t, n);
    uint64_t total = 0;

    for (uint32_t i = 0; i < n; i++) {
        total += MIN(values[i], WEIGHT_MAX);
        ends[i] = total;
    }
    *w = (struct weights){ends, n, total};
}

int32_t weights_pick(const struct weights *w, uint32_t random)
{
    /* Scales 32 random bits onto [0, total): no division, and a bias below total / 2^32. */
    uint64_t point =
        (w->total >> 32) * random + (((w->total & UINT32_MAX) * (uint64_t)random) >> 32);
    uint32_t low = 0;
    uint32_t high = w->n;

    if (w->total == 0)
        return -1;
    if (w->n == 1)
        return 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (w->ends[middle] > point)
            high = middle;
        else
            low = middle + 1;
    }
    return (int32_t)low;
}
