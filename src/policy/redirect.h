/* Redirects (Gateway API HTTPRequestRedirectFilter). Compiled once, immutable; building a location
 * is pure and allocates in the exchange's arena. */
#pragma once

#include "policy/rewrite.h"

struct redirect {
    struct str scheme;   /* "http", "https" or empty: the request's */
    struct str hostname; /* empty: the request's */
    uint16_t port;       /* 0: not given */
    uint16_t status;     /* 301, 302 (the default), 303, 307 or 308 */
    struct path_rewrite path;
};

/* The Location value. `listener_port` is the port of the listener that took the request;
 * `n_matched` as for path_rewrite_apply. 0 or REWRITE_REFUSED. */
MUST_USE int redirect_location(const struct redirect *r, const struct http_request *request,
                               size_t n_matched, uint16_t listener_port, struct arena *arena,
                               struct str *ret_location);
