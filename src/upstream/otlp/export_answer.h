/* What a collector's answer to an export means (OTLP 1.x, "OTLP/HTTP Response"). Pure. */
#pragma once

#include "base/str.h"

enum export_outcome {
    EXPORT_TAKEN,
    EXPORT_AGAIN,   /* the same again, after a pause */
    EXPORT_REFUSED, /* never again */
};

enum export_outcome export_outcome_of_status(unsigned status);
/* How many items a collector that took the others did not take (partialSuccess); 0 where the text
 * does not say so. */
uint64_t export_n_rejected(struct str body);
/* Retry-After in seconds, at most LIMIT_EXPORT_PAUSE_S; 0: it says nothing that is understood. */
uint64_t export_pause_us(struct str retry_after);
