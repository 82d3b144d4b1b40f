/* compile: a collector of an EnvoyProxy, as an exporter. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"
#include "manifest/part/telemetry_spec.h"
#include "upstream/otlp/exporter.h"

struct collector_draft {
    struct object *owner; /* the EnvoyProxy */
    enum exporter_signal signal;
    const struct telemetry_backend *backend;
    const struct otel_sink *options; /* headers and attributes; NULL: none */
    struct str service_name;
};

/* One reference, the caller's. NULL after saying why, or for check only. */
struct exporter *compile_collector(struct compile *c, const struct collector_draft *d);
