/* Envoy's arithmetic of priorities, in whole hundredths as there. */
#include "gateway/traffic/priority_share.h"

#include "base/macro.h"

enum { OVER_PROVISIONING = 140 };

uint32_t priority_availability(struct priority_health h)
{
    if (h.n == 0)
        return 0;
    return (uint32_t)MIN(h.n_well * OVER_PROVISIONING / h.n, (uint64_t)PRIORITY_FULL);
}

/* Nobody is well: as many as there are. */
static uint32_t priority_pick_by_size(const struct priority_health *priorities, uint32_t n,
                                      uint32_t draw)
{
    uint64_t all = 0, below = 0;

    for (uint32_t i = 0; i < n; i++)
        all += priorities[i].n;
    for (uint32_t i = 0; i < n; i++) {
        below += priorities[i].n;
        if (draw * all < below * PRIORITY_FULL)
            return i;
    }
    return 0; /* there is no endpoint at all */
}

uint32_t priority_share_pick(const struct priority_health *priorities, uint32_t n, uint32_t draw,
                             bool *ret_is_enough)
{
    uint32_t total = 0, below = 0, first = n;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t a = priority_availability(priorities[i]);

        total += a;
        if (a > 0 && first == n)
            first = i;
    }
    *ret_is_enough = total >= PRIORITY_FULL;
    if (total == 0)
        return priority_pick_by_size(priorities, n, draw);
    total = MIN(total, (uint32_t)PRIORITY_FULL);
    for (uint32_t i = 0; i < n; i++) {
        below += priority_availability(priorities[i]) * PRIORITY_FULL / total;
        if (draw < below)
            return i;
    }
    return first; /* what rounding has left */
}
