/* compile: access logs of EnvoyProxies. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

struct envoy_proxy;
struct gateway;
struct listener_plan;

/* Reports every format and match that is not valid, at its place, and breaks its EnvoyProxy: once,
 * before listeners are compiled, and of one that nobody attaches too. */
void compile_check_logs(struct compile *c);
/* Of the Gateway. NULL: the defaults, also where the parameters given cannot be used. */
struct envoy_proxy *compile_proxy(const struct gateway *g);
/* Those of the listener's Gateway, or the default. */
void compile_logs(struct compile *c, const struct gateway *g, struct listener_plan *plan);
