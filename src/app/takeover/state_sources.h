/* Providers of state.h for what was fetched from elsewhere and may not be had again at once: key
 * sets of issuers, and addresses of names. A takeover while their sources are down must not end a
 * service that went on without them. What does not fit into one message is left out. */
#pragma once

#include "app/takeover/state.h"
#include "upstream/key_feed.h"
#include "upstream/names.h"

void keys_state_share(struct server *g, uint32_t session, struct state_sink *sink);
bool keys_state_take(struct server *g, struct str record);

void names_state_share(struct server *g, uint32_t session, struct state_sink *sink);
bool names_state_take(struct server *g, struct str record);
