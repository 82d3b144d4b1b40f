/* Pauses between tries: their bound doubles with every failure, up to a longest one, and where in
 * it a pause lies is drawn, so that callers who failed together do not come back together. Pure;
 * the caller draws the random number. */
#pragma once

#include <stdint.h>

struct back_off {
    uint64_t base_us; /* the first bound */
    uint64_t max_us;
};

/* The bound after `n_failed` failures before the one that just was. Cannot overflow. */
uint64_t back_off_bound(const struct back_off *b, uint32_t n_failed);
/* Evenly in [low_us, high_us]. */
uint64_t back_off_draw(uint64_t low_us, uint64_t high_us, uint64_t random);
