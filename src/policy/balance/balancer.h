/* Choosing one endpoint of a backend (Envoy Gateway LoadBalancer; least request is the default).
 * Pure: loads come by a function, randomness from the balancer's own generator. A struct balancer
 * is worker-local. */
#pragma once

#include "base/random.h"

enum balancer_kind {
    BALANCER_LEAST_REQUEST, /* the less loaded of two at random */
    BALANCER_ROUND_ROBIN,
    BALANCER_RANDOM,
    BALANCER_KINDS
};

struct balancer {
    enum balancer_kind kind;
    uint32_t next; /* round robin */
    struct random random;
    uint32_t *credits; /* round robin by weight: what each endpoint is owed; NULL: not yet needed */
    uint32_t n_credits;
};

enum { BALANCER_FULL_WEIGHT = 100000 };

#define BALANCER_NO_ENDPOINT UINT32_MAX

/* Requests in flight at endpoint `index`; UINT32_MAX: not to be used. */
typedef uint32_t balancer_load_fn(const void *context, uint32_t index);

/* Up to BALANCER_FULL_WEIGHT, and not far below a tenth of that: endpoints with less are waited for
 * in vain. */
typedef uint32_t balancer_weight_fn(const void *context, uint32_t index);

/* What there is to choose from. */
struct balancer_view {
    uint32_t n;
    /* The endpoint that a retry has just failed on (BALANCER_NO_ENDPOINT: none): taken only when
     * there is no other. */
    uint32_t avoid;
    balancer_load_fn *load;
    balancer_weight_fn *weight; /* of least request and round robin; NULL: all have the same */
    const void *context;
};

void balancer_init(struct balancer *b, enum balancer_kind kind, uint64_t seed);
void balancer_deinit(struct balancer *b);
/* The endpoints are others now: nobody is owed anything. */
void balancer_forget(struct balancer *b);
/* An index below `n`, or BALANCER_NO_ENDPOINT when every endpoint is not to be used. */
uint32_t balancer_pick(struct balancer *b, const struct balancer_view *v);
/* The first one from `start` on, around, that is to be used; or BALANCER_NO_ENDPOINT. */
uint32_t balancer_scan(const struct balancer_view *v, uint32_t start);
