/* What one worker holds of one kind, against a bound for all of it: many long bodies at once are
 * refused before memory is. Kinds have shares of their own, so that callers who send long bodies
 * cannot take the room of answers that others pay for. Worker-local. */
#pragma once

#include "base/assert.h"

struct held_share {
    uint64_t n_bytes;
};

/* False, and nothing is counted, when there is no room for so many more. `counted` is the holder's
 * own part. */
MUST_USE static inline bool held_share_take(struct held_share *s, uint64_t bound, size_t n_bytes,
                                            uint64_t *counted)
{
    if (n_bytes > bound - s->n_bytes)
        return false;
    s->n_bytes += n_bytes;
    *counted += n_bytes;
    return true;
}

static inline void held_share_give_back(struct held_share *s, uint64_t *counted)
{
    ASSERT(*counted <= s->n_bytes);
    s->n_bytes -= *counted;
    *counted = 0;
}
