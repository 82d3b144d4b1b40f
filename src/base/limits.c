/* The limits as data, for the generated reference. */
#include "base/limits.h"

#include <stddef.h>

const struct limit_row limit_rows[] = {
#define X(name, value, unit, text) {#name, (value), unit, text},
    LIMITS(X)
#undef X
        {NULL, 0, NULL, NULL},
};
