/* compile: the annotation of a route that asks for comments in silent event streams. Compile
 * thread. */
#pragma once

#include "gateway/compile/compile.h"

#define KEEP_ALIVE_ANNOTATION "tollgate/event-stream-keep-alive"

/* Into at->rule, of at->route. */
void compile_keep_alive(struct compile *c, struct compile_place *at);
