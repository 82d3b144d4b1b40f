/* What an EnvoyProxy says of tracing, compiled for one listener. Immutable. */
#pragma once

#include "base/str.h"

struct exporter;   /* upstream/otlp/exporter.h */
struct log_format; /* telemetry/log_format.h */

/* A further attribute of every span: from a header, by a format, or as it is. */
struct trace_tag {
    struct str key;
    struct str header;               /* lower-case; empty: none */
    const struct log_format *format; /* NULL: none */
    struct str value;                /* as it is; of a header that is absent */
};

#define TRACE_ALWAYS UINT64_MAX

struct trace_plan {
    struct exporter *exporter; /* one reference, the listener's */
    /* A request is traced when a number drawn from 64 bits lies below: */
    uint64_t usual_threshold;             /* of those that come without a trace */
    uint64_t asked_threshold;             /* of those whose callers record theirs, or ask for it */
    bool hears_client_id;                 /* x-client-trace-id asks for it, too */
    const struct log_format *server_name; /* of spans; NULL: the conventions' */
    const struct log_format *client_name;
    const struct trace_tag *tags;
    uint32_t n_tags;
};
