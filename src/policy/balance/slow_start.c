/* See slow_start.h. */
#include "policy/balance/slow_start.h"

#include "base/macro.h"
#include "policy/balance/balancer.h"

enum { SLOW_START_LEAST = BALANCER_FULL_WEIGHT / 10 };

uint32_t slow_start_weight(uint64_t since_us, uint64_t now_us, uint64_t window_us)
{
    uint64_t age_us = now_us > since_us ? now_us - since_us : 0;

    if (age_us >= window_us)
        return BALANCER_FULL_WEIGHT;
    /* By parts of the window: its product with the weight could be too large. */
    double part = (double)age_us / (double)window_us;

    return MAX((uint32_t)(part * BALANCER_FULL_WEIGHT), (uint32_t)SLOW_START_LEAST);
}
