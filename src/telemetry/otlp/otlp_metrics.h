/* All metrics as the JSON encoding of OTLP has them (opentelemetry-proto, metrics.proto), from the
 * very series that /metrics shows, and by the same names: sums, gauges and histograms, since the
 * start of the process or as differences to what was told before. Control's thread. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"

struct metrics;
struct otlp_telling;

/* What one receiver is told, and was told last. Zeroed is: nothing yet, and no differences. */
struct otlp_metrics {
    bool counters_as_deltas;
    bool histograms_as_deltas;
    int64_t last_unix_us; /* 0: never */
    struct arena arena;
    struct map
        last; /* struct metric_sum by metric and labels, of those that are told as differences */
    struct otlp_telling *telling; /* one is under way; NULL: none is */
};

/* A metric with some of its points. False: no more for now. */
typedef bool otlp_metrics_fn(void *ctx, struct str item, uint32_t n_points);

void otlp_metrics_deinit(struct otlp_metrics *o);
/* Begins to tell all of them, with their values of now. None may be under way. */
void otlp_metrics_begin(struct otlp_metrics *o, const struct metrics *m, int64_t start_unix_us,
                        int64_t now_unix_us);
/* Goes on with the telling that is under way, if one is, in pieces of less than
 * LIMIT_EXPORT_ITEM_BYTES, until `fn` wants no more or all is told. With very many series that is
 * more than may wait for a collector at once. */
void otlp_metrics_go_on(struct otlp_metrics *o, otlp_metrics_fn *fn, void *ctx);
