/* EnvoyProxy (gateway.envoyproxy.io/v1alpha1): telemetry of the gateways that a GatewayClass or a
 * Gateway attaches it to, and shutdown. What concerns deployment in a cluster is known and left
 * aside. Immutable after load. */
#pragma once

#include "manifest/part/telemetry_spec.h"
#include "manifest/part/tls_settings.h"

struct shutdown_spec {
    struct mark mark;
    struct opt_duration drain_timeout;
    struct opt_duration min_drain_duration;
    struct opt_duration health_check_failure_delay;
};

struct envoy_proxy_spec {
    struct mark mark;
    struct telemetry_spec *telemetry;
    struct shutdown_spec *shutdown;
    struct tls_settings *backend_tls;
    struct opt_bool merge_gateways;
    struct opt_bool preserve_route_order;
    struct opt_int concurrency;
    int ip_family; /* 0 IPv4, 1 IPv6, 2 DualStack; -1: not given */
};
struct envoy_proxy {
    struct object object;
    struct envoy_proxy_spec spec;
};
extern const struct table envoy_proxy_spec_table;
