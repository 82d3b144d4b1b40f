/* compile: tracing of an EnvoyProxy for one listener. Compile thread. */
#pragma once

struct compile;
struct envoy_proxy;
struct gateway;
struct listener_plan;

/* Reports every format that is not valid, at its place, and breaks its EnvoyProxy: once, before
 * listeners are compiled, and of one that nobody attaches too. */
void compile_check_tracing(struct compile *c);
/* Into plan->trace; nothing where the EnvoyProxy asks for none, or its collector cannot be had. */
void compile_tracing(struct compile *c, const struct gateway *g, struct envoy_proxy *proxy,
                     struct listener_plan *plan);
