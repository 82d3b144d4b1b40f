/* Target and host of a request, the same for every codec (RFC 9110 7.1, 7.2): the one place where
 * it is decided which path and which site a request means. Pure; worker-local arena. */
#pragma once

#include "http/h1.h" /* enum h1_error */

/* `rest`: a target without scheme and authority, "*" or beginning with '/' or '?'. Fills path and
 * query; the method must be known. `unescapes`: %2F is a slash, else it is refused. */
MUST_USE enum h1_error target_read(struct str rest, bool unescapes, struct arena *arena,
                                   struct http_request *ret);
/* Fills host from authority. */
MUST_USE enum h1_error target_read_host(struct arena *arena, struct http_request *ret);
