/* The fields of struct cluster_settings, for the tables that hold them: `backendSettings` and
 * BackendTrafficPolicy's spec. `retry_flags`: whether that is enforced there; `policy_flags`: the
 * same of what only the policy's is. */
#pragma once

#include "manifest/part/cluster_settings.h"

#define CLUSTER_SETTINGS_FIELDS(type, at, retry_flags, policy_flags)                               \
    FIELD_OBJECT(type, at load_balancer, "loadBalancer", policy_flags, cluster_load_balancer,      \
                 "How an endpoint is chosen; LeastRequest unless given."),                         \
        FIELD_OBJECT(type, at retry, "retry", retry_flags, cluster_retry,                          \
                     "Further attempts after a failure."),                                         \
        FIELD_OBJECT(type, at circuit_breaker, "circuitBreaker", 0, cluster_circuit_breaker,       \
                     "Bounds beyond which requests are refused (503)."),                           \
        FIELD_OBJECT(type, at timeout, "timeout", 0, cluster_timeout, "Time limits."),             \
        FIELD_OBJECT(type, at health_check, "healthCheck", 0, cluster_health_check,                \
                     "Which endpoints take part."),                                                \
        FIELD_OBJECT(type, at tcp_keepalive, "tcpKeepalive", 0, tcp_keepalive,                     \
                     "TCP keep-alive of upstream connections."),                                   \
        FIELD_OBJECT(type, at connection, "connection", 0, cluster_connection,                     \
                     "Buffers of upstream connections."),                                          \
        FIELD_OBJECT(type, at dns, "dns", 0, cluster_dns, "How endpoint names are resolved."),     \
        FIELD_OBJECT(type, at proxy_protocol, "proxyProtocol", 0, cluster_proxy_protocol,          \
                     "PROXY protocol towards backends."),                                          \
        FIELD_OBJECT(type, at http2, "http2", 0, http2_settings, "HTTP/2 towards backends.")
