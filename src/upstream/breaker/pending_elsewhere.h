/* A queue of pending.h together with that of another process, while one takes over from the other:
 * who waits there, and what is granted from there. */
#pragma once

#include "upstream/breaker/places.h"

struct breaker;
struct endpoint_state;

/* Another process has granted a connection to the endpoint; places for it and a request are taken.
 * True: one who waits has them now. */
MUST_USE bool pending_give(struct breaker *b, const struct endpoint_state *e,
                           const struct place_grant *grant);
/* One more waits in another process. False: there is no room, which is counted. */
MUST_USE bool pending_enter_elsewhere(struct breaker *b, uint32_t limit);
void pending_leave_elsewhere(struct breaker *b);
/* From now on each change of how many wait is told in that session, and all that wait now; 0: none
 * is. */
void pending_share(struct breaker *b, uint32_t session);
