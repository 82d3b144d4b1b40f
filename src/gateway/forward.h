/* From the client's request to the one that a backend receives: forwarding headers, host and path
 * rewrites, credentials that stay here. */
#pragma once

#include "gateway/exchange.h"

/* Once, after the authorization rules: X-Forwarded-* and X-Request-Id on x->request. */
void forward_add_headers(struct exchange *x);
/* Once, after all of authorization: the route's header modifiers, on x->request. */
void forward_modify_headers(struct exchange *x);
/* Before each attempt: `ret` is what the rule makes of the request, for the backend and its mirrors
 * alike. Its header list is its own. REFUSAL_NONE, or why nothing can be sent. */
MUST_USE enum refusal forward_prepare(struct exchange *x, const struct backend_plan *backend,
                                      struct http_request *ret);
/* Then what is for this backend alone: the header modifiers of the backendRef itself, and what an
 * AI service gets (ai_request.h). */
MUST_USE enum refusal forward_prepare_backend(struct exchange *x,
                                              const struct backend_plan *backend,
                                              struct http_request *request);
/* Where the listener tells x-envoy headers. A backend: how long is left for the try, of `try_us`
 * (0: any time), and the path that a rewrite has replaced. */
void forward_tell_backend(struct exchange *x, uint64_t try_us, struct http_request *request);
/* And the client: how long its backend took, and why a request was dropped. */
void forward_tell_client(struct exchange *x, struct http_headers *h);
