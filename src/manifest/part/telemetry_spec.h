/* Telemetry of an EnvoyProxy: access log, metrics, tracing. Formats and expressions are kept as
 * text with their place and parsed by their owners. Immutable after load. Source: Envoy Gateway
 * API, "ProxyTelemetry". */
#pragma once

#include "manifest/part/cluster_settings.h"

enum log_format_type { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
struct access_log_format {
    struct mark mark;
    int type; /* enum log_format_type; -1: whichever of the two is given */
    struct marked_text text;
    struct text_pair_vec json;
};
/* Where telemetry is sent by OTLP. */
struct telemetry_backend {
    struct mark mark;
    struct str host;     /* older form */
    struct opt_int port; /* not given: OTLP/HTTP's, 4318 */
    struct backend_ref *backend_ref;
    VEC(struct backend_ref) backend_refs;
    struct cluster_settings *backend_settings;
};
struct otel_sink {
    struct telemetry_backend backend;
    struct text_pair_vec resource_attributes;
    struct text_pair_vec resources;
    VEC(struct header_value) headers;
    struct opt_bool counters_as_deltas, histograms_as_deltas; /* of metrics */
};
struct file_sink {
    struct mark mark;
    struct str path;
};
enum log_sink_type { LOG_SINK_ALS /* not supported */, LOG_SINK_FILE, LOG_SINK_OTEL };
struct access_log_sink {
    struct mark mark;
    int type; /* enum log_sink_type */
    struct file_sink *file;
    struct otel_sink *open_telemetry;
};
enum access_log_type { ACCESS_LOG_LISTENER, ACCESS_LOG_ROUTE, ACCESS_LOG_UPSTREAM };
struct access_log_setting {
    struct mark mark;
    int type; /* enum access_log_type; -1: not given */
    struct access_log_format *format;
    struct marked_text_vec matches; /* CEL, any of these */
    VEC(struct access_log_sink) sinks;
};
struct access_log_spec {
    struct mark mark;
    struct opt_bool disable;
    VEC(struct access_log_setting) settings;
};

struct prometheus_spec {
    struct mark mark;
    struct opt_bool disable;
};
enum metric_sink_type { METRIC_SINK_OTEL };
struct metric_sink {
    struct mark mark;
    int type; /* enum metric_sink_type */
    struct otel_sink *open_telemetry;
};
struct metrics_spec {
    struct mark mark;
    struct prometheus_spec *prometheus;
    VEC(struct metric_sink) sinks;
    VEC(struct string_match) matches;
};

struct tag_source {
    struct mark mark;
    struct str name;  /* Environment, RequestHeader */
    struct str value; /* Literal */
    struct str default_value;
};
enum custom_tag_type { TAG_LITERAL, TAG_ENVIRONMENT, TAG_REQUEST_HEADER };
struct custom_tag {
    struct mark mark;
    struct str key;
    int type; /* enum custom_tag_type */
    struct tag_source *literal;
    struct tag_source *environment, *request_header;
};
struct custom_tag_vec {
    struct custom_tag *items;
    size_t n;
    size_t cap;
};
struct span_name { /* formats with operators */
    struct mark mark;
    struct marked_text client, server;
};
enum tracing_provider_type { TRACING_OTEL, TRACING_ZIPKIN, TRACING_DATADOG };
struct tracing_provider {
    struct telemetry_backend backend;
    int type; /* enum tracing_provider_type; only OpenTelemetry is supported */
    struct str service_name;
    struct otel_sink *open_telemetry;
};
struct tracing_spec {
    struct mark mark;
    struct opt_int sampling_rate; /* percent; default 100 */
    struct fraction *sampling_fraction;
    struct fraction *client_sampling_fraction, *overall_sampling_fraction;
    struct custom_tag_vec custom_tags;
    struct text_pair_vec tags;
    struct span_name *span_name;
    struct tracing_provider *provider;
};

struct telemetry_spec {
    struct mark mark;
    struct access_log_spec *access_log;
    struct metrics_spec *metrics;
    struct tracing_spec *tracing;
};
extern const struct table telemetry_spec_table;
