/* Counting without locks: each worker writes its own shard, a scrape adds the shards up. The number
 * of series of a metric is bounded per shard (LIMIT_METRIC_SERIES, LIMIT_METRIC_HISTOGRAMS): beyond
 * it, values that come from outside are counted under "other".
 *
 * Threads: a shard is written by one thread. metrics_shard_new, metrics_collect_with and
 * metrics_format belong to one thread (control). */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "telemetry/metric.h"

enum { METRIC_BOUNDS_MAX = 17, METRIC_LABEL_BYTES_MAX = 128 };

/* Upper bounds of a histogram's buckets, ascending; behind the last one everything else is counted.
 * Static. */
struct metric_bounds {
    const uint64_t *items; /* microseconds where the metric's unit is seconds, else tokens */
    uint32_t n;            /* at most METRIC_BOUNDS_MAX */
};
/* Of a histogram. */
const struct metric_bounds *metric_bounds(enum metric m);

/* One line of a metric (a histogram: its lines) as one thread sees it. Lives as long as its shard,
 * so callers may keep it. */
struct metric_series {
    enum metric metric;
    uint64_t hash;
    struct metric_series *chain;        /* next in its hash bucket: writer only */
    struct metric_series *_Atomic next; /* older series of the shard: read by scrapes */
    _Atomic uint64_t value;             /* counter; histogram: sum, as it was observed */
    _Atomic uint64_t *buckets;          /* bounds->n + 1, not cumulated; NULL: no histogram */
    const struct metric_bounds *bounds; /* NULL: no histogram */
    struct metric_series *overflow;     /* of the series `other`: counts what it takes in */
    uint32_t values_len;                /* identity: each label value behind its length */
    uint32_t text_len;                  /* tenant="a",model="b" */
    char *bytes;                        /* values, then text */
};

struct metrics_shard;
struct metrics_scrape;
/* Adds what is read elsewhere at the moment of a scrape, by metrics_emit. */
typedef void metrics_collect_fn(struct metrics_scrape *scrape, void *ctx);

enum { METRICS_COLLECTORS_MAX = 16 };

struct metrics {
    struct metrics_shard *shards;
    struct {
        metrics_collect_fn *fn;
        void *ctx;
    } collectors[METRICS_COLLECTORS_MAX];
    uint32_t n_collectors;
};

void metrics_init(struct metrics *m);
/* Frees the shards; nobody may write any more. Safe on zeroed memory and repeated. */
void metrics_deinit(struct metrics *m);
/* Owned by `m`. */
struct metrics_shard *metrics_shard_new(struct metrics *m);
/* `fn` runs in every metrics_format, on its thread. */
void metrics_collect_with(struct metrics *m, metrics_collect_fn *fn, void *ctx);

/* Finds or makes the series; `labels` are metric_n_labels(metric) values in the table's order, an
 * empty one becomes "-". Never NULL. */
struct metric_series *metrics_series(struct metrics_shard *s, enum metric metric,
                                     const struct str *labels);
/* METRICS_SERIES(shard, METRIC_REFUSALS, reason) */
#define METRICS_SERIES(shard, metric, ...)                                                         \
    metrics_series((shard), (metric), (const struct str[METRIC_LABELS_MAX]){__VA_ARGS__})

/* Is it the series of these labels, of those that its metric has? */
bool metric_series_is(const struct metric_series *s, const struct str *labels);
#define METRIC_SERIES_IS(series, ...)                                                              \
    metric_series_is((series), (const struct str[METRIC_LABELS_MAX]){__VA_ARGS__})
/* Is there such a series? Makes none. */
bool metrics_has(const struct metrics_shard *s, enum metric metric, const struct str *labels);
#define METRICS_HAS(shard, metric, ...)                                                            \
    metrics_has((shard), (metric), (const struct str[METRIC_LABELS_MAX]){__VA_ARGS__})

/* Single writer: a load and a store, no locked instruction. */
static inline void metric_raise(struct metric_series *s, uint64_t n)
{
    atomic_store_explicit(&s->value, atomic_load_explicit(&s->value, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void metric_add(struct metric_series *s, uint64_t n)
{
    metric_raise(s, n);
    if (s->overflow)
        metric_raise(s->overflow, 1);
}
/* Histograms only, in the unit of their buckets. */
void metric_observe(struct metric_series *s, uint64_t value);
static inline void metric_observe_us(struct metric_series *s, uint64_t us)
{
    metric_observe(s, us);
}

/* For collectors: one value of a counter or gauge; values of equal labels are added. */
void metrics_emit(struct metrics_scrape *scrape, enum metric metric, const struct str *labels,
                  double value);
#define METRICS_EMIT(scrape, metric, value, ...)                                                   \
    metrics_emit((scrape), (metric), (const struct str[METRIC_LABELS_MAX]){__VA_ARGS__}, (value))

/* Prometheus text exposition, version 0.0.4. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void metrics_format(const struct metrics *m, struct buf *out);
/* The table as Markdown. */
void metrics_format_docs(struct buf *out);
