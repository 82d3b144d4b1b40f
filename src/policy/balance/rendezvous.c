/* The lowest of exponentially distributed numbers whose rates are the weights: each choice's is the
 * lowest as often as its weight says (Schindelhauer and Schomaker 2005). */
#include "policy/balance/rendezvous.h"

#include <math.h>

#include "policy/balance/stable_hash.h"

enum { DOUBLE_BITS = 53 };

void rendezvous_offer(struct rendezvous *r, uint64_t key, uint64_t seed, uint64_t weight,
                      uint32_t index)
{
    uint64_t bits = stable_hash_nth(key ^ seed, 1) >> (64 - DOUBLE_BITS);
    double uniform = ldexp((double)(bits + 1), -DOUBLE_BITS); /* in (0, 1] */
    double cost;

    if (weight == 0)
        return;
    cost = -log(uniform) / (double)weight;
    if (r->is_any && cost >= r->cost)
        return;
    *r = (struct rendezvous){true, index, cost};
}
