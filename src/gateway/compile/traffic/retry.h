/* compile: further tries, of a BackendTrafficPolicy and of an HTTPRoute. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

/* Into at->rule, of what at->traffic says. */
void compile_retry(struct compile *c, struct compile_place *at);
/* The rule's own word, which takes the place of the policy's; its bounds stay. NULL is nothing. */
void compile_route_retry(struct compile *c, struct compile_place *at,
                         const struct http_route_retry *own);
