/* How connections to a cluster's endpoints are opened and kept, whatever is spoken on them: a part
 * of its identity. Immutable. */
#pragma once

#include "net/proxy_protocol.h"

struct cluster_transport {
    struct socket_options socket;
    uint32_t buffer_bytes; /* that may wait to be sent; 0: the outbox's default */
    uint64_t age_us; /* after which a connection takes no further request; 0: any number of them */
    uint32_t preconnect_percent; /* see preconnect.h; 0: none */
    enum proxy_version proxy;    /* of the PROXY protocol, which then comes first */
};
