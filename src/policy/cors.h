/* Cross-origin resource sharing (Fetch standard; Gateway API HTTPCORSFilter; Envoy Gateway
 * SecurityPolicy.cors). Compiled once, immutable; applying is pure and writes into the response's
 * headers. Used on relayed answers, on preflights, and on the gateway's own refusals, so that a
 * browser can read a 401 or 429. */
#pragma once

#include "http/message.h"

/* "scheme://host[:port]" in parts; `is_wildcard`: any host that ends in `host` (empty: any). */
struct cors_origin {
    struct str scheme;
    struct str host;
    struct str port; /* ":8080", or empty for the scheme's own */
    bool is_wildcard;
};

struct cors {
    const struct cors_origin *origins;
    uint32_t n_origins;
    bool may_any_origin;
    bool may_any_method;
    bool may_any_header;
    bool may_credentials;
    struct str methods; /* joined with ", "; empty: header left out */
    struct str headers;
    struct str expose;
    struct str max_age; /* seconds; empty: header left out */
};

struct cors_policy {
    const struct str *origins; /* exact, with "*." or "*" as host, or "*" */
    size_t n_origins;
    const struct str *methods; /* "*": all */
    size_t n_methods;
    const struct str *headers;
    size_t n_headers;
    const struct str *expose;
    size_t n_expose;
    int64_t max_age_s; /* negative: not given */
    bool may_credentials;
};

/* Conditions of cors_init. */
enum cors_condition {
    CORS_BAD_ORIGIN = 1, /* no scheme, or a wildcard that does not lead the host */
};

/* Copies into `arena`. On CORS_BAD_ORIGIN `*ret_bad` is the index of the origin. */
MUST_USE int cors_init(struct cors *c, struct arena *arena, const struct cors_policy *policy,
                       size_t *ret_bad);
/* An OPTIONS with Origin and Access-Control-Request-Method. */
bool cors_is_preflight(const struct http_request *request);
/* Could the request that the preflight announces carry a header of this name? What a script sets
 * is listed there, but for the safelisted names; what the browser sets by itself never is (Fetch,
 * "forbidden request-header"), nor what a proxy on the way adds, to the preflight too. */
bool cors_may_bring(const struct http_request *preflight, struct str name);
bool cors_allows_origin(const struct cors *c, struct str origin);
/* Fills in the answer to a preflight (no body; the caller answers 204, or 403 when this is false:
 * the origin is not allowed and nothing but Vary was written). */
bool cors_write_preflight(const struct cors *c, const struct http_request *request,
                          struct http_headers *response);
/* Adds to an actual answer; replaces what the upstream said about the same. Nothing but Vary when
 * there is no Origin or it is not allowed. */
void cors_write_actual(const struct cors *c, const struct http_request *request,
                       struct http_headers *response);
