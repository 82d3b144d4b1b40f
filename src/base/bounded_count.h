/* How many of something there are, of all threads together, never more than a bound: who wants one
 * takes a place, and gives it back. The bound is the taker's, and may change from one call to the
 * next; who has a place keeps it. Shared.
 *
 * A count can carry a mark. Whoever changes the number learns the mark that it had at that moment,
 * and whoever sets the mark the number: so it is certain of each change whether it came before or
 * after, though nobody waits; and what was written before the mark was set is there for whoever
 * meets it. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bounded_count {
    _Atomic uint64_t word; /* the mark, and below it the number */
};

/* No bound but that of the number itself. */
#define BOUNDED_COUNT_MAX (UINT32_MAX - 1)

static inline uint32_t bounded_count_get(const struct bounded_count *c)
{
    return (uint32_t)atomic_load_explicit(&c->word, memory_order_acquire);
}

/* False: there are `limit` already. Looking first and adding then would let two in by one place. */
static inline bool bounded_count_take_marked(struct bounded_count *c, uint32_t limit,
                                             uint32_t *ret_mark)
{
    uint64_t word = atomic_load_explicit(&c->word, memory_order_relaxed);

    do {
        if ((uint32_t)word >= limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&c->word, &word, word + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    *ret_mark = (uint32_t)(word >> 32);
    return true;
}

static inline bool bounded_count_take(struct bounded_count *c, uint32_t limit)
{
    uint32_t mark;

    return bounded_count_take_marked(c, limit, &mark);
}

/* The mark that it had. */
static inline uint32_t bounded_count_put(struct bounded_count *c)
{
    return (uint32_t)(atomic_fetch_sub_explicit(&c->word, 1, memory_order_acq_rel) >> 32);
}

/* The number at that moment, and the mark before. */
static inline uint32_t bounded_count_mark(struct bounded_count *c, uint32_t mark,
                                          uint32_t *ret_before)
{
    uint64_t word = atomic_load_explicit(&c->word, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(&c->word, &word,
                                                  (uint64_t)mark << 32 | (uint32_t)word,
                                                  memory_order_acq_rel, memory_order_relaxed)) {
    }
    *ret_before = (uint32_t)(word >> 32);
    return (uint32_t)word;
}
