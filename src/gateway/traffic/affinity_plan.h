/* What of a request decides about its backend and endpoint (BackendTrafficPolicy `loadBalancer`,
 * type ConsistentHash). Immutable, in the route's arena. */
#pragma once

#include "base/str.h"

enum affinity_source {
    AFFINITY_ADDRESS, /* the detected client's */
    AFFINITY_HEADERS,
    AFFINITY_COOKIE,
    AFFINITY_PARAMS,
};

struct affinity_plan {
    enum affinity_source source;
    const struct str *names; /* of headers (lower-case), parameters, or the cookie */
    uint32_t n_names;
    bool makes_cookie;      /* where there is none */
    struct str cookie_rest; /* of one that is made: what stands behind its value */
    const uint64_t *seeds;  /* of the rule's backends */
};
