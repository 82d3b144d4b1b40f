/* compile: httpUpgrade. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

/* Into at->rule, of what at->traffic says. */
void compile_upgrade(struct compile_place *at);
