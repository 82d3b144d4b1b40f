/* Points of time as access logs spell them. */
#pragma once

#include "telemetry/log_header.h"

/* By a strftime format with Envoy's additions, in UTC; ISO 8601 with milliseconds when it is
 * empty. */
struct str log_time_format(struct str format, int64_t wall_us, char scratch[LOG_SCRATCH_BYTES]);
