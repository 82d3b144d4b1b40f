/* See back_off.h. Whose pauses these are, and what part of the bound is fixed, is the caller's. */
#include "policy/retry/back_off.h"

#include "base/macro.h"

enum { DOUBLINGS_MAX = 20 };

uint64_t back_off_bound(const struct back_off *b, uint32_t n_failed)
{
    uint64_t us = b->base_us;

    for (uint32_t i = 0; i < MIN(n_failed, (uint32_t)DOUBLINGS_MAX) && us < b->max_us; i++) {
        if (us > UINT64_MAX / 2)
            return b->max_us;
        us *= 2;
    }
    return MIN(us, b->max_us);
}

uint64_t back_off_draw(uint64_t low_us, uint64_t high_us, uint64_t random)
{
    uint64_t width = high_us > low_us ? high_us - low_us : 0;

    return width == UINT64_MAX ? random : low_us + random % (width + 1);
}
