/* What has moved lately: the counters of the metrics, read once a second while somebody watches,
 * and the difference to what they were some seconds ago. Nothing is measured for it on the way of a
 * request. Control's thread. */
#pragma once

#include "base/map.h"
#include "base/vec.h"
#include "telemetry/metrics.h"

/* What is counted together. */
enum sample_kind {
    SAMPLE_ALL,         /* every request */
    SAMPLE_FIRST_TOKEN, /* of AI answers */
    SAMPLE_ROUTE,       /* names[0]: the rule */
    SAMPLE_BACKEND,     /* names[0]: the backend */
    SAMPLE_MODEL,       /* names: tenant and model */
    SAMPLE_REASON,      /* names[0]: why requests were refused */
    SAMPLE_KINDS,
};

/* What is known of it. */
enum sample_value {
    SAMPLE_NO_STATUS, /* nobody was left to be answered */
    SAMPLE_1XX,
    SAMPLE_2XX,
    SAMPLE_3XX,
    SAMPLE_4XX,
    SAMPLE_5XX,
    SAMPLE_FAILURES, /* attempts without a whole answer */
    SAMPLE_TOKENS_IN,
    SAMPLE_TOKENS_OUT,
    SAMPLE_BUCKETS, /* of a histogram, from here on */
    SAMPLE_VALUES = SAMPLE_BUCKETS + METRIC_BOUNDS_MAX + 1,
};

struct sample_row {
    enum sample_kind kind;
    struct str names[2];
    uint64_t now[SAMPLE_VALUES];
    uint64_t middle[SAMPLE_VALUES];
    uint64_t base[SAMPLE_VALUES];
};

/* A zeroed one is ready. */
struct sample {
    struct arena arena;
    struct map by_name;
    VEC(struct sample_row *) rows[SAMPLE_KINDS];
    bool is_begun;
    uint64_t now_us;
    uint64_t middle_us;
    uint64_t base_us;
};

/* Reads the counters. What is told of a window is the difference to the base, which is 5 to 10 s
 * old, or as old as the sample is. */
void sample_read(struct sample *s, const struct metrics *m, uint64_t now_us);
/* Forgets all: the next one begins anew. Safe on zeroed memory and repeated. */
void sample_deinit(struct sample *s);

/* NULL: nothing has been counted. */
const struct sample_row *sample_find(const struct sample *s, enum sample_kind kind, struct str a,
                                     struct str b);
static inline uint64_t sample_window_us(const struct sample *s)
{
    return s->now_us - s->base_us;
}
/* In the window. */
static inline uint64_t sample_moved(const struct sample_row *r, enum sample_value v)
{
    return r->now[v] - r->base[v];
}
/* Of all statuses, in the window; since the process began. */
uint64_t sample_moved_requests(const struct sample_row *r);
uint64_t sample_all_requests(const struct sample_row *r);
/* How many the histogram has seen in the window; and the `percent`th of them by rank, evenly spread
 * in its bucket, in microseconds: the last bound for what is beyond it, 0 where there is none. */
uint64_t sample_moved_observed(const struct sample_row *r);
uint64_t sample_percentile(const struct sample_row *r, const struct metric_bounds *b,
                           unsigned percent);
