/* How requests go to a set of endpoints: balancing, retries, timeouts, breakers, health, connection
 * and protocol settings. Shared by BackendTrafficPolicy and by every `backendSettings` (key sets,
 * external authorization, telemetry). Immutable after load. Source: Envoy Gateway API,
 * "ClusterSettings". Absent values stay unset; defaults are applied by compile. */
#pragma once

#include "manifest/part/load_balancer.h"
#include "manifest/part/resilience.h"

struct retry_budget {
    struct mark mark;
    struct fraction *percent;
    struct opt_int min_retry_concurrency;
};
struct per_endpoint_breaker {
    struct mark mark;
    struct opt_int max_connections;
};
struct cluster_circuit_breaker {
    struct mark mark;
    struct opt_int max_connections; /* each of the four: default 1024 */
    struct opt_int max_pending_requests;
    struct opt_int max_parallel_requests;
    struct opt_int max_parallel_retries;
    struct opt_int max_requests_per_connection;
    struct per_endpoint_breaker *per_endpoint;
    struct retry_budget *retry_budget;
};

struct cluster_tcp_timeout {
    struct mark mark;
    struct opt_duration connect_timeout; /* default 10 s */
};
struct cluster_http_timeout {
    struct mark mark;
    struct opt_duration connection_idle_timeout;
    struct opt_duration max_connection_duration;
    struct opt_duration request_timeout;
    struct opt_duration stream_idle_timeout;
    struct opt_duration max_stream_duration;
};
struct cluster_timeout {
    struct mark mark;
    struct cluster_tcp_timeout *tcp;
    struct cluster_http_timeout *http;
};

struct tcp_keepalive {
    struct mark mark;
    struct opt_int probes;
    struct opt_duration idle_time;
    struct opt_duration interval;
};

struct cluster_preconnect {
    struct mark mark;
    struct opt_int per_endpoint_percent;
    struct opt_int predictive_percent;
};
struct cluster_connection {
    struct mark mark;
    struct opt_int buffer_limit_bytes;
    struct opt_int socket_buffer_limit_bytes;
    struct cluster_preconnect *preconnect;
};

enum dns_family { DNS_IPV4, DNS_IPV6, DNS_IPV4_PREFERRED, DNS_IPV6_PREFERRED, DNS_IPV4_AND_IPV6 };
struct cluster_dns {
    struct mark mark;
    struct opt_duration refresh_rate;
    struct opt_bool respect_ttl;
    int lookup_family; /* enum dns_family; -1: not given */
};

enum proxy_protocol_version { PROXY_PROTOCOL_V1, PROXY_PROTOCOL_V2 };
struct cluster_proxy_protocol {
    struct mark mark;
    int version; /* enum proxy_protocol_version */
};

struct http2_keepalive {
    struct mark mark;
    struct opt_duration interval;
    struct opt_duration timeout;
    struct opt_duration idle_interval;
    struct opt_int interval_jitter_percent;
};
enum http2_on_invalid { HTTP2_TERMINATE_CONNECTION, HTTP2_TERMINATE_STREAM };
struct http2_settings {
    struct mark mark;
    struct opt_int initial_stream_window_bytes;
    struct opt_int initial_connection_window_bytes;
    struct opt_int max_concurrent_streams;
    int on_invalid_message; /* enum http2_on_invalid; -1: not given */
    struct http2_keepalive *connection_keepalive;
};

struct cluster_settings {
    struct mark mark;
    struct cluster_load_balancer *load_balancer;
    struct cluster_retry *retry;
    struct cluster_circuit_breaker *circuit_breaker;
    struct cluster_timeout *timeout;
    struct cluster_health_check *health_check;
    struct tcp_keepalive *tcp_keepalive;
    struct cluster_connection *connection;
    struct cluster_dns *dns;
    struct cluster_proxy_protocol *proxy_protocol;
    struct http2_settings *http2;
};

/* Name what of `parent`'s settings is given in part; for who has them enforced: towards clients,
 * and towards backends. */
void http2_settings_judge(struct decoder *d, const struct node *parent,
                          const struct http2_settings *h);
void cluster_judge(struct decoder *d, const struct node *parent, const struct cluster_settings *s);

extern const struct table cluster_settings_table, cluster_circuit_breaker_table,
    cluster_timeout_table, cluster_connection_table, cluster_dns_table,
    cluster_proxy_protocol_table, tcp_keepalive_table, http2_settings_table;
