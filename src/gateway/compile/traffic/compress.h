/* compile: compression of answers. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

void compile_compress(struct compile *c, struct compile_place *at);
