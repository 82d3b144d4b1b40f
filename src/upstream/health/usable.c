/* The number of endpoints that are well is kept in the set with the version of the backend's health
 * that it was counted at, both in one word: any worker that finds the version outdated counts
 * again.
 */
#include "upstream/health/usable.h"

static uint32_t usable_count(const struct endpoint_set *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++)
        n += atomic_load_explicit(&s->items[i].state->health.bits, memory_order_relaxed) == 0;
    return n;
}

uint32_t endpoint_set_n_well(struct endpoint_set *s)
{
    uint64_t kept = atomic_load_explicit(&s->well, memory_order_relaxed);
    const struct backend_health *b;
    uint32_t version, n;

    if (s->n == 0)
        return 0;
    b = &s->items[0].state->backend->health;
    version = atomic_load_explicit(&b->version, memory_order_acquire);
    if (kept != 0 && (uint32_t)(kept >> 32) == version)
        return (uint32_t)kept - 1;
    n = usable_count(s);
    /* One more than it is: 0 stands for a set that was never counted. */
    atomic_store_explicit(&s->well, (uint64_t)version << 32 | (n + 1), memory_order_relaxed);
    return n;
}

bool endpoint_set_is_in_panic(struct endpoint_set *s)
{
    uint32_t percent;

    if (s->n == 0)
        return false;
    percent = atomic_load_explicit(&s->items[0].state->backend->health.panic_percent,
                                   memory_order_relaxed);
    return (uint64_t)endpoint_set_n_well(s) * 100 < (uint64_t)percent * s->n;
}
