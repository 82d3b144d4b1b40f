/* compile: a policy's circuitBreaker into the bounds of a rule. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

struct breaker_limits;
struct cluster_circuit_breaker;

/* Into at->rule, whose backends and mirrors are there. `spec` NULL: no bounds. */
void compile_breaker(struct compile *c, struct compile_place *at,
                     const struct cluster_circuit_breaker *spec);
/* The bounds of what is sent to one cluster (NULL: to others besides), in `a`; NULL: none. */
const struct breaker_limits *compile_breaker_of(struct arena *a, const struct cluster *cluster,
                                                const struct cluster_circuit_breaker *spec);
