/* compile: collectors of metrics that EnvoyProxies name. Compile thread. */
#pragma once

struct compile;
struct envoy_proxy;

/* Into the snapshot, each once, however many listeners there are. */
void compile_metric_sinks(struct compile *c, struct envoy_proxy *proxy);
