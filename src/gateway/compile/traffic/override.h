/* compile: responseOverride. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

/* Into at->rule, of what at->traffic says. */
void compile_overrides(struct compile *c, struct compile_place *at);
