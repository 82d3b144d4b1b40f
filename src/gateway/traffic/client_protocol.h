/* useClientProtocol of a BackendTrafficPolicy: backends that are spoken to as their clients speak
 * have a cluster for each protocol. Worker-local. */
#pragma once

#include "gateway/exchange.h"

/* Where a request goes that goes to `b`; NULL: nowhere. */
static inline struct cluster *client_protocol_cluster(const struct exchange *x,
                                                      const struct backend_plan *b)
{
    return b->cluster_h2 && x->request.is_http2 ? b->cluster_h2 : b->cluster;
}
