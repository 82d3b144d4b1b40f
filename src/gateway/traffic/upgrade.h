/* Which protocols the requests of a rule may upgrade to, as a BackendTrafficPolicy has it
 * (httpUpgrade). Without a word WebSocket is the only one. Worker-local. */
#pragma once

#include "gateway/refusal.h"

struct exchange;
struct http_response;

/* Immutable. */
struct upgrade_plan {
    const struct str *types;
    size_t n;
};

/* The rule has a plan. What the request asks for and may have is x->request.upgrade then. */
enum refusal upgrade_judge(struct exchange *x);
/* Is it the yes to what was asked for? */
bool upgrade_is_agreed(const struct exchange *x, const struct http_response *r);
