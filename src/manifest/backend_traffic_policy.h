/* BackendTrafficPolicy (gateway.envoyproxy.io/v1alpha1): how traffic flows from the gateway to
 * backends, and how much of it. Immutable after load. */
#pragma once

#include "manifest/part/cluster_settings.h"
#include "manifest/part/compression.h"
#include "manifest/part/policy_target.h"
#include "manifest/part/rate_limit.h"

struct fault_delay {
    struct mark mark;
    struct opt_duration fixed_delay;
    struct opt_double percentage; /* default 100 */
};
struct fault_abort {
    struct mark mark;
    struct opt_int http_status;
    struct opt_int grpc_status;
    struct opt_double percentage; /* default 100 */
};
struct fault_injection {
    struct mark mark;
    struct fault_delay *delay;
    struct fault_abort *abort;
};

struct status_range {
    struct mark mark;
    struct opt_int start;
    struct opt_int end;
};
enum status_match_type { STATUS_VALUE, STATUS_RANGE };
struct status_match {
    struct mark mark;
    int type; /* enum status_match_type; default Value */
    struct opt_int value;
    struct status_range *range;
};
struct header_condition {
    struct mark mark;
    struct str name;
    struct string_match *value;
};
struct response_match {
    struct mark mark;
    VEC(struct status_match) status_codes;
    VEC(struct header_condition) response_headers;
};
struct override_path {
    struct mark mark;
    int type; /* 0 ReplaceFullPath, 1 ReplacePrefixMatch (refused) */
    struct str replace_full_path;
    struct str replace_prefix_match;
};
struct override_redirect {
    struct mark mark;
    int scheme; /* 0 http, 1 https, -1 not given */
    struct str hostname;
    struct override_path *path;
    struct opt_int port;
    struct opt_int status_code; /* default 302 */
};
enum override_source { OVERRIDE_ALL, OVERRIDE_LOCAL, OVERRIDE_BACKEND };
struct response_override {
    struct mark mark;
    struct response_match *match;
    struct custom_response *response;
    struct override_redirect *redirect;
    int source; /* enum override_source; -1: all */
};

struct request_buffer {
    struct mark mark;
    struct opt_int limit_bytes;
};
struct http_upgrade {
    struct mark mark;
    struct str type; /* "websocket", "CONNECT", ... */
};
/* Not a tunnel for requests that nobody judges (h2c, TLS), nor one to wherever the client says
 * (CONNECT). */
bool http_upgrade_is_enforced(const struct http_upgrade *u);

struct backend_traffic_policy_spec {
    struct policy_targets targets;
    int merge_type; /* enum merge_type; -1: not given */
    struct cluster_settings cluster;
    struct rate_limit_spec *rate_limit;
    VEC(struct compression) compression; /* `compressor` or the older `compression` */
    VEC(struct compression) older_compression;
    struct fault_injection *fault_injection;
    VEC(struct response_override) response_override;
    struct request_buffer *request_buffer;
    VEC(struct http_upgrade) http_upgrade;
    struct opt_bool use_client_protocol;
};
struct backend_traffic_policy {
    struct object object;
    struct backend_traffic_policy_spec spec;
};
extern const struct table backend_traffic_policy_spec_table;
