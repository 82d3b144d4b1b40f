/* See replay.h. */
#include "gateway/traffic/replay.h"

#include "base/limits.h"

void replay_keep(struct replay *r, struct held_share *share, struct str span)
{
    if (!r->is_keeping)
        return;
    if (span.len > LIMIT_REPLAY_BYTES - r->kept.len ||
        !held_share_take(share, LIMIT_HELD_BYTES, span.len, &r->n_counted)) {
        replay_drop(r, share);
        return;
    }
    buf_append(&r->kept, span.ptr, span.len);
}

void replay_drop(struct replay *r, struct held_share *share)
{
    r->is_keeping = r->is_due = false;
    buf_deinit(&r->kept);
    held_share_give_back(share, &r->n_counted);
}
