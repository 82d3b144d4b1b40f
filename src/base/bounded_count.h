/* How many of something there are, of all threads together, never more than a bound: who wants one
 * takes a place, and gives it back. The bound is the taker's, and may change from one call to the
 * next; who has a place keeps it. Shared. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bounded_count {
    _Atomic uint32_t n;
};

/* No bound but that of the number itself. */
#define BOUNDED_COUNT_MAX (UINT32_MAX - 1)

/* False: there are `limit` already. Looking first and adding then would let two in by one place. */
static inline bool bounded_count_take(struct bounded_count *c, uint32_t limit)
{
    uint32_t n = atomic_load_explicit(&c->n, memory_order_relaxed);

    do {
        if (n >= limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&c->n, &n, n + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static inline void bounded_count_put(struct bounded_count *c)
{
    atomic_fetch_sub_explicit(&c->n, 1, memory_order_release);
}

static inline uint32_t bounded_count_get(const struct bounded_count *c)
{
    return atomic_load_explicit(&c->n, memory_order_acquire);
}
