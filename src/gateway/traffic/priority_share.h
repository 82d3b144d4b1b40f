/* How requests are shared among the priorities of backends by their health (Envoy, "Priority
 * levels"): a priority takes what it can, the next ones the rest. With its over-provisioning
 * (factor 1.4) a priority gives nothing away until fewer than 72 of 100 endpoints are well. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct priority_health {
    uint64_t n;      /* endpoints */
    uint64_t n_well; /* of them */
};

enum { PRIORITY_FULL = 100 };

/* The share of all requests, of PRIORITY_FULL, that it can take. */
uint32_t priority_availability(struct priority_health h);
/* The priority for a number drawn from [0, PRIORITY_FULL). *ret_is_enough: together they can take
 * all requests, so that none need go to endpoints that are not well. If none can take any, each
 * gets a share by its number of endpoints. */
uint32_t priority_share_pick(const struct priority_health *priorities, uint32_t n, uint32_t draw,
                             bool *ret_is_enough);
