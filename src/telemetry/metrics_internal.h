/* Between the files of metrics: shards and label text. Nobody else includes this. */
#pragma once

#include "base/hash.h"
#include "base/map.h"
#include "base/vec.h"
#include "telemetry/metrics.h"

enum { METRICS_BUCKETS_MIN = 64 };

struct metrics_shard {
    struct metrics_shard *next;
    struct hash_key key;
    struct metric_series **buckets; /* writer only */
    size_t n_buckets;               /* a power of two, or 0 */
    size_t n_series;
    uint32_t n_of[METRIC_COUNT_];
    struct metric_series *_Atomic newest;
};

/* One line of a metric (a histogram: its lines), all shards and collectors added up. */
struct metric_sum {
    struct str text; /* labels */
    double value;    /* histogram: the sum */
    uint64_t buckets[METRIC_BOUNDS_MAX + 1];
};

struct metrics_scrape {
    struct arena arena;
    struct map by_text[METRIC_COUNT_];
    VEC(struct metric_sum *) sums[METRIC_COUNT_];
};

/* Into a zeroed one. */
void metrics_scrape_fill(struct metrics_scrape *s, const struct metrics *m);
void metrics_scrape_deinit(struct metrics_scrape *s);

static inline bool metric_is_time(enum metric m)
{
    return str_eq(str_of(metric_rows[m].unit), STR("seconds"));
}
/* What one of the unit's is, in what is observed. */
static inline double metric_scale(enum metric m)
{
    return metric_is_time(m) ? 1e6 : 1;
}

/* tenant="a",model="b"; values escaped, cut to METRIC_LABEL_BYTES_MAX. */
void metric_format_labels(enum metric m, const struct str *labels, struct buf *out);

/* process_metrics.c: a collector. */
metrics_collect_fn process_metrics_collect;
