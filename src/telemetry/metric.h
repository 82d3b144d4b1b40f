/* Every metric of the program, in one table. Each row: enum METRIC_<id>, type, name, unit, help,
 * label names. `tollgate docs metrics` prints it. Names and units follow the conventions of
 * Prometheus; those that begin with ai_model_ are the shipped dashboard's. An UNTYPED metric is
 * never counted: it shows the row behind it under another name. */
#pragma once

#include "base/str.h"

#define METRICS(X)                                                                                 \
    X(AI_REQUESTS, COUNTER, "ai_model_requests_total", "requests",                                 \
      "Requests to models, by the tenant of the verified token.", "tenant", "model",               \
      "response_code")                                                                             \
    X(AI_DURATION, HISTOGRAM, "ai_model_request_duration_seconds", "seconds",                      \
      "From the first byte of a request to a model to the end of its answer.", "tenant", "model")  \
    X(AI_TOKENS_PROCESSED, UNTYPED, "ai_model_tokens_processed", "tokens",                         \
      "Tokens of prompts (rows into predictions), told or estimated; the dashboard's name.",       \
      "tenant", "model")                                                                           \
    X(AI_TOKENS_PROCESSED_TOTAL, COUNTER, "ai_model_tokens_processed_total", "tokens",             \
      "The same, by the name that a counter should have.", "tenant", "model")                      \
    X(AI_TOKENS_GENERATED, UNTYPED, "ai_model_tokens_generated", "tokens",                         \
      "Tokens of answers (rows out of predictions), told or estimated; the dashboard's name.",     \
      "tenant", "model")                                                                           \
    X(AI_TOKENS_GENERATED_TOTAL, COUNTER, "ai_model_tokens_generated_total", "tokens",             \
      "The same, by the name that a counter should have.", "tenant", "model")                      \
    X(AI_TOKEN_USAGE, HISTOGRAM, "gen_ai_client_token_usage", "tokens",                            \
      "Tokens of one request: input or output (OpenTelemetry's gen_ai.client.token.usage).",       \
      "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_token_type",                        \
      "gen_ai_request_model")                                                                      \
    X(AI_SERVER_DURATION, HISTOGRAM, "gen_ai_server_request_duration_seconds", "seconds",          \
      "From the first byte of a request to the end of its answer; error_type is the status of a "  \
      "failed one, or `aborted` (OpenTelemetry's gen_ai.server.request.duration).",                \
      "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type")       \
    X(AI_FIRST_TOKEN, HISTOGRAM, "gen_ai_server_time_to_first_token_seconds", "seconds",           \
      "From the first byte of a request to the first content of its answer (OpenTelemetry's "      \
      "gen_ai.server.time_to_first_token).",                                                       \
      "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")                     \
    X(AI_OUTPUT_TOKEN, HISTOGRAM, "gen_ai_server_time_per_output_token_seconds", "seconds",        \
      "Of an answer that came as a stream, for each token after the first (OpenTelemetry's "       \
      "gen_ai.server.time_per_output_token).",                                                     \
      "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")                     \
    X(REQUESTS, COUNTER, "tollgate_requests_total", "requests", "Requests, whatever their end.",   \
      "listener", "route", "response_code_class")                                                  \
    X(REQUEST_DURATION, HISTOGRAM, "tollgate_request_duration_seconds", "seconds",                 \
      "From the first byte of a request to the end of its answer.", "route")                       \
    X(REFUSALS, COUNTER, "tollgate_refusals_total", "requests",                                    \
      "Requests that the gateway itself refused, by the code of the answer's body.", "reason")     \
    X(GRPC_CALLS, COUNTER, "tollgate_grpc_calls_total", "calls",                                   \
      "Calls of gRPC, by the name of their status; `none`: the caller left, `other`: no name.",    \
      "route", "grpc_status")                                                                      \
    X(LIMIT_REFUSALS, COUNTER, "tollgate_limit_refusals_total", "requests",                        \
      "Requests that a rate limit refused, by its policy and its place there.", "policy", "rule")  \
    X(LIMIT_ALLOWED, GAUGE, "tollgate_limit_allowed", "units",                                     \
      "What a rate limit's rule allows for each value in a window; route is empty where all "      \
      "routes share it.",                                                                          \
      "policy", "rule", "route")                                                                   \
    X(LIMIT_USED, GAUGE, "tollgate_limit_used", "units",                                           \
      "Of it, used in the window that is current now, by the value that it is counted for (those " \
      "asked about last); what clients choose themselves shows as (hidden), added up.",            \
      "policy", "rule", "route", "key")                                                            \
    X(LIMIT_RESERVED, GAUGE, "tollgate_limit_reserved", "units",                                   \
      "And what requests under way have reserved.", "policy", "rule", "route", "key")              \
    X(LIMIT_VALUES, GAUGE, "tollgate_limit_values", "values",                                      \
      "Distinct values that a rate limit's rule counts now.", "policy", "rule", "route")           \
    X(UPSTREAM_REQUESTS, COUNTER, "tollgate_upstream_requests_total", "attempts",                  \
      "Attempts that a backend answered.", "backend", "response_code_class")                       \
    X(UPSTREAM_FAILURES, COUNTER, "tollgate_upstream_failures_total", "attempts",                  \
      "Attempts without a whole answer; a part counts as answered, too.", "backend", "reason")     \
    X(RETRIES, COUNTER, "tollgate_upstream_retries_total", "retries",                              \
      "Further tries by a policy: succeeded, failed or cancelled; and those not made: exhausted "  \
      "(numRetries), overflow (maxParallelRetries, retryBudget), unreplayable (content is gone).", \
      "backend", "reason", "outcome")                                                              \
    X(COMPRESSED, COUNTER, "tollgate_compressed_answers_total", "answers",                         \
      "Answers compressed for clients: gzip, br, zstd; none: there was no memory for it.",         \
      "coding")                                                                                    \
    X(UPSTREAM_DURATION, HISTOGRAM, "tollgate_upstream_first_byte_seconds", "seconds",             \
      "From the start of an attempt to the head of the backend's answer.", "backend")              \
    X(UPSTREAM_CONNECTIONS, GAUGE, "tollgate_upstream_connections", "connections",                 \
      "Open connections to a backend, idle ones included.", "backend")                             \
    X(UPSTREAM_CONNECTIONS_LIMIT, GAUGE, "tollgate_upstream_connections_limit", "connections",     \
      "Connections to backends that there may be, of all together.")                               \
    X(UPSTREAM_CONNECTIONS_SHED, COUNTER, "tollgate_upstream_connections_shed_total",              \
      "connections", "Unused ones that were closed for others since there may be no more.")        \
    X(NAME_LOOKUPS, COUNTER, "tollgate_name_lookups_total", "lookups",                             \
      "Lookups of a backend's name: ok, not_found, server_failure or timeout.", "backend",         \
      "result")                                                                                    \
    X(NAME_ADDRESSES_DROPPED, COUNTER, "tollgate_name_addresses_dropped_total", "addresses",       \
      "Addresses of a backend's name that are not used, since there are too many.", "backend")     \
    X(BREAKER_REQUESTS, GAUGE, "tollgate_circuit_breaker_requests", "requests",                    \
      "Requests under way to a backend that has a circuit breaker, without those that wait.",      \
      "backend")                                                                                   \
    X(BREAKER_PENDING, GAUGE, "tollgate_circuit_breaker_pending", "requests",                      \
      "Requests to it that wait for a connection.", "backend")                                     \
    X(BREAKER_OVERFLOWS, COUNTER, "tollgate_circuit_breaker_overflows_total", "requests",          \
      "How often a bound of the circuit breaker was met: connections (then the request waits, if " \
      "it may), pending, requests, retries.",                                                      \
      "backend", "bound")                                                                          \
    X(ENDPOINT_HEALTHY, GAUGE, "tollgate_endpoint_healthy", "endpoints",                           \
      "Whether an endpoint whose health is watched is well: 1, or 0.", "backend", "endpoint")      \
    X(HEALTH_CHECKS, COUNTER, "tollgate_health_checks_total", "probes",                            \
      "Probes of a backend's endpoints: ok, status, retriable_status, content, timeout, failed "   \
      "(to connect, or reset) or not_made (for want of a descriptor).",                            \
      "backend", "result")                                                                         \
    X(EJECTIONS, COUNTER, "tollgate_ejections_total", "ejections",                                 \
      "Endpoints of a backend ejected for their answers.", "backend")                              \
    X(CONNECTIONS_ACCEPTED, COUNTER, "tollgate_connections_accepted_total", "connections",         \
      "Client connections accepted.", "port")                                                      \
    X(PROXY_HEADERS_REFUSED, COUNTER, "tollgate_proxy_headers_refused_total", "connections",       \
      "Those that were closed because their PROXY protocol header was malformed, late or "         \
      "missing.",                                                                                  \
      "port")                                                                                      \
    X(HTTP2_CONNECTIONS, COUNTER, "tollgate_http2_connections_total", "connections",               \
      "Client connections that spoke HTTP/2.", "port")                                             \
    X(HTTP2_FLOODS, COUNTER, "tollgate_http2_floods_total", "connections",                         \
      "Those that were ended because they flooded (ENHANCE_YOUR_CALM).", "port")                   \
    X(CONNECTIONS_ACTIVE, GAUGE, "tollgate_connections_active", "connections",                     \
      "Client connections open now.")                                                              \
    X(OVERLOAD_LEVEL, GAUGE, "tollgate_overload_level", "level",                                   \
      "0: calm; 1: idle connections are closed; 2: and requests refused; 3: and none accepted.")   \
    X(SHED, COUNTER, "tollgate_shed_total", "connections",                                         \
      "Connections closed to make room: refused_connection (that waited for its closeDelay), "     \
      "arriving_connection (for its PROXY header), idle_connection or largest_connection.",        \
      "what")                                                                                      \
    X(MEMORY_LIMIT, GAUGE, "tollgate_memory_limit_bytes", "bytes",                                 \
      "Of the process's own memory, beyond parts of which it sheds; 0: none.")                     \
    X(EXCHANGES_ACTIVE, GAUGE, "tollgate_exchanges_active", "requests", "Requests under way now.") \
    X(WORKER_CPU, COUNTER, "tollgate_worker_cpu_seconds_total", "seconds",                         \
      "Processor time of each worker: at one second a second it can do no more.", "worker")        \
    X(WORKER_EXCHANGES, GAUGE, "tollgate_worker_exchanges_active", "requests",                     \
      "Requests under way at each worker.", "worker")                                              \
    X(WORKER_CONNECTIONS, GAUGE, "tollgate_worker_connections_active", "connections",              \
      "Client connections open at each worker.", "worker")                                         \
    X(TOKENS, COUNTER, "tollgate_tokens_total", "tokens",                                          \
      "Bearer tokens looked at: remembered, verified or refused.", "result")                       \
    X(CREDENTIALS, COUNTER, "tollgate_credentials_total", "credentials",                           \
      "API keys and passwords looked at: remembered (no hash was computed), verified or refused.", \
      "kind", "result")                                                                            \
    X(EXT_AUTH, COUNTER, "tollgate_external_authorizations_total", "calls",                        \
      "Calls of external authorizers: allowed, denied, failed, or failed_open.", "policy",         \
      "result")                                                                                    \
    X(KEY_SET_FETCHES, COUNTER, "tollgate_key_set_fetches_total", "fetches",                       \
      "Fetches of a provider's key set: ok or failed.", "provider", "result")                      \
    X(KEY_SET_AGE, GAUGE, "tollgate_key_set_age_seconds", "seconds",                               \
      "Since the provider's key set was last fetched.", "provider")                                \
    X(KEY_SET_KEYS, GAUGE, "tollgate_key_set_keys", "keys",                                        \
      "Usable keys of the provider's key set.", "provider")                                        \
    X(CERTIFICATE_EXPIRY, GAUGE, "tollgate_certificate_expiry_timestamp_seconds", "seconds",       \
      "Until when a Secret's certificate chain is valid (unix time).", "certificate")              \
    X(RELOADS, COUNTER, "tollgate_reloads_total", "reloads",                                       \
      "Reloads of the configuration: ok or failed.", "result")                                     \
    X(RELOAD_OK, GAUGE, "tollgate_last_reload_successful", "reloads",                              \
      "1: what was loaded last serves; 0: it was refused, and the configuration before serves "    \
      "on.")                                                                                       \
    X(RELOAD_TIME, GAUGE, "tollgate_last_reload_timestamp_seconds", "seconds",                     \
      "When the configuration that serves now was taken (unix time).")                             \
    X(GENERATION, GAUGE, "tollgate_config_generation", "generation",                               \
      "Number of the configuration that serves now; 1 at start.")                                  \
    X(LOG_DROPPED, COUNTER, "tollgate_access_log_dropped_lines_total", "lines",                    \
      "Access-log lines dropped because their writer was too slow or the sink refused them.")      \
    X(TELEMETRY_ITEMS, COUNTER, "tollgate_telemetry_items_total", "items",                         \
      "Spans and points of metrics for collectors: taken, rejected (by a collector that took the " \
      "others), failed (given up) or overflowed (no room to wait in).",                            \
      "signal", "outcome")                                                                         \
    X(OVERFLOW, COUNTER, "tollgate_metrics_overflow_total", "series",                              \
      "Values counted under the label value `other` because the metric had too many series.",      \
      "metric")                                                                                    \
    X(BUILD_INFO, GAUGE, "tollgate_build_info", "", "Always 1; the label says which version.",     \
      "version")                                                                                   \
    X(PROCESS_CPU, COUNTER, "process_cpu_seconds_total", "seconds",                                \
      "Processor time of the process, user and system.")                                           \
    X(PROCESS_RSS, GAUGE, "process_resident_memory_bytes", "bytes", "Resident memory.")            \
    X(PROCESS_VIRTUAL, GAUGE, "process_virtual_memory_bytes", "bytes", "Virtual memory.")          \
    X(PROCESS_FDS, GAUGE, "process_open_fds", "descriptors", "Open file descriptors.")             \
    X(PROCESS_MAX_FDS, GAUGE, "process_max_fds", "descriptors", "Limit of open file descriptors.") \
    X(PROCESS_START, GAUGE, "process_start_time_seconds", "seconds",                               \
      "When the process started (unix time).")

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_UNTYPED };

enum metric {
#define X(id, type, name, unit, help, ...) METRIC_##id,
    METRICS(X)
#undef X
        METRIC_COUNT_,
};

enum { METRIC_LABELS_MAX = 4 };

struct metric_row {
    enum metric_type type;
    const char *name;
    const char *unit;
    const char *help;
    const char *labels[METRIC_LABELS_MAX + 1]; /* ends with NULL */
};

/* Indexed by enum metric. */
extern const struct metric_row metric_rows[METRIC_COUNT_];

/* "counter" and so on. */
const char *metric_type_name(enum metric_type type);
unsigned metric_n_labels(enum metric m);
