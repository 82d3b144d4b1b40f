/* See otlp_metrics.h. Values are told as numbers of floating point whatever they count, so that no
 * series changes its type; the dashboards' untyped names are left out, which have counters beside
 * them. */
#include "telemetry/otlp/otlp_metrics.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "telemetry/metrics_internal.h"
#include "telemetry/otlp/otlp_attribute.h"

enum {
    TEMPORALITY_DELTA = 1,
    TEMPORALITY_CUMULATIVE = 2,
    PIECE_BYTES = LIMIT_EXPORT_ITEM_BYTES / 2
};

/* One telling of all metrics: the values of the moment at which it began, and how far it is. */
struct otlp_telling {
    struct otlp_metrics *o;
    struct metrics_scrape scrape;
    unsigned metric; /* enum metric: the one that is told now */
    size_t at;       /* its point that is next */
    int64_t start_us;
    int64_t now_us;
    struct arena arena; /* of `last` to be */
    struct map last;
    struct buf item;
    struct buf text; /* a label's value, a key */
    uint32_t n_points;
};

/* ---- points ---- */

/* One label of the text that metrics_format.c makes: key="value", with escapes. False: no more. */
static bool tell_next_label(struct str *rest, struct str *ret_key, struct buf *ret_value)
{
    ssize_t equals = str_find_char(*rest, '=', 0);
    size_t i = (size_t)equals + 2;

    if (equals < 0)
        return false;
    *ret_key = str_slice(*rest, 0, (size_t)equals);
    buf_clear(ret_value);
    for (; i < rest->len && rest->ptr[i] != '"'; i++) {
        char c = rest->ptr[i];

        if (c == '\\' && i + 1 < rest->len) {
            c = rest->ptr[++i];
            c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c);
        }
        buf_append_char(ret_value, c);
    }
    *rest = str_slice(*rest, i + 2, rest->len); /* the quote, and a comma */
    return true;
}

static void tell_labels(struct otlp_telling *t, struct str labels)
{
    struct str key;

    buf_append_str(&t->item, STR("{\"attributes\":["));
    while (tell_next_label(&labels, &key, &t->text))
        otlp_attribute_text(&t->item, key, buf_str(&t->text));
    buf_append_char(&t->item, ']');
}

static void tell_time(struct otlp_telling *t, const char *key, int64_t unix_us)
{
    buf_append_str(&t->item, STR(",\""));
    buf_append_str(&t->item, str_of(key));
    buf_append_str(&t->item, STR("\":\""));
    buf_append_u64(&t->item, (uint64_t)unix_us);
    buf_append_str(&t->item, STR("000\""));
}

static void tell_double(struct otlp_telling *t, double value)
{
    if (value >= 0 && value <= 9e15 && value == (double)(uint64_t)value)
        buf_append_u64(&t->item, (uint64_t)value);
    else
        buf_printf(&t->item, "%.17g", value);
}

static void tell_bucket_list(struct otlp_telling *t, const uint64_t *counts, uint32_t n)
{
    buf_append_str(&t->item, STR(",\"bucketCounts\":["));
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            buf_append_char(&t->item, ',');
        buf_append_char(&t->item, '"');
        buf_append_u64(&t->item, counts[i]);
        buf_append_char(&t->item, '"');
    }
    buf_append_str(&t->item, STR("],\"explicitBounds\":["));
}

static void tell_buckets(struct otlp_telling *t, enum metric m, const struct metric_sum *sum)
{
    const struct metric_bounds *bounds = metric_bounds(m);
    uint64_t n = 0;

    for (uint32_t i = 0; i <= bounds->n; i++)
        n += sum->buckets[i];
    buf_append_str(&t->item, STR(",\"count\":\""));
    buf_append_u64(&t->item, n);
    buf_append_str(&t->item, STR("\",\"sum\":"));
    tell_double(t, sum->value);
    tell_bucket_list(t, sum->buckets, bounds->n + 1);
    for (uint32_t i = 0; i < bounds->n; i++)
        buf_printf(&t->item, "%s%.10g", i > 0 ? "," : "",
                   (double)bounds->items[i] / metric_scale(m));
    buf_append_char(&t->item, ']');
}

/* ---- differences ---- */

static bool tell_is_delta(const struct otlp_metrics *o, enum metric m)
{
    return (metric_rows[m].type == METRIC_COUNTER && o->counters_as_deltas) ||
           (metric_rows[m].type == METRIC_HISTOGRAM && o->histograms_as_deltas);
}

static uint64_t tell_rise(uint64_t now, uint64_t before)
{
    return now >= before ? now - before : now; /* what has begun anew */
}

/* What has come since the last time; remembers `sum` for the next one. */
static void tell_subtract(struct otlp_telling *t, enum metric m, const struct metric_sum *sum,
                          struct metric_sum *ret)
{
    struct str key = arena_printf(&t->arena, "%u %.*s", m, STR_ARG(sum->text));
    const struct metric_sum *before = map_find(&t->o->last, key);
    struct metric_sum *kept = ARENA_NEW(&t->arena, struct metric_sum);

    *kept = *sum;
    map_put(&t->last, key, kept);
    *ret = *sum;
    if (!before)
        return;
    if (sum->value >= before->value)
        ret->value -= before->value;
    for (uint32_t i = 0; i <= METRIC_BOUNDS_MAX; i++)
        ret->buckets[i] = tell_rise(sum->buckets[i], before->buckets[i]);
}

/* ---- metrics ---- */

/* As UCUM has them; what it does not know is an annotation. */
static void tell_unit(struct otlp_telling *t, const char *unit)
{
    struct str s = str_of(unit);

    if (str_eq(s, STR("seconds")))
        buf_append_str(&t->item, STR("s"));
    else if (str_eq(s, STR("bytes")))
        buf_append_str(&t->item, STR("By"));
    else if (s.len > 0)
        buf_printf(&t->item, "{%s}", unit);
    else
        buf_append_char(&t->item, '1');
}

static void tell_open(struct otlp_telling *t, enum metric m)
{
    const struct metric_row *row = &metric_rows[m];
    int temporality = tell_is_delta(t->o, m) ? TEMPORALITY_DELTA : TEMPORALITY_CUMULATIVE;

    buf_clear(&t->item);
    t->n_points = 0;
    buf_append_str(&t->item, STR("{\"name\":"));
    buf_append_json(&t->item, str_of(row->name));
    buf_append_str(&t->item, STR(",\"description\":"));
    buf_append_json(&t->item, str_of(row->help));
    buf_append_str(&t->item, STR(",\"unit\":\""));
    tell_unit(t, row->unit);
    buf_append_str(&t->item, STR("\","));
    if (row->type == METRIC_GAUGE)
        buf_append_str(&t->item, STR("\"gauge\":{"));
    else
        buf_printf(&t->item, "\"%s\":{\"aggregationTemporality\":%d,",
                   row->type == METRIC_HISTOGRAM ? "histogram" : "sum", temporality);
    if (row->type == METRIC_COUNTER)
        buf_append_str(&t->item, STR("\"isMonotonic\":true,"));
    buf_append_str(&t->item, STR("\"dataPoints\":["));
}

static void tell_point(struct otlp_telling *t, enum metric m, const struct metric_sum *sum)
{
    bool is_delta = tell_is_delta(t->o, m);
    struct metric_sum difference;

    if (is_delta) {
        tell_subtract(t, m, sum, &difference);
        sum = &difference;
    }
    if (t->n_points++ > 0)
        buf_append_char(&t->item, ',');
    tell_labels(t, sum->text);
    if (metric_rows[m].type != METRIC_GAUGE)
        tell_time(t, "startTimeUnixNano",
                  is_delta && t->o->last_unix_us ? t->o->last_unix_us : t->start_us);
    tell_time(t, "timeUnixNano", t->now_us);
    if (metric_rows[m].type == METRIC_HISTOGRAM) {
        tell_buckets(t, m, sum);
    } else {
        buf_append_str(&t->item, STR(",\"asDouble\":"));
        tell_double(t, sum->value);
    }
    buf_append_char(&t->item, '}');
}

/* The next points of the metric at hand, as many as one item takes. False: it has no more. */
static bool tell_piece(struct otlp_telling *t)
{
    const enum metric m = (enum metric)t->metric;
    size_t n = metric_rows[m].type == METRIC_UNTYPED ? 0 : t->scrape.sums[m].n;

    if (t->at == n)
        return false;
    tell_open(t, m);
    while (t->at < n && t->item.len <= PIECE_BYTES)
        tell_point(t, m, t->scrape.sums[m].items[t->at++]);
    buf_append_str(&t->item, STR("]}}"));
    return true;
}

static void tell_free(struct otlp_telling *t)
{
    metrics_scrape_deinit(&t->scrape);
    map_deinit(&t->last);
    arena_deinit(&t->arena);
    buf_deinit(&t->item);
    buf_deinit(&t->text);
    mem_free(t);
}

/* What is told now is what the next differences are to. */
static void tell_end(struct otlp_telling *t)
{
    struct otlp_metrics *o = t->o;

    map_deinit(&o->last);
    arena_deinit(&o->arena);
    o->arena = t->arena;
    o->last = t->last;
    o->last_unix_us = t->now_us;
    o->telling = NULL;
    t->arena = (struct arena){0};
    t->last = (struct map){0};
    tell_free(t);
}

void otlp_metrics_deinit(struct otlp_metrics *o)
{
    if (o->telling)
        tell_free(o->telling);
    o->telling = NULL;
    map_deinit(&o->last);
    arena_deinit(&o->arena);
}

void otlp_metrics_begin(struct otlp_metrics *o, const struct metrics *m, int64_t start_unix_us,
                        int64_t now_unix_us)
{
    struct otlp_telling *t = MEM_NEW(struct otlp_telling);

    PRE(!o->telling);
    t->o = o;
    t->start_us = start_unix_us;
    t->now_us = now_unix_us;
    arena_init(&t->arena, 4096);
    metrics_scrape_fill(&t->scrape, m);
    o->telling = t;
}

void otlp_metrics_go_on(struct otlp_metrics *o, otlp_metrics_fn *fn, void *ctx)
{
    struct otlp_telling *t = o->telling;
    bool may_go_on = true;

    while (t && may_go_on && t->metric < METRIC_COUNT_) {
        if (tell_piece(t)) {
            may_go_on = fn(ctx, buf_str(&t->item), t->n_points);
        } else {
            t->metric++;
            t->at = 0;
        }
    }
    if (t && t->metric == METRIC_COUNT_)
        tell_end(t);
}
