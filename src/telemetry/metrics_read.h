/* For who watches counters rather than prints them: each series of each shard. Control's thread,
 * as a scrape. */
#pragma once

#include "telemetry/metrics.h"

/* The value of its `i`th label, in the table's order. Borrowed from the series. */
struct str metric_series_label(const struct metric_series *s, unsigned i);

typedef void metrics_visit_fn(void *ctx, const struct metric_series *s);
/* What several shards have of one metric and labels comes as often. */
void metrics_visit(const struct metrics *m, metrics_visit_fn *fn, void *ctx);
