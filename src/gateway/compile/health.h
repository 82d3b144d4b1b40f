/* compile: what the policies of rules ask of the health of their backends. A backend is probed and
 * judged by one plan, whoever sends to it. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

struct cluster_health_check;

/* What the policy of at->rule, whose backends are there, asks of each of them. */
void compile_health(struct compile *c, struct compile_place *at);
/* What the settings of a policy ask of the one that they are about; `spec` may be NULL. */
void compile_health_of(struct compile *c, struct object *policy, struct cluster *cluster,
                       const struct cluster_health_check *spec);
/* After all rules: into the snapshot. */
void compile_health_done(struct compile *c);
