/* Connections that are opened ahead of need (`connection.preconnect` of a BackendTrafficPolicy): at
 * each try there are as many to its endpoint, open or being opened, as would take the share of its
 * streams that the policy names, 100 % being those that there are. They are as all others once they
 * are open, and until then the next try may have them. Of one worker. */
#pragma once

#include "upstream/conn.h"

/* `a` has an endpoint. */
void preconnect_for(const struct attempt *a);
/* Is it being opened, and nobody waits for it? */
bool preconnect_is_spare(const struct conn *c);
/* One to `e` that `a` may wait for; it is not spare then. NULL: none. */
struct conn *preconnect_take(struct pool *p, const struct endpoint *e, struct attempt *a,
                             uint64_t until_us);
/* A spare one of HTTP/1.1 is open. */
void preconnect_on_open(struct conn *c);
