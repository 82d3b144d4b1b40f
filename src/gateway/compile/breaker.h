/* compile: a policy's circuitBreaker into the bounds of a rule. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

struct breaker_limits;
struct cluster_circuit_breaker;

/* Into at->rule, whose backends and mirrors are there. `spec` NULL: no bounds. */
void compile_breaker(struct compile *c, struct compile_place *at,
                     const struct cluster_circuit_breaker *spec);
/* The bounds of what `user` (of the rule's surroundings, always the same name) sends to a cluster
 * (NULL: to others besides), for as long as at->plan; NULL: none. `spec` may be NULL. */
const struct breaker_limits *compile_breaker_of(struct compile *c, const struct compile_place *at,
                                                struct str user, const struct cluster *cluster,
                                                const struct cluster_circuit_breaker *spec);
/* As they stand in `spec`, for a user whose identity they belong to. False: none. */
bool compile_limits_of(const struct cluster *cluster, const struct cluster_circuit_breaker *spec,
                       struct breaker_limits *ret_limits);
