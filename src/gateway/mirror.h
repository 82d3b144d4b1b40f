/* Mirrors (Gateway API HTTPRequestMirrorFilter): a copy of a request to another cluster, whose
 * answer is thrown away. The copy is complete before it is sent, so that a slow mirror never slows
 * the request; content beyond LIMIT_MIRROR_BYTES means no copy. Worker-local; a mirror outlives its
 * exchange. */
#pragma once

#include "base/macro.h"
#include "base/str.h"

struct exchange;
struct mirror;
struct worker;

struct http_request;

/* Prepares the copies that the rule asks for, of the request as the rule makes it. */
void mirror_begin(struct exchange *x, const struct http_request *request);
/* Content as it passes, then its end: sends. */
void mirror_on_body(struct exchange *x, struct str span);
void mirror_on_body_end(struct exchange *x);
/* The request ended before its content was complete: no copy. */
void mirror_drop(struct exchange *x);
/* The worker ends: everything goes. */
void mirror_stop_all(struct worker *w);
