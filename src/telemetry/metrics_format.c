/* A scrape: series of all shards and of the collectors are added up by metric and label text in an
 * arena of its own, sorted, and printed in the table's order. Runs on control; cost grows with the
 * number of series, never with traffic. */
#include <stdlib.h>

#include "base/assert.h"
#include "telemetry/metrics_internal.h"

/* ---- labels ---- */

/* Backslash, quote and line feed as the format wants them; what else could break a line or is no
 * UTF-8 is shown as "?". */
static void metric_escape(struct str value, struct buf *out)
{
    struct buf json = {0};

    /* buf_append_json knows UTF-8: well-formed sequences pass, bad bytes come out as \ufffd. */
    buf_append_json(&json, value);
    for (size_t i = 1; i + 1 < json.len; i++) {
        if (json.ptr[i] != '\\') {
            buf_append_char(out, json.ptr[i]);
        } else if (json.ptr[i + 1] == 'u') {
            buf_append_char(out, '?');
            i += 5;
        } else {
            buf_append(out, json.ptr + i, 2);
            i++;
        }
    }
    buf_deinit(&json);
}

void metric_format_labels(enum metric m, const struct str *labels, struct buf *out)
{
    const struct metric_row *row = &metric_rows[m];

    for (unsigned i = 0; i < METRIC_LABELS_MAX && row->labels[i]; i++) {
        struct str value = labels[i].len > 0 ? labels[i] : STR("-");
        size_t n = MIN(value.len, (size_t)METRIC_LABEL_BYTES_MAX);

        while (n < value.len && n > 0 && ((unsigned char)value.ptr[n] & 0xc0) == 0x80)
            n--;
        if (i > 0)
            buf_append_char(out, ',');
        buf_append_str(out, str_of(row->labels[i]));
        buf_append(out, "=\"", 2);
        metric_escape(str_slice(value, 0, n), out);
        buf_append_char(out, '"');
    }
}

/* ---- adding up ---- */

static struct metric_sum *scrape_sum(struct metrics_scrape *s, enum metric m, struct str text)
{
    struct metric_sum *sum = map_find(&s->by_text[m], text);

    if (sum)
        return sum;
    sum = ARENA_NEW(&s->arena, struct metric_sum);
    sum->text = arena_str(&s->arena, text);
    map_put(&s->by_text[m], sum->text, sum);
    VEC_PUSH(&s->arena, &s->sums[m], sum);
    return sum;
}

void metrics_emit(struct metrics_scrape *s, enum metric metric, const struct str *labels,
                  double value)
{
    struct buf text = {0};

    PRE(metric_rows[metric].type != METRIC_HISTOGRAM);
    metric_format_labels(metric, labels, &text);
    scrape_sum(s, metric, str_make(text.ptr ? text.ptr : "", text.len))->value += value;
    buf_deinit(&text);
}

static void scrape_series(struct metrics_scrape *s, struct metric_series *series)
{
    struct str text = str_make(series->bytes + series->values_len, series->text_len);
    struct metric_sum *sum = scrape_sum(s, series->metric, text);
    uint64_t value = atomic_load_explicit(&series->value, memory_order_relaxed);

    if (!series->buckets) {
        sum->value += (double)value;
        return;
    }
    sum->value += (double)value / metric_scale(series->metric);
    for (unsigned i = 0; i <= series->bounds->n; i++)
        sum->buckets[i] += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
}

void metrics_scrape_fill(struct metrics_scrape *s, const struct metrics *m)
{
    arena_init(&s->arena, 16384);
    for (struct metrics_shard *shard = m->shards; shard; shard = shard->next) {
        struct metric_series *series = atomic_load_explicit(&shard->newest, memory_order_acquire);

        for (; series; series = atomic_load_explicit(&series->next, memory_order_relaxed))
            scrape_series(s, series);
    }
    for (uint32_t i = 0; i < m->n_collectors; i++)
        m->collectors[i].fn(s, m->collectors[i].ctx);
    METRICS_EMIT(s, METRIC_BUILD_INFO, 1, STR(TOLLGATE_VERSION));
}

void metrics_scrape_deinit(struct metrics_scrape *s)
{
    for (unsigned i = 0; i < METRIC_COUNT_; i++)
        map_deinit(&s->by_text[i]);
    arena_deinit(&s->arena);
}

/* ---- printing ---- */

static void format_value(double value, struct buf *out)
{
    if (value >= 0 && value <= 9e15 && value == (double)(uint64_t)value)
        buf_append_u64(out, (uint64_t)value);
    else
        buf_printf(out, "%.17g", value);
}

static void format_line(struct str name, struct str suffix, struct str labels, double value,
                        struct buf *out)
{
    buf_append_str(out, name);
    buf_append_str(out, suffix);
    if (labels.len > 0) {
        buf_append_char(out, '{');
        buf_append_str(out, labels);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ' ');
    format_value(value, out);
    buf_append_char(out, '\n');
}

/* The `le` of each bucket, made once for all series of a metric: most of a page are such lines. */
struct format_bounds {
    struct str le[METRIC_BOUNDS_MAX + 1]; /* le="0.5"}, the space behind it included */
    struct buf text;
};

static void format_bounds_make(enum metric m, struct format_bounds *f)
{
    const struct metric_bounds *bounds = metric_bounds(m);
    size_t ends[METRIC_BOUNDS_MAX + 1];

    f->text = (struct buf){0};
    for (uint32_t i = 0; i <= bounds->n; i++) {
        if (i < bounds->n)
            buf_printf(&f->text, "le=\"%.10g\"} ", (double)bounds->items[i] / metric_scale(m));
        else
            buf_append_str(&f->text, STR("le=\"+Inf\"} "));
        ends[i] = f->text.len;
    }
    for (uint32_t i = 0; i <= bounds->n; i++)
        f->le[i] = str_slice(buf_str(&f->text), i > 0 ? ends[i - 1] : 0, ends[i]);
}

static void format_histogram(enum metric m, const struct format_bounds *f,
                             const struct metric_sum *sum, struct buf *out)
{
    struct str name = str_of(metric_rows[m].name);
    uint32_t n_bounds = metric_bounds(m)->n;
    uint64_t n = 0;

    for (uint32_t i = 0; i <= n_bounds; i++) {
        n += sum->buckets[i];
        buf_append_str(out, name);
        buf_append_str(out, STR("_bucket{"));
        buf_append_str(out, sum->text);
        if (sum->text.len > 0)
            buf_append_char(out, ',');
        buf_append_str(out, f->le[i]);
        buf_append_u64(out, n);
        buf_append_char(out, '\n');
    }
    format_line(name, STR("_sum"), sum->text, sum->value, out);
    format_line(name, STR("_count"), sum->text, (double)n, out);
}

static int metric_sum_compare(const void *a, const void *b)
{
    return str_compare((*(struct metric_sum *const *)a)->text,
                       (*(struct metric_sum *const *)b)->text);
}

static void format_metric(struct metrics_scrape *s, enum metric m, struct buf *out)
{
    const struct metric_row *row = &metric_rows[m];
    struct format_bounds bounds = {0};

    if (row->type == METRIC_UNTYPED)
        m++;
    if (s->sums[m].n == 0)
        return;
    qsort(s->sums[m].items, s->sums[m].n, sizeof s->sums[m].items[0], metric_sum_compare);
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
               metric_type_name(row->type));
    if (row->type == METRIC_HISTOGRAM)
        format_bounds_make(m, &bounds);
    VEC_FOREACH (&s->sums[m], sum) {
        if (row->type == METRIC_HISTOGRAM)
            format_histogram(m, &bounds, *sum, out);
        else
            format_line(str_of(row->name), STR(""), (*sum)->text, (*sum)->value, out);
    }
    buf_deinit(&bounds.text);
}

void metrics_format(const struct metrics *m, struct buf *out)
{
    struct metrics_scrape s = {0};

    metrics_scrape_fill(&s, m);
    for (unsigned i = 0; i < METRIC_COUNT_; i++)
        format_metric(&s, (enum metric)i, out);
    metrics_scrape_deinit(&s);
}

/* Of the histograms that share them. */
static void docs_bounds(enum metric m, struct buf *out)
{
    const struct metric_bounds *bounds = metric_bounds(m);
    bool is_first = true;

    for (unsigned i = 0; i < METRIC_COUNT_; i++) {
        if (metric_rows[i].type != METRIC_HISTOGRAM || metric_bounds((enum metric)i) != bounds)
            continue;
        buf_printf(out, "%s `%s`", is_first ? "|" : ",", metric_rows[i].name);
        is_first = false;
    }
    for (unsigned i = 0; i < bounds->n; i++)
        buf_printf(out, "%s %.10g", i > 0 ? "," : " |", (double)bounds->items[i] / metric_scale(m));
    buf_printf(out, " |\n");
}

static bool docs_has_bounds_before(enum metric m)
{
    for (unsigned i = 0; i < m; i++) {
        if (metric_rows[i].type == METRIC_HISTOGRAM &&
            metric_bounds((enum metric)i) == metric_bounds(m))
            return true;
    }
    return false;
}

void metrics_format_docs(struct buf *out)
{
    buf_printf(out, "# Metrics\n\nPrometheus text at `/metrics`.\n\n"
                    "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for (unsigned m = 0; m < METRIC_COUNT_; m++) {
        const struct metric_row *row = &metric_rows[m];

        buf_printf(out, "| `%s` | %s | %s |", row->name, metric_type_name(row->type), row->unit);
        for (unsigned i = 0; row->labels[i]; i++)
            buf_printf(out, "%s `%s`", i > 0 ? "," : "", row->labels[i]);
        buf_printf(out, " | %s |\n", row->help);
    }
    buf_printf(out, "\n| histograms | upper bounds of their buckets |\n|---|---|\n");
    for (unsigned m = 0; m < METRIC_COUNT_; m++) {
        if (metric_rows[m].type == METRIC_HISTOGRAM && !docs_has_bounds_before((enum metric)m))
            docs_bounds((enum metric)m, out);
    }
}
