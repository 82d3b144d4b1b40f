/* By what the answers of a rule are compressed, best first (BackendTrafficPolicy `compressor`).
 * Immutable, in the route's arena. */
#pragma once

#include "http/encode/encoder.h"

struct compress_item {
    struct encoder_settings settings;
    uint64_t min_bytes; /* of an answer whose length is known */
};

struct compress_plan {
    const struct compress_item *items;
    size_t n;
};
