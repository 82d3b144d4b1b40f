/* Tables of Maglev hashing: a key belongs to the endpoint of its place in the table. All have the
 * same number of places, but for one, and when one comes or goes few places change hands but its
 * own. Immutable; any thread. Building one takes milliseconds: nothing for a worker. */
#pragma once

#include "base/str.h"
#include "policy/balance/balancer.h"

struct maglev {
    uint32_t size;
    uint32_t places[]; /* endpoints, by their index among the names */
};

/* `size` is a prime, `n` is not 0; the order of the names has no say in who gets what. */
struct maglev *maglev_new(const struct str *names, uint32_t n, uint32_t size);
void maglev_free(struct maglev *m);
/* The endpoint for a key. Where it is not to be used the key's next places are looked at: only the
 * keys of such endpoints go elsewhere, and come back with them. `n_passed`: so many
 * that could be used are passed over, since they were tried before; and the one to avoid. */
uint32_t maglev_pick(const struct maglev *m, uint64_t key, uint32_t n_passed,
                     const struct balancer_view *v);
