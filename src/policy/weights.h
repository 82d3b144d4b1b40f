/* Weighted choice among the backends of a rule (Gateway API BackendRef.weight). Entries keep their
 * place whether or not their backend is valid: the share of an invalid one must be refused, not
 * given to the others. Immutable once compiled; any thread. */
#pragma once

#include "base/arena.h"

struct weights {
    const uint64_t *ends; /* running sums */
    uint32_t n;
    uint64_t total;
};

/* Compiles `n` weights (0 to 1 000 000 each; larger ones are clamped) into `arena`. */
void weights_init(struct weights *w, struct arena *arena, const uint32_t *values, uint32_t n);
/* The entry that a uniform random number falls on; -1 when all weights are 0. */
int32_t weights_pick(const struct weights *w, uint32_t random);
