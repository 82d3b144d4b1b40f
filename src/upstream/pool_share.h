/* What a pool does for the sake of other workers, and they for its: connections to a backend are
 * bounded for all together, so that an unused one here may be what an attempt there waits for. */
#pragma once

#include "upstream/pool.h"

void pool_share_init(struct pool *p);
/* Its connections are closed. */
void pool_share_deinit(struct pool *p);
/* Tells the others since when it has an unused connection. */
void pool_share_note_idle(struct pool *p);
/* The same; if somebody waits, that connection is not to stay unused. */
void pool_share_on_idle(struct pool *p);
/* A connection has room, or is going to: attempts that wait here may go on by it. */
void pool_share_on_room(struct pool *p);
/* Of a connection that was to end for others who wait: it has, or goes on. */
void pool_share_end_yielding(struct conn *c);
/* The connection that is unused the longest of all pools; false: there is none. */
bool pool_share_close_oldest(struct upstreams *u);
/* wake_fn of upstreams.limit: others ask for room, or there is some for attempts that wait. */
void pool_share_on_limit(struct wake *w);
/* wake_fn of upstreams.pending_news. */
void pool_share_on_news(struct wake *w);
