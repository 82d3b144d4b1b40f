/* One breaker for two processes, as ask.h has one budget: whether a place at a backend may be taken
 * by the process that is taken over, the other one says, which takes some itself. And what is said
 * the other way: that one who waits for a connection there is granted one here. */
#pragma once

#include "app/takeover/ask.h"

/* A place_ask_fn; `ctx` is a struct takeover_ask. */
enum place_verdict takeover_ask_place(void *ctx, const struct place_claim *claim,
                                      uint32_t *ret_endpoint);
/* The taker's end: the content of an ASK_PLACE, and the message that answers it. False: malformed.
 */
bool takeover_ask_judge_place(struct server *g, struct str content, struct buf *ret_answer);
/* As takeover_ask_take_back. */
void takeover_ask_take_back_place(struct server *g, struct str content, struct str answer);

/* The messages, for tests too. What is got is borrowed; false: malformed. */
void takeover_ask_put_claim(struct buf *out, const struct place_claim *claim);
bool takeover_ask_get_claim(struct str content, struct place_claim *ret);
void takeover_put_grant(struct buf *out, const struct place_grant *grant);
bool takeover_get_grant(struct str content, struct place_grant *ret);
