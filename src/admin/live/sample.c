/* See sample.h. Two older states are kept, and exchanged in turn, rather than one of every second:
 * what moved in a window of several seconds needs no more. */
#include "admin/live/sample.h"

#include "base/limits.h"
#include "telemetry/metrics_read.h"

enum { SAMPLE_TURN_US = 5 * 1000000 };

/* ---- rows ---- */

static struct str sample_key(char room[2 * (METRIC_LABEL_BYTES_MAX + 2)], enum sample_kind kind,
                             struct str a, struct str b)
{
    size_t n = 0;

    a.len = MIN(a.len, (size_t)METRIC_LABEL_BYTES_MAX);
    b.len = MIN(b.len, (size_t)METRIC_LABEL_BYTES_MAX);
    room[n++] = (char)kind;
    room[n++] = (char)a.len; /* where the one name ends and the other begins */
    if (a.len > 0)
        memcpy(room + n, a.ptr, a.len);
    n += a.len;
    if (b.len > 0)
        memcpy(room + n, b.ptr, b.len);
    return str_make(room, n + b.len);
}

const struct sample_row *sample_find(const struct sample *s, enum sample_kind kind, struct str a,
                                     struct str b)
{
    char room[2 * (METRIC_LABEL_BYTES_MAX + 2)];

    return map_find(&s->by_name, sample_key(room, kind, a, b));
}

/* NULL: there may be no more. */
static struct sample_row *sample_row(struct sample *s, enum sample_kind kind, struct str a,
                                     struct str b)
{
    char room[2 * (METRIC_LABEL_BYTES_MAX + 2)];
    struct str key = sample_key(room, kind, a, b);
    struct sample_row *row = map_find(&s->by_name, key);

    if (row || s->rows[kind].n == LIMIT_LIVE_ROWS)
        return row;
    row = ARENA_NEW(&s->arena, struct sample_row);
    row->kind = kind;
    row->names[0] = arena_str(&s->arena, a);
    row->names[1] = arena_str(&s->arena, b);
    map_put(&s->by_name, arena_str(&s->arena, key), row);
    VEC_PUSH(&s->arena, &s->rows[kind], row);
    return row;
}

/* ---- counters ---- */

static void sample_add(struct sample_row *row, enum sample_value value,
                       const struct metric_series *series)
{
    if (row)
        row->now[value] += atomic_load_explicit(&series->value, memory_order_relaxed);
}

static void sample_add_buckets(struct sample_row *row, const struct metric_series *series)
{
    for (unsigned i = 0; row && i <= series->bounds->n; i++)
        row->now[SAMPLE_BUCKETS + i] +=
            atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
}

/* "2xx" */
static enum sample_value sample_class(struct str text)
{
    if (text.len > 0 && text.ptr[0] >= '1' && text.ptr[0] <= '5')
        return SAMPLE_1XX + (enum sample_value)(text.ptr[0] - '1');
    return SAMPLE_NO_STATUS;
}

static struct sample_row *sample_row_of(struct sample *s, enum sample_kind kind,
                                        const struct metric_series *series, unsigned label)
{
    return sample_row(s, kind, metric_series_label(series, label), STR(""));
}

static struct sample_row *sample_row_of_model(struct sample *s, const struct metric_series *series)
{
    return sample_row(s, SAMPLE_MODEL, metric_series_label(series, 0),
                      metric_series_label(series, 1));
}

/* metrics_visit_fn. The labels stand in the order of telemetry/metric.h. */
static void sample_visit(void *ctx, const struct metric_series *series)
{
    struct sample *s = ctx;
    struct sample_row *all = sample_row(s, SAMPLE_ALL, STR(""), STR(""));

    switch (series->metric) {
    case METRIC_REQUESTS: { /* listener, route, class */
        enum sample_value class = sample_class(metric_series_label(series, 2));

        sample_add(all, class, series);
        sample_add(sample_row_of(s, SAMPLE_ROUTE, series, 1), class, series);
        break;
    }
    case METRIC_REQUEST_DURATION: /* route */
        sample_add_buckets(all, series);
        sample_add_buckets(sample_row_of(s, SAMPLE_ROUTE, series, 0), series);
        break;
    case METRIC_UPSTREAM_REQUESTS: /* backend, class */
        sample_add(sample_row_of(s, SAMPLE_BACKEND, series, 0),
                   sample_class(metric_series_label(series, 1)), series);
        break;
    case METRIC_UPSTREAM_FAILURES: /* backend, reason */
        sample_add(sample_row_of(s, SAMPLE_BACKEND, series, 0), SAMPLE_FAILURES, series);
        break;
    case METRIC_UPSTREAM_DURATION: /* backend */
        sample_add_buckets(sample_row_of(s, SAMPLE_BACKEND, series, 0), series);
        break;
    case METRIC_REFUSALS: /* reason */
        sample_add(sample_row_of(s, SAMPLE_REASON, series, 0), SAMPLE_NO_STATUS, series);
        break;
    case METRIC_AI_REQUESTS: /* tenant, model, status */
        sample_add(sample_row_of_model(s, series), sample_class(metric_series_label(series, 2)),
                   series);
        break;
    case METRIC_AI_TOKENS_PROCESSED_TOTAL:
        sample_add(all, SAMPLE_TOKENS_IN, series);
        sample_add(sample_row_of_model(s, series), SAMPLE_TOKENS_IN, series);
        break;
    case METRIC_AI_TOKENS_GENERATED_TOTAL:
        sample_add(all, SAMPLE_TOKENS_OUT, series);
        sample_add(sample_row_of_model(s, series), SAMPLE_TOKENS_OUT, series);
        break;
    case METRIC_AI_FIRST_TOKEN:
        sample_add_buckets(sample_row(s, SAMPLE_FIRST_TOKEN, STR(""), STR("")), series);
        break;
    default:
        break;
    }
}

static void sample_turn(struct sample *s, bool is_first)
{
    MAP_FOREACH (&s->by_name, slot) {
        struct sample_row *row = slot->value;

        memcpy(row->base, is_first ? row->now : row->middle, sizeof row->base);
        memcpy(row->middle, row->now, sizeof row->middle);
    }
    s->base_us = is_first ? s->now_us : s->middle_us;
    s->middle_us = s->now_us;
}

void sample_read(struct sample *s, const struct metrics *m, uint64_t now_us)
{
    if (!s->is_begun)
        arena_init(&s->arena, 16384);
    MAP_FOREACH (&s->by_name, slot)
        memset(((struct sample_row *)slot->value)->now, 0,
               sizeof((struct sample_row *)slot->value)->now);
    metrics_visit(m, sample_visit, s);
    s->now_us = now_us;
    if (!s->is_begun || now_us - s->middle_us >= SAMPLE_TURN_US)
        sample_turn(s, !s->is_begun);
    s->is_begun = true;
}

void sample_deinit(struct sample *s)
{
    map_deinit(&s->by_name);
    arena_deinit(&s->arena);
    *s = (struct sample){0};
}

/* ---- what moved ---- */

uint64_t sample_moved_requests(const struct sample_row *r)
{
    uint64_t n = 0;

    for (int v = SAMPLE_NO_STATUS; v <= SAMPLE_5XX; v++)
        n += sample_moved(r, (enum sample_value)v);
    return n;
}

uint64_t sample_all_requests(const struct sample_row *r)
{
    uint64_t n = 0;

    for (int v = SAMPLE_NO_STATUS; v <= SAMPLE_5XX; v++)
        n += r->now[v];
    return n;
}

uint64_t sample_moved_observed(const struct sample_row *r)
{
    uint64_t n = 0;

    for (int v = SAMPLE_BUCKETS; v < SAMPLE_VALUES; v++)
        n += sample_moved(r, (enum sample_value)v);
    return n;
}

uint64_t sample_percentile(const struct sample_row *r, const struct metric_bounds *b,
                           unsigned percent)
{
    /* In hundredths of an observation, so that whole numbers do. */
    uint64_t rank = sample_moved_observed(r) * percent;
    uint64_t below = 0;

    if (rank == 0)
        return 0;
    for (unsigned i = 0; i < b->n; i++) {
        uint64_t n = sample_moved(r, (enum sample_value)(SAMPLE_BUCKETS + i)) * 100;
        uint64_t from = i > 0 ? b->items[i - 1] : 0;

        if (n > 0 && below + n >= rank)
            return from +
                   (uint64_t)((double)(b->items[i] - from) * (double)(rank - below) / (double)n);
        below += n;
    }
    return b->items[b->n - 1];
}
