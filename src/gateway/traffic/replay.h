/* The content of a request as far as it was sent, kept apart from the pipe until no other try can
 * need it any more: where the rule retries, up to LIMIT_REPLAY_BYTES, and counted in what the
 * worker holds of bodies. Bodies that the gate keeps whole (body_gate.h) need none. Embedded in
 * struct retry; worker-local. */
#pragma once

#include "base/buf.h"
#include "gateway/ai/held_share.h"

struct replay {
    bool is_keeping; /* all that was sent stands in `kept` */
    bool is_due;     /* and the try under way has still to get it */
    struct buf kept;
    uint64_t n_counted;
};

/* Of what is sent to a backend now. More than there is room for: it is given up, and all of it. */
void replay_keep(struct replay *r, struct held_share *share, struct str span);
/* No other try will be made. Repeatable. */
void replay_drop(struct replay *r, struct held_share *share);
