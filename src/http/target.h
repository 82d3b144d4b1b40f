/* Target and host of a request, the same for every codec (RFC 9110 7.1, 7.2): the one place where
 * it is decided which path and which site a request means. Pure; worker-local arena. */
#pragma once

#include "http/h1.h" /* enum h1_error */

/* `rest`: a target without scheme and authority, "*" or beginning with '/' or '?'. Fills path and
 * query; the method must be known. `reading`: enum path_reading, as flags. */
MUST_USE enum h1_error target_read(struct str rest, unsigned reading, struct arena *arena,
                                   struct http_request *ret);
/* The path once more, of a request whose codec kept empty segments, for a listener that does not.
 */
MUST_USE enum h1_error target_merge_slashes(struct arena *arena, struct http_request *q);
/* Fills host from authority. */
MUST_USE enum h1_error target_read_host(struct arena *arena, struct http_request *ret);
