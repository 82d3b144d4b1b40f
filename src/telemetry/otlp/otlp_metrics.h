/* All metrics as the JSON encoding of OTLP has them (opentelemetry-proto, metrics.proto), from the
 * very series that /metrics shows, and by the same names: sums, gauges and histograms, since the
 * start of the process or as differences to what was told before. Control's thread. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"

struct metrics;

/* What one receiver is told, and was told last. Zeroed is: nothing yet, and no differences. */
struct otlp_metrics {
    bool counters_as_deltas;
    bool histograms_as_deltas;
    int64_t last_unix_us; /* 0: never */
    struct arena arena;
    struct map
        last; /* struct metric_sum by metric and labels, of those that are told as differences */
};

/* A metric with some of its points. */
typedef void otlp_metrics_fn(void *ctx, struct str item, uint32_t n_points);

void otlp_metrics_deinit(struct otlp_metrics *o);
/* Tells `fn` all of them, in pieces of less than LIMIT_EXPORT_ITEM_BYTES. */
void otlp_metrics_tell(struct otlp_metrics *o, const struct metrics *m, int64_t start_unix_us,
                       int64_t now_unix_us, otlp_metrics_fn *fn, void *ctx);
