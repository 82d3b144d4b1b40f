/* A span as the JSON encoding of OTLP has it (opentelemetry-proto, trace.proto): opened, given its
 * attributes (otlp_attribute.h), closed. Pure; any thread. */
#pragma once

#include "base/buf.h"
#include "telemetry/trace/trace_parent.h"

/* As the protocol numbers them. */
enum otlp_span_kind { OTLP_SPAN_SERVER = 2, OTLP_SPAN_CLIENT = 3 };

struct otlp_span {
    const struct trace_parent *id; /* its own */
    uint64_t parent_id;            /* 0: it has none */
    bool has_remote_parent;        /* of another process */
    struct str state;              /* tracestate */
    struct str name;
    enum otlp_span_kind kind;
    int64_t start_unix_us;
    uint64_t duration_us;
};

void otlp_span_open(struct buf *out, const struct otlp_span *s);
void otlp_span_close(struct buf *out, bool has_failed);
