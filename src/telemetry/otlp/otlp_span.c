/* See otlp_span.h. Ids are hexadecimal in OTLP's JSON, and times strings of nanoseconds. */
#include "telemetry/otlp/otlp_span.h"

#include "telemetry/otlp/otlp_attribute.h"

enum {
    FLAG_SAMPLED = 1,
    FLAG_KNOWS_REMOTE = 0x100, /* whether its parent is of another process is known */
    FLAG_IS_REMOTE = 0x200,
    STATUS_ERROR = 2,
};

static void otlp_span_ids(struct buf *out, const struct otlp_span *s)
{
    char trace[TRACE_ID_HEX_BYTES], id[SPAN_ID_HEX_BYTES];

    trace_parent_format_trace_id(s->id, trace);
    trace_parent_format_span_id(s->id->span_id, id);
    buf_printf(out, "{\"traceId\":\"%.*s\",\"spanId\":\"%.*s\",", TRACE_ID_HEX_BYTES, trace,
               SPAN_ID_HEX_BYTES, id);
    if (s->parent_id) {
        trace_parent_format_span_id(s->parent_id, id);
        buf_printf(out, "\"parentSpanId\":\"%.*s\",", SPAN_ID_HEX_BYTES, id);
    }
    if (s->state.len > 0) {
        buf_append_str(out, STR("\"traceState\":"));
        buf_append_json(out, s->state);
        buf_append_char(out, ',');
    }
}

void otlp_span_open(struct buf *out, const struct otlp_span *s)
{
    unsigned flags = FLAG_SAMPLED | FLAG_KNOWS_REMOTE |
                     (s->parent_id && s->has_remote_parent ? FLAG_IS_REMOTE : 0);
    long long start_us = (long long)s->start_unix_us;

    otlp_span_ids(out, s);
    buf_printf(out, "\"flags\":%u,\"name\":", flags);
    otlp_attribute_string(out, s->name);
    buf_printf(out,
               ",\"kind\":%d,\"startTimeUnixNano\":\"%lld000\",\"endTimeUnixNano\":\"%lld000\","
               "\"attributes\":[",
               s->kind, start_us, start_us + (long long)s->duration_us);
}

void otlp_span_close(struct buf *out, bool has_failed)
{
    buf_append_char(out, ']');
    if (has_failed)
        buf_printf(out, ",\"status\":{\"code\":%d}", STATUS_ERROR);
    buf_append_char(out, '}');
}
