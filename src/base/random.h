/* Fast pseudo-random numbers for balancing and jitter (never for secrets): one state per thread. */
#pragma once

#include "base/macro.h"

struct random {
    uint64_t state[2];
};

/* Seeds from getrandom(2). */
void random_init(struct random *r);
/* The same sequence for the same seed: for tests. */
void random_init_seed(struct random *r, uint64_t seed);
uint64_t random_u64(struct random *r);
/* Uniform in [0, bound); bound > 0. */
uint32_t random_below(struct random *r, uint32_t bound);
/* Cryptographic bytes (getrandom), for ids that must not be guessed. */
void random_secure(void *ret_bytes, size_t n);
