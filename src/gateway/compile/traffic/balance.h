/* compile: a policy's loadBalancer into how a rule chooses endpoints. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

struct cluster_load_balancer;

/* Into at->rule. `spec` NULL: as where nothing is said. */
void compile_balance(struct compile_place *at, const struct cluster_load_balancer *spec);
