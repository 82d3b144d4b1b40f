/* Providers of state.h for what is known of backends: places of circuit breakers, and the health of
 * endpoints. Their records, with the words of a question about a place (ask_place.h). */
#pragma once

#include "app/takeover/state.h"
#include "app/takeover/wire.h"
#include "upstream/health/verdict.h"

void places_state_share(struct server *g, uint32_t session, struct state_sink *sink);
void places_state_unshare(struct server *g);
bool places_state_take(struct server *g, struct str record);
void places_state_disown(struct server *g);

/* What the giver learns after this is not told: the taker judges by itself from then on. */
void health_state_share(struct server *g, uint32_t session, struct state_sink *sink);
bool health_state_take(struct server *g, struct str record);

/* Between a record and its values; for tests, too. What is got is borrowed; false: malformed. */
void state_put_place(struct buf *out, const struct place_move *move);
bool state_get_place(struct str record, struct place_move *ret);
void state_put_verdict(struct buf *out, const struct health_verdict *v);
bool state_get_verdict(struct str record, struct health_verdict *ret);
