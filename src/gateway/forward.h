/* From the client's request to the one that a backend receives: forwarding headers, host and path
 * rewrites, credentials that stay here. */
#pragma once

#include "gateway/exchange.h"

/* Once, after authorization: X-Forwarded-*, X-Request-Id and the route's header modifiers, on
 * x->request. */
void forward_add_headers(struct exchange *x);
/* Before each attempt: `ret` is what goes to this backend. Its header list is its own. False: a
 * pattern of a rewrite reached its limit. */
MUST_USE bool forward_prepare(struct exchange *x, const struct backend_plan *backend,
                              struct http_request *ret);
