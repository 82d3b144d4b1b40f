/* Weighted rendezvous hashing: of a few choices with weights, the one that a key belongs to. A
 * change of a weight moves only keys from or to that choice. Pure.
 *
 *     struct rendezvous r = {0};
 *     rendezvous_offer(&r, key, seed of a choice, its weight, its index);   for each
 *     r.is_any, r.index */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rendezvous {
    bool is_any;
    uint32_t index;
    double cost; /* of that one */
};

/* Nothing has a weight of 0. */
void rendezvous_offer(struct rendezvous *r, uint64_t key, uint64_t seed, uint64_t weight,
                      uint32_t index);
