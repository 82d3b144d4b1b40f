/* Response flags: Envoy's, in the order of its enumeration. */
#pragma once

#include "telemetry/log_header.h"

/* Short codes, separated by commas, as bits of that enumeration; "-" is none. */
int64_t log_flag_bits(struct str flags);
/* The same in words; "-" where there are none. */
struct str log_flags_long(struct str flags, char scratch[LOG_SCRATCH_BYTES]);
