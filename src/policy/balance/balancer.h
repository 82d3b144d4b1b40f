/* Choosing one endpoint of a backend (Envoy Gateway LoadBalancer; least request is the default).
 * Pure: loads come by a function, randomness from the balancer's own generator. A struct balancer
 * is worker-local. */
#pragma once

#include "base/random.h"

enum balancer_kind {
    BALANCER_LEAST_REQUEST, /* the less loaded of two at random */
    BALANCER_ROUND_ROBIN,
    BALANCER_RANDOM,
};

struct balancer {
    enum balancer_kind kind;
    uint32_t next; /* round robin */
    struct random random;
};

#define BALANCER_NO_ENDPOINT UINT32_MAX

/* Requests in flight at endpoint `index`; UINT32_MAX: not to be used. */
typedef uint32_t balancer_load_fn(const void *context, uint32_t index);

void balancer_init(struct balancer *b, enum balancer_kind kind, uint64_t seed);
/* An index below `n`, or BALANCER_NO_ENDPOINT when every endpoint is not to be used. `avoid` is the
 * endpoint that a retry has just failed on (BALANCER_NO_ENDPOINT: none); it is taken only when
 * there is no other. */
uint32_t balancer_pick(struct balancer *b, uint32_t n, uint32_t avoid, balancer_load_fn *load,
                       const void *context);
