/* What a set of endpoints survives: retries, active and passive health checks.
 * Part of struct cluster_settings. Immutable after load; absent values stay unset, defaults are
 * applied by compile. Source: Envoy Gateway API, "Retry", "HealthCheck". */
#pragma once

#include "manifest/common.h"

/* Bits of cluster_retry_on.triggers. */
enum retry_trigger {
    RETRY_ON_5XX,
    RETRY_ON_GATEWAY_ERROR,
    RETRY_ON_RESET,
    RETRY_ON_RESET_BEFORE_REQUEST,
    RETRY_ON_CONNECT_FAILURE,
    RETRY_ON_RETRIABLE_4XX,
    RETRY_ON_REFUSED_STREAM,
    RETRY_ON_RETRIABLE_STATUS_CODES,
    RETRY_ON_CANCELLED,
    RETRY_ON_DEADLINE_EXCEEDED,
    RETRY_ON_INTERNAL,
    RETRY_ON_RESOURCE_EXHAUSTED,
    RETRY_ON_UNAVAILABLE,
};
struct cluster_retry_on {
    struct mark mark;
    uint32_t triggers; /* 1 << enum retry_trigger */
    struct int_vec http_status_codes;
};
struct cluster_back_off {
    struct mark mark;
    struct opt_duration base_interval;
    struct opt_duration max_interval;
};
struct cluster_per_retry {
    struct mark mark;
    struct opt_duration timeout;
    struct cluster_back_off *back_off;
};
struct cluster_retry {
    struct mark mark;
    struct opt_int num_retries; /* default 2 */
    struct opt_int num_attempts_per_priority;
    struct cluster_retry_on *retry_on;
    struct cluster_per_retry *per_retry;
};
extern const struct table cluster_retry_table;

struct health_payload {
    struct mark mark;
    int type; /* 0 Text, 1 Binary */
    struct str text;
    struct str binary; /* base64 as written */
};
struct http_health_check {
    struct mark mark;
    struct str hostname;
    struct str path;
    struct str method;                /* default GET */
    struct int_vec expected_statuses; /* default 200 */
    struct int_vec retriable_statuses;
    struct health_payload *expected_response;
};
struct tcp_health_check {
    struct mark mark;
    struct health_payload *send;
    struct health_payload *receive;
};
struct health_overrides {
    struct mark mark;
    struct opt_int port;
};
enum health_check_type { HEALTH_CHECK_HTTP, HEALTH_CHECK_TCP, HEALTH_CHECK_GRPC };
struct active_health_check {
    struct mark mark;
    int type;                     /* enum health_check_type */
    struct opt_duration timeout;  /* default 1 s */
    struct opt_duration interval; /* default 3 s */
    struct opt_duration initial_jitter;
    struct opt_int unhealthy_threshold; /* default 3 */
    struct opt_int healthy_threshold;   /* default 1 */
    struct http_health_check *http;
    struct tcp_health_check *tcp;
    struct health_overrides *overrides;
};
struct passive_health_check {
    struct mark mark;
    struct opt_bool split_external_local_origin_errors;
    struct opt_duration interval; /* default 3 s */
    struct opt_int consecutive_local_origin_failures;
    struct opt_int consecutive_gateway_errors;
    struct opt_int consecutive_5xx_errors;
    struct opt_duration base_ejection_time; /* default 30 s */
    struct opt_int max_ejection_percent;    /* default 10 */
    struct opt_int failure_percentage_threshold;
    struct opt_bool always_eject_one_endpoint;
};
struct cluster_health_check {
    struct mark mark;
    struct active_health_check *active;
    struct passive_health_check *passive;
    struct opt_int panic_threshold_percent;
};
extern const struct table cluster_health_check_table;
