/* What manifests say of how a cluster is spoken to and looked up: part of its identity. */
#pragma once

#include "base/macro.h"

/* What is spoken to a cluster's endpoints. */
enum cluster_protocol {
    CLUSTER_HTTP1,
    CLUSTER_HTTP2,      /* nothing else: by prior knowledge, over TLS by ALPN */
    CLUSTER_NEGOTIATED, /* over TLS: what the endpoint chooses by ALPN */
};

/* Of connections that speak HTTP/2. */
struct cluster_http2 {
    uint32_t stream_window;     /* bytes; 0: the codec's default */
    uint32_t connection_window; /* bytes; 0: the codec's default */
    uint32_t n_streams_max;     /* of one connection; 0: LIMIT_H2_STREAMS */
    bool ends_on_invalid;       /* a malformed answer ends the connection, not its stream alone */
    uint64_t ping_interval_us;  /* of silence before a PING; 0: LIMIT_H2_SILENCE_S, while busy */
    uint64_t ping_timeout_us;   /* for its answer; 0: LIMIT_H2_PING_ANSWER_S */
    uint64_t ping_first_us;     /* of silence after which a stream begins with one; 0: none */
};

/* Which families of a name's addresses are used. */
enum cluster_family {
    CLUSTER_ALL_FAMILIES,
    CLUSTER_IPV4,
    CLUSTER_IPV6,
    CLUSTER_IPV4_PREFERRED, /* the other one where there is none */
    CLUSTER_IPV6_PREFERRED,
};

/* Lookups of a cluster that has a name. */
struct cluster_lookup {
    uint64_t refresh_us; /* time between them; 0: as the answer's TTL says */
    enum cluster_family family;
};
