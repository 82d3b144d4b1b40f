/* compile: faultInjection. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

/* Into at->rule, of what at->traffic says. */
void compile_fault(struct compile_place *at);
