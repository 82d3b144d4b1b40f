/* Decoding of retries and health checks.
 *
 * Owner: the load's arena. Thread: compile thread. */
#include "manifest/part/resilience.h"

static const char *const retry_trigger_names[] = {"5xx",
                                                  "gateway-error",
                                                  "reset",
                                                  "reset-before-request",
                                                  "connect-failure",
                                                  "retriable-4xx",
                                                  "refused-stream",
                                                  "retriable-status-codes",
                                                  "cancelled",
                                                  "deadline-exceeded",
                                                  "internal",
                                                  "resource-exhausted",
                                                  "unavailable",
                                                  NULL};

static const struct field cluster_retry_on_fields[] = {
    FIELD_OTHER(cluster_retry_on, triggers, "triggers", 0, decode_enum_set, retry_trigger_names,
                "Kinds of failure that are tried again."),
    FIELD_OTHER(cluster_retry_on, http_status_codes, "httpStatusCodes", 0, decode_int_list,
                RANGE(100, 599), "Statuses that are tried again."),
};
static const struct table cluster_retry_on_table = TABLE(cluster_retry_on);

static void back_off_check(struct decoder *d, const struct node *node, void *object)
{
    const struct cluster_back_off *b = object;

    if (b->base_interval.is_set && b->base_interval.us == 0)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "baseInterval"), "baseInterval",
                     "must be more than nothing");
    if (b->base_interval.is_set && b->max_interval.is_set &&
        b->max_interval.us < b->base_interval.us)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "maxInterval"), "maxInterval",
                     "must not be less than baseInterval");
}

static const struct field cluster_back_off_fields[] = {
    FIELD_DURATION(cluster_back_off, base_interval, "baseInterval", 0,
                   "Pause before the first further attempt; doubles from there."),
    FIELD_DURATION(cluster_back_off, max_interval, "maxInterval", 0, "Longest pause."),
};
static const struct table cluster_back_off_table = TABLE_CHECKED(cluster_back_off, back_off_check);

static const struct field cluster_per_retry_fields[] = {
    FIELD_DURATION(cluster_per_retry, timeout, "timeout", 0, "Time limit of each attempt."),
    FIELD_OBJECT(cluster_per_retry, back_off, "backOff", 0, cluster_back_off,
                 "Pauses between attempts."),
};
static const struct table cluster_per_retry_table = TABLE(cluster_per_retry);

static const struct field cluster_retry_fields[] = {
    FIELD_INT(cluster_retry, num_retries, "numRetries", 0, RANGE(0, INT32_MAX),
              "Further attempts at most; 2 unless given."),
    FIELD_INT(cluster_retry, num_attempts_per_priority, "numAttemptsPerPriority", 0,
              RANGE(0, INT32_MAX), "Attempts before backends of the next priority are tried."),
    FIELD_OBJECT(cluster_retry, retry_on, "retryOn", 0, cluster_retry_on, "What is tried again."),
    FIELD_OBJECT(cluster_retry, per_retry, "perRetry", 0, cluster_per_retry,
                 "Time limit and pause of each attempt."),
};
const struct table cluster_retry_table = TABLE(cluster_retry);

static const char *const payload_type_names[] = {"Text", "Binary", NULL};

static void health_payload_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"text", "binary"};
    const struct health_payload *p = object;

    check_union(d, node, p->type, payload_type_names, keys, false);
}

static const struct field health_payload_fields[] = {
    FIELD_ENUM(health_payload, type, "type", FIELD_REQUIRED, payload_type_names,
               "Whether the payload is text or base64."),
    FIELD_STR(health_payload, text, "text", 0, "Payload as text."),
    FIELD_STR(health_payload, binary, "binary", 0, "Payload as base64."),
};
static const struct table health_payload_table =
    TABLE_CHECKED(health_payload, health_payload_check);

/* What stands in a request line: no white space, no control bytes, no fragment. */
static bool is_in_line(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '#')
            return false;
    }
    return true;
}

static void http_health_check_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http_health_check *h = object;

    if (h->path.len > 0 && h->path.ptr[0] != '/')
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "path"), "path",
                     "must begin with a slash");
    else if (!is_in_line(h->path))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "path"), "path",
                     "must have neither white space nor a fragment");
    for (size_t i = 0; i < h->method.len; i++) {
        if (h->method.ptr[i] < 'A' || h->method.ptr[i] > 'Z') {
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, "method"), "method",
                         "must be the name of a method, in upper case");
            return;
        }
    }
    if (str_eq(h->method, STR("CONNECT")))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "method"), "method",
                     "must not be CONNECT, which asks for a tunnel");
}

static const struct field http_health_check_fields[] = {
    FIELD_STR(http_health_check, path, "path", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Path that is asked for."),
    FIELD_OTHER(http_health_check, hostname, "hostname", 0, decode_hostname, NULL,
                "Host header; the endpoint's name unless given."),
    FIELD_STR(http_health_check, method, "method", 0, "Method; GET unless given."),
    FIELD_OTHER(http_health_check, expected_statuses, "expectedStatuses", 0, decode_int_list,
                RANGE(100, 599), "Statuses of a healthy endpoint; 200 unless given."),
    FIELD_OTHER(http_health_check, retriable_statuses, "retriableStatuses", 0, decode_int_list,
                RANGE(100, 599), "Statuses that count towards unhealthyThreshold."),
    FIELD_OBJECT(http_health_check, expected_response, "expectedResponse", 0, health_payload,
                 "Text that the body must contain."),
    FIELD_UNSUPPORTED("requestBody", "Body of the health check request."),
};
static const struct table http_health_check_table =
    TABLE_CHECKED(http_health_check, http_health_check_check);

static const struct field tcp_health_check_fields[] = {
    FIELD_OBJECT(tcp_health_check, send, "send", 0, health_payload, "What is sent."),
    FIELD_OBJECT(tcp_health_check, receive, "receive", 0, health_payload, "What must come back."),
};
static const struct table tcp_health_check_table = TABLE(tcp_health_check);

static const struct field health_overrides_fields[] = {
    FIELD_INT(health_overrides, port, "port", 0, &port_range,
              "Port of the checks, where it is not the endpoint's."),
};
static const struct table health_overrides_table = TABLE(health_overrides);

static const char *const health_check_type_names[] = {"HTTP", "TCP", "GRPC", NULL};

static void check_not_zero(struct decoder *d, const struct node *node, const char *key,
                           struct opt_duration given)
{
    if (given.is_set && given.us == 0)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, key), key, "must be more than nothing");
}

static void active_health_check_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"http", "tcp", NULL};
    const struct active_health_check *a = object;

    check_not_zero(d, node, "timeout", a->timeout);
    check_not_zero(d, node, "interval", a->interval);
    check_union(d, node, a->type, health_check_type_names, keys, false);
    if (a->type == HEALTH_CHECK_GRPC)
        decode_warning(d, DIAG_UNSUPPORTED_FIELD, node_find(node, "type"), "type",
                       "health checks by gRPC are not supported here: ignored");
}

static const struct field active_health_check_fields[] = {
    FIELD_ENUM(active_health_check, type, "type", FIELD_REQUIRED, health_check_type_names,
               "How endpoints are asked."),
    FIELD_DURATION(active_health_check, timeout, "timeout", 0,
                   "Time for an answer; 1s unless given."),
    FIELD_DURATION(active_health_check, interval, "interval", 0,
                   "Time between checks; 3s unless given."),
    FIELD_DURATION(active_health_check, initial_jitter, "initialJitter", 0,
                   "Longest random wait before the first check."),
    FIELD_INT(active_health_check, unhealthy_threshold, "unhealthyThreshold", 0,
              RANGE(1, INT32_MAX), "Failures in a row that make unhealthy; 3 unless given."),
    FIELD_INT(active_health_check, healthy_threshold, "healthyThreshold", 0, RANGE(1, INT32_MAX),
              "Successes in a row that make healthy; 1 unless given."),
    FIELD_OBJECT(active_health_check, http, "http", 0, http_health_check, "Check by HTTP."),
    FIELD_OBJECT(active_health_check, tcp, "tcp", 0, tcp_health_check, "Check by TCP."),
    FIELD_OBJECT(active_health_check, overrides, "overrides", 0, health_overrides,
                 "Where the checks go instead of the endpoint's own port."),
    FIELD_UNSUPPORTED("grpc", "Check by the gRPC health service."),
    FIELD_UNSUPPORTED("healthCheckLog", "Log of the checks."),
};
static const struct table active_health_check_table =
    TABLE_CHECKED(active_health_check, active_health_check_check);

static void passive_health_check_check(struct decoder *d, const struct node *node, void *object)
{
    const struct passive_health_check *p = object;

    check_not_zero(d, node, "interval", p->interval);
}

static const struct field passive_health_check_fields[] = {
    FIELD_BOOL(passive_health_check, split_external_local_origin_errors,
               "splitExternalLocalOriginErrors", 0,
               "Whether connection errors are counted apart from bad answers."),
    FIELD_DURATION(passive_health_check, interval, "interval", 0,
                   "Time between evaluations; 3s unless given."),
    FIELD_INT(passive_health_check, consecutive_local_origin_failures,
              "consecutiveLocalOriginFailures", 0, UINT32_RANGE,
              "Connection errors in a row that eject; 5 unless given."),
    FIELD_INT(passive_health_check, consecutive_gateway_errors, "consecutiveGatewayErrors", 0,
              UINT32_RANGE, "502, 503 and 504 in a row that eject."),
    FIELD_INT(passive_health_check, consecutive_5xx_errors, "consecutive5XxErrors", 0, UINT32_RANGE,
              "5xx in a row that eject; 5 unless given."),
    FIELD_DURATION(passive_health_check, base_ejection_time, "baseEjectionTime", 0,
                   "Ejection time, times the number of ejections; 30s unless given."),
    FIELD_INT(passive_health_check, max_ejection_percent, "maxEjectionPercent", 0, RANGE(0, 100),
              "Share of endpoints that may be ejected at once; 10 unless given."),
    FIELD_INT(passive_health_check, failure_percentage_threshold, "failurePercentageThreshold", 0,
              RANGE(0, 100), "Share of an interval's answers that ejects when they fail."),
    FIELD_BOOL(passive_health_check, always_eject_one_endpoint, "alwaysEjectOneEndpoint", 0,
               "Whether one endpoint may be ejected whatever maxEjectionPercent says."),
};
static const struct table passive_health_check_table =
    TABLE_CHECKED(passive_health_check, passive_health_check_check);

static const struct field cluster_health_check_fields[] = {
    FIELD_OBJECT(cluster_health_check, active, "active", 0, active_health_check,
                 "Endpoints are asked at intervals."),
    FIELD_OBJECT(cluster_health_check, passive, "passive", 0, passive_health_check,
                 "Endpoints are judged by their answers."),
    FIELD_INT(cluster_health_check, panic_threshold_percent, "panicThreshold", 0, RANGE(0, 100),
              "Share of healthy endpoints below which all are used; 50 unless given."),
};
const struct table cluster_health_check_table = TABLE(cluster_health_check);
