/* The weight of an endpoint that has not been there for long, as Envoy's slow start has it: it
 * grows evenly over a window (aggression 1), from a tenth on. Pure. */
#pragma once

#include <stdint.h>

/* Of BALANCER_FULL_WEIGHT, for one that is new since `since_us`. A window of 0 is none. */
uint32_t slow_start_weight(uint64_t since_us, uint64_t now_us, uint64_t window_us);
