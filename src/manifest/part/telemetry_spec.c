/* Decoding of an EnvoyProxy's telemetry.
 *
 * Owner: the load's arena. Thread: compile thread. Operators in formats and conditions in CEL are
 * parsed by those who use them, with the places kept here. */
#include "manifest/part/telemetry_spec.h"

static const char *const log_format_names[] = {"Text", "JSON", NULL};

static void log_format_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"text", "json"};
    static const char *const any[] = {"text", "json", NULL};
    const struct access_log_format *f = object;

    if (f->type < 0)
        check_at_least_one(d, node, any);
    else
        check_union(d, node, f->type, log_format_names, keys, true);
}

static const struct field access_log_format_fields[] = {
    FIELD_ENUM(access_log_format, type, "type", 0, log_format_names, "Text or JSON."),
    FIELD_OTHER(access_log_format, text, "text", 0, decode_marked_text, NULL,
                "Line with %OPERATORS%; its end is as written."),
    FIELD_TEXT_MAP(access_log_format, json, "json", 0, "Names and values with %OPERATORS%."),
};
static const struct table access_log_format_table =
    TABLE_CHECKED(access_log_format, log_format_check);

static void telemetry_backend_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"host", "backendRefs", "backendRef", NULL};
    const struct telemetry_backend *b = object; /* it begins all that have one */

    check_at_least_one(d, node, keys);
    if (b->backend_settings && b->backend_settings->retry)
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node_find(node, "backendSettings"), "retry"),
                       "backendSettings.retry", "exports are tried again as OTLP says");
}

#define TELEMETRY_BACKEND_FIELDS(type, at)                                                         \
    FIELD_STR(type, at host, "host", FIELD_DEPRECATED, "Host; older form of backendRefs."),        \
        FIELD_INT(type, at port, "port", FIELD_DEPRECATED, RANGE(0, 65535),                        \
                  "Port; older form of backendRefs."),                                             \
        FIELD_OBJECT(type, at backend_ref, "backendRef", FIELD_DEPRECATED, backend_ref,            \
                     "Collector; older form of backendRefs."),                                     \
        FIELD_LIST(type, at backend_refs, "backendRefs", 0, backend_ref, "Collector."),            \
        FIELD_OBJECT(type, at backend_settings, "backendSettings", 0, cluster_settings,            \
                     "Retries and time limits towards it.")

static void otel_sink_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"resources", "resourceAttributes", NULL};

    telemetry_backend_check(d, node, object);
    check_at_most_one(d, node, keys);
    check_max_items(d, node, "headers", 32);
}

static const struct field otel_sink_fields[] = {
    TELEMETRY_BACKEND_FIELDS(otel_sink, backend.),
    FIELD_TEXT_MAP(otel_sink, resource_attributes, "resourceAttributes", 0,
                   "Attributes of the resource."),
    FIELD_TEXT_MAP(otel_sink, resources, "resources", FIELD_DEPRECATED,
                   "Older form of resourceAttributes."),
    FIELD_LIST(otel_sink, headers, "headers", FIELD_SECRET, header_value,
               "Headers of the export requests."),
    FIELD_BOOL(otel_sink, counters_as_deltas, "reportCountersAsDeltas", 0,
               "Counters of metrics as differences to the export before."),
    FIELD_BOOL(otel_sink, histograms_as_deltas, "reportHistogramsAsDeltas", 0,
               "Histograms of metrics so."),
};
static const struct table otel_sink_table = TABLE_CHECKED(otel_sink, otel_sink_check);

static const struct field file_sink_fields[] = {
    FIELD_STR(file_sink, path, "path", FIELD_NON_EMPTY,
              "File; /dev/stdout, standard output, unless given."),
};
static const struct table file_sink_table = TABLE(file_sink);

static const char *const log_sink_names[] = {"ALS", "File", "OpenTelemetry", NULL};

static void access_log_sink_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"als", "file", "openTelemetry"};
    static const char *const any[] = {"als", "file", "openTelemetry", NULL};
    struct access_log_sink *s = object;

    if (s->type < 0 && (s->file || s->open_telemetry))
        s->type = s->file ? LOG_SINK_FILE : LOG_SINK_OTEL;
    if (s->type < 0)
        check_exactly_one(d, node, any);
    check_union(d, node, s->type, log_sink_names, keys, false);
}

static const struct field access_log_sink_fields[] = {
    FIELD_ENUM(access_log_sink, type, "type", 0, log_sink_names,
               "Kind of the sink; told by what is given unless given."),
    FIELD_OBJECT(access_log_sink, file, "file", 0, file_sink, "File that lines are appended to."),
    FIELD_OBJECT(access_log_sink, open_telemetry, "openTelemetry", FIELD_NOT_ENFORCED, otel_sink,
                 "Collector that gets log records."),
    FIELD_UNSUPPORTED("als", "Envoy's gRPC access log service."),
};
static const struct table access_log_sink_table =
    TABLE_CHECKED(access_log_sink, access_log_sink_check);

static const char *const access_log_names[] = {"Listener", "Route", "Upstream", NULL};

static void access_log_setting_check(struct decoder *d, const struct node *node, void *object)
{
    const struct access_log_setting *s = object;

    if (s->type == ACCESS_LOG_UPSTREAM)
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "type"), "type",
                       "not enforced yet: this setting logs nothing");
    check_max_items(d, node, "matches", 10);
    check_max_items(d, node, "sinks", 50);
}

static const struct field access_log_setting_fields[] = {
    FIELD_ENUM(access_log_setting, type, "type", 0, access_log_names,
               "What is logged: requests (Route), connections (Listener); unless given requests, "
               "and connections that no listener takes."),
    FIELD_OBJECT(access_log_setting, format, "format", 0, access_log_format,
                 "Format of the lines; JSON with the default fields unless given."),
    FIELD_OTHER(access_log_setting, matches, "matches", 0, decode_marked_text_list, NULL,
                "Conditions in CEL; requests that one of them holds for are logged."),
    FIELD_LIST(access_log_setting, sinks, "sinks", FIELD_REQUIRED | FIELD_NON_EMPTY,
               access_log_sink, "Where the lines go."),
};
static const struct table access_log_setting_table =
    TABLE_CHECKED(access_log_setting, access_log_setting_check);

static void access_log_spec_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "settings", 50);
}

static const struct field access_log_spec_fields[] = {
    FIELD_BOOL(access_log_spec, disable, "disable", 0, "Whether nothing is logged."),
    FIELD_LIST(access_log_spec, settings, "settings", FIELD_NON_EMPTY, access_log_setting,
               "Formats and sinks; JSON to standard output unless given."),
};
static const struct table access_log_spec_table =
    TABLE_CHECKED(access_log_spec, access_log_spec_check);

static const struct field prometheus_spec_fields[] = {
    FIELD_BOOL(prometheus_spec, disable, "disable", FIELD_NOT_ENFORCED,
               "Whether there is no /metrics."),
    FIELD_UNSUPPORTED("compression", "Compression of /metrics."),
};
static const struct table prometheus_spec_table = TABLE(prometheus_spec);

static const char *const metric_sink_names[] = {"OpenTelemetry", NULL};

static void metric_sink_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"openTelemetry"};
    const struct metric_sink *s = object;

    check_union(d, node, s->type, metric_sink_names, keys, false);
}

static const struct field metric_sink_fields[] = {
    FIELD_ENUM(metric_sink, type, "type", FIELD_REQUIRED, metric_sink_names, "Kind of the sink."),
    FIELD_OBJECT(metric_sink, open_telemetry, "openTelemetry", 0, otel_sink,
                 "Collector that gets metrics."),
};
static const struct table metric_sink_table = TABLE_CHECKED(metric_sink, metric_sink_check);

static void metrics_spec_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "sinks", 16);
}

static const struct field metrics_spec_fields[] = {
    FIELD_OBJECT(metrics_spec, prometheus, "prometheus", 0, prometheus_spec,
                 "Metrics to be fetched at /metrics."),
    FIELD_LIST(metrics_spec, sinks, "sinks", 0, metric_sink, "Where metrics are sent."),
    FIELD_LIST(metrics_spec, matches, "matches", FIELD_NOT_ENFORCED, string_match,
               "Metrics that are exposed, by name."),
    FIELD_UNSUPPORTED("clusterStatName", "Name of per-backend series."),
    FIELD_UNSUPPORTED("enableGRPCStats", "Series of gRPC."),
    FIELD_UNSUPPORTED("enablePerEndpointStats", "Series of single endpoints."),
    FIELD_UNSUPPORTED("enableRequestResponseSizesStats", "Series of sizes."),
    FIELD_UNSUPPORTED("enableVirtualHostStats", "Series of virtual hosts."),
};
static const struct table metrics_spec_table = TABLE_CHECKED(metrics_spec, metrics_spec_check);

static const struct field tag_literal_fields[] = {
    FIELD_STR(tag_source, value, "value", FIELD_REQUIRED, "Value."),
};
static const struct table tag_literal_table = {"tag_literal", sizeof(struct tag_source),
                                               tag_literal_fields, N_ELEMENTS(tag_literal_fields),
                                               NULL};

static const struct field tag_source_fields[] = {
    FIELD_STR(tag_source, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Name of the variable or header."),
    FIELD_STR(tag_source, default_value, "defaultValue", 0, "Value where there is none."),
};
static const struct table tag_source_table = TABLE(tag_source);

static const char *const custom_tag_names[] = {"Literal", "Environment", "RequestHeader", NULL};

static void custom_tag_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"literal", "environment", "requestHeader"};
    struct custom_tag *t = object;

    if (t->type < 0)
        t->type = TAG_LITERAL;
    check_union(d, node, t->type, custom_tag_names, keys, false);
}

static const struct field custom_tag_fields[] = {
    FIELD_ENUM(custom_tag, type, "type", 0, custom_tag_names,
               "Where the value comes from; Literal unless given."),
    FIELD_OTHER(custom_tag, literal, "literal", 0, decode_object, &tag_literal_table,
                "Value as written."),
    FIELD_OBJECT(custom_tag, environment, "environment", 0, tag_source,
                 "Value of an environment variable."),
    FIELD_OBJECT(custom_tag, request_header, "requestHeader", 0, tag_source,
                 "Value of a request header."),
};
static const struct table custom_tag_table = TABLE_CHECKED(custom_tag, custom_tag_check);

static void decode_custom_tags(struct decoder *d, const struct field *f, const struct node *node,
                               void *slot)
{
    struct custom_tag_vec *v = slot;

    (void)f;
    if (node->type != NODE_MAP) {
        decode_error(d, DIAG_WRONG_TYPE, node, NULL, "expected an object, found %s",
                     decode_type_text(node));
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        const struct node_entry *entry = &node->entries[i];
        size_t path = decode_enter_key(d, arena_text(d->arena, entry->key));
        struct custom_tag *tag = VEC_ADD(d->arena, v);

        decode_struct(d, &custom_tag_table, entry->value, tag);
        tag->key = entry->key;
        decode_leave(d, path);
    }
}

static const char *const tracing_provider_names[] = {"OpenTelemetry", "Zipkin", "Datadog", NULL};

static void tracing_provider_check(struct decoder *d, const struct node *node, void *object)
{
    struct tracing_provider *p = object;

    if (p->type < 0)
        p->type = TRACING_OTEL;
    if (p->type != TRACING_OTEL)
        decode_warning(d, DIAG_UNSUPPORTED_FIELD, node_find(node, "type"), "type",
                       "only OpenTelemetry is supported here: ignored");
    telemetry_backend_check(d, node, object);
}

static const struct field otel_options_fields[] = {
    FIELD_TEXT_MAP(otel_sink, resource_attributes, "resourceAttributes", 0,
                   "Attributes of the resource."),
    FIELD_LIST(otel_sink, headers, "headers", FIELD_SECRET, header_value,
               "Headers of the export requests."),
    FIELD_UNSUPPORTED("sampler", "Sampling by the exporter."),
};
static const struct table otel_options_table = {"otel_options", sizeof(struct otel_sink),
                                                otel_options_fields,
                                                N_ELEMENTS(otel_options_fields), NULL};

static const struct field tracing_provider_fields[] = {
    FIELD_ENUM(tracing_provider, type, "type", 0, tracing_provider_names,
               "Protocol; OpenTelemetry unless given."),
    TELEMETRY_BACKEND_FIELDS(tracing_provider, backend.),
    FIELD_STR(tracing_provider, service_name, "serviceName", FIELD_NON_EMPTY,
              "Name of the service in traces."),
    FIELD_OTHER(tracing_provider, open_telemetry, "openTelemetry", 0, decode_object,
                &otel_options_table, "Settings of OpenTelemetry."),
    FIELD_UNSUPPORTED("zipkin", "Settings of Zipkin."),
};
static const struct table tracing_provider_table =
    TABLE_CHECKED(tracing_provider, tracing_provider_check);

static const struct field span_name_fields[] = {
    FIELD_OTHER(span_name, server, "server", 0, decode_marked_text, NULL,
                "Of the request's span, with %OPERATORS%; method and route unless given."),
    FIELD_OTHER(span_name, client, "client", 0, decode_marked_text, NULL,
                "Of the spans of attempts; the method, or what is asked of which model, unless "
                "given."),
};
static const struct table span_name_table = TABLE(span_name);

static void tracing_spec_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"samplingRate", "samplingFraction", NULL};

    (void)object;
    check_at_most_one(d, node, keys);
}

static const struct field tracing_spec_fields[] = {
    FIELD_INT(tracing_spec, sampling_rate, "samplingRate", 0, RANGE(0, 100),
              "Share of requests that are traced, in percent; 100 unless given."),
    FIELD_OBJECT(tracing_spec, sampling_fraction, "samplingFraction", 0, fraction,
                 "Share of requests that are traced."),
    FIELD_OBJECT(tracing_spec, client_sampling_fraction, "clientSamplingFraction", 0, fraction,
                 "Share of requests traced where the client asks for it."),
    FIELD_OBJECT(tracing_spec, overall_sampling_fraction, "overallSamplingFraction", 0, fraction,
                 "Share of requests that are traced after all else."),
    FIELD_OTHER(tracing_spec, custom_tags, "customTags", 0, decode_custom_tags, NULL,
                "Further attributes of spans."),
    FIELD_TEXT_MAP(tracing_spec, tags, "tags", 0, "Further attributes of spans, by operators."),
    FIELD_OBJECT(tracing_spec, provider, "provider", FIELD_REQUIRED, tracing_provider,
                 "Where spans go."),
    FIELD_OBJECT(tracing_spec, span_name, "spanName", 0, span_name, "Names of spans."),
};
static const struct table tracing_spec_table = TABLE_CHECKED(tracing_spec, tracing_spec_check);

static const struct field telemetry_spec_fields[] = {
    FIELD_OBJECT(telemetry_spec, access_log, "accessLog", 0, access_log_spec, "Access log."),
    FIELD_OBJECT(telemetry_spec, metrics, "metrics", 0, metrics_spec, "Metrics."),
    FIELD_OBJECT(telemetry_spec, tracing, "tracing", 0, tracing_spec, "Tracing."),
    FIELD_UNSUPPORTED("healthCheckLog", "Log of health checks."),
    FIELD_UNSUPPORTED("requestID", "How trace decisions travel in x-request-id."),
};
const struct table telemetry_spec_table = TABLE(telemetry_spec);
