/* compile: a policy's circuitBreaker into the bounds of a rule. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

struct cluster_circuit_breaker;

/* Into at->rule, whose backends and mirrors are there. `spec` NULL: no bounds. */
void compile_breaker(struct compile *c, struct compile_place *at,
                     const struct cluster_circuit_breaker *spec);
