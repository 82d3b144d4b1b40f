/* Shards and their series. A series is found by the hash of its label values in a table that only
 * the writer touches; it is published to scrapes by one release store at the head of a list and
 * never removed, so that reader and writer share nothing else but relaxed counters. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "telemetry/metrics_internal.h"

const struct metric_row metric_rows[METRIC_COUNT_] = {
#define X(id, type, name, unit, help, ...)                                                         \
    [METRIC_##id] = {METRIC_##type, name, unit, help, {__VA_ARGS__}},
    METRICS(X)
#undef X
};

#define BOUNDS(...)                                                                                \
    {                                                                                              \
        (const uint64_t[]){__VA_ARGS__},                                                           \
            sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)                             \
    }

/* From half a millisecond, what a gateway itself takes, to minutes, what models take. */
static const struct metric_bounds latency_bounds =
    BOUNDS(500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
           5000000, 10000000, 30000000, 60000000, 300000000);
/* The next four: OpenTelemetry, semantic conventions for generative AI metrics. */
static const struct metric_bounds token_bounds = BOUNDS(
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864);
static const struct metric_bounds operation_bounds =
    BOUNDS(10000, 20000, 40000, 80000, 160000, 320000, 640000, 1280000, 2560000, 5120000, 10240000,
           20480000, 40960000, 81920000);
static const struct metric_bounds first_token_bounds =
    BOUNDS(1000, 5000, 10000, 20000, 40000, 60000, 80000, 100000, 250000, 500000, 750000, 1000000,
           2500000, 5000000, 7500000, 10000000);
static const struct metric_bounds output_token_bounds =
    BOUNDS(10000, 25000, 50000, 75000, 100000, 150000, 200000, 300000, 400000, 500000, 750000,
           1000000, 2500000);

const struct metric_bounds *metric_bounds(enum metric m)
{
    switch (m) {
    case METRIC_AI_TOKEN_USAGE:
        return &token_bounds;
    case METRIC_AI_SERVER_DURATION:
        return &operation_bounds;
    case METRIC_AI_FIRST_TOKEN:
        return &first_token_bounds;
    case METRIC_AI_OUTPUT_TOKEN:
        return &output_token_bounds;
    default:
        return &latency_bounds;
    }
}

const char *metric_type_name(enum metric_type type)
{
    static const char *const names[] = {"counter", "gauge", "histogram", "untyped"};

    return names[type];
}

unsigned metric_n_labels(enum metric m)
{
    unsigned n = 0;

    while (n < METRIC_LABELS_MAX && metric_rows[m].labels[n])
        n++;
    return n;
}

void metrics_init(struct metrics *m)
{
    *m = (struct metrics){0};
    metrics_collect_with(m, process_metrics_collect, NULL);
}

static void metrics_shard_free(struct metrics_shard *s)
{
    struct metric_series *next;

    for (struct metric_series *series = atomic_load(&s->newest); series; series = next) {
        next = atomic_load(&series->next);
        mem_free(series);
    }
    mem_free(s->buckets);
    mem_free(s);
}

void metrics_deinit(struct metrics *m)
{
    while (m->shards) {
        struct metrics_shard *s = m->shards;

        m->shards = s->next;
        metrics_shard_free(s);
    }
    *m = (struct metrics){0};
}

struct metrics_shard *metrics_shard_new(struct metrics *m)
{
    struct metrics_shard *s = MEM_NEW(struct metrics_shard);

    s->key = hash_process_key();
    s->next = m->shards;
    m->shards = s;
    return s;
}

void metrics_collect_with(struct metrics *m, metrics_collect_fn *fn, void *ctx)
{
    ASSERT(m->n_collectors < METRICS_COLLECTORS_MAX);
    m->collectors[m->n_collectors].fn = fn;
    m->collectors[m->n_collectors++].ctx = ctx;
}

/* What identifies a series: metric, then each value behind its length (a value may hold any byte, a
 * NUL too). */
struct metric_identity {
    size_t len;
    char bytes[8 + METRIC_LABELS_MAX * (METRIC_LABEL_BYTES_MAX + 1)];
};

static struct str metric_label_cut(struct str value)
{
    size_t n = MIN(value.len, (size_t)METRIC_LABEL_BYTES_MAX);

    if (value.len == 0)
        return STR("-");
    /* Not in the middle of a UTF-8 sequence. */
    while (n < value.len && n > 0 && ((unsigned char)value.ptr[n] & 0xc0) == 0x80)
        n--;
    return str_slice(value, 0, n);
}

static void metric_identify(enum metric metric, const struct str *labels, unsigned n_labels,
                            struct metric_identity *id)
{
    uint64_t number = metric;

    memcpy(id->bytes, &number, 8);
    id->len = 8;
    for (unsigned i = 0; i < n_labels; i++) {
        struct str value = metric_label_cut(labels[i]);

        id->bytes[id->len++] = (char)value.len;
        memcpy(id->bytes + id->len, value.ptr, value.len);
        id->len += value.len;
    }
}

static bool metric_has_values(const struct metric_series *s, const struct metric_identity *id)
{
    return s->values_len == id->len - 8 && memcmp(s->bytes, id->bytes + 8, s->values_len) == 0;
}

bool metric_series_is(const struct metric_series *s, const struct str *labels)
{
    struct metric_identity id;

    metric_identify(s->metric, labels, metric_n_labels(s->metric), &id);
    return metric_has_values(s, &id);
}

static struct metric_series *metric_series_find(const struct metrics_shard *s, uint64_t hash,
                                                const struct metric_identity *id,
                                                enum metric metric)
{
    struct metric_series *series;

    if (s->n_buckets == 0)
        return NULL;
    for (series = s->buckets[hash & (s->n_buckets - 1)]; series; series = series->chain) {
        if (series->hash == hash && series->metric == metric && metric_has_values(series, id))
            return series;
    }
    return NULL;
}

static void metrics_shard_grow(struct metrics_shard *s)
{
    size_t n = MAX(s->n_buckets * 2, (size_t)METRICS_BUCKETS_MIN);

    mem_free(s->buckets);
    s->buckets = mem_alloc_zero(n * sizeof(struct metric_series *));
    s->n_buckets = n;
    for (struct metric_series *series = atomic_load(&s->newest); series;
         series = atomic_load(&series->next)) {
        series->chain = s->buckets[series->hash & (n - 1)];
        s->buckets[series->hash & (n - 1)] = series;
    }
}

static struct metric_series *metric_series_new(struct metrics_shard *s, uint64_t hash,
                                               const struct metric_identity *id, enum metric metric,
                                               const struct str *labels)
{
    struct buf text = {0};
    struct metric_series *series;
    const struct metric_bounds *bounds;
    size_t n_bucket_bytes;
    struct metric_series *before = atomic_load_explicit(&s->newest, memory_order_relaxed);

    if (s->n_series >= s->n_buckets)
        metrics_shard_grow(s);
    metric_format_labels(metric, labels, &text);
    bounds = metric_rows[metric].type == METRIC_HISTOGRAM ? metric_bounds(metric) : NULL;
    n_bucket_bytes = bounds ? (bounds->n + 1) * sizeof *series->buckets : 0;
    series = mem_alloc_zero(sizeof *series + n_bucket_bytes + id->len - 8 + text.len);
    /* Right behind the value: with thousands of series each cache line is a miss. */
    series->buckets = n_bucket_bytes ? (_Atomic uint64_t *)(series + 1) : NULL;
    series->bounds = bounds;
    series->bytes = (char *)(series + 1) + n_bucket_bytes;
    series->metric = metric;
    series->hash = hash;
    series->values_len = (uint32_t)(id->len - 8);
    series->text_len = (uint32_t)text.len;
    memcpy(series->bytes, id->bytes + 8, series->values_len);
    if (text.len > 0)
        memcpy(series->bytes + series->values_len, text.ptr, text.len);
    buf_deinit(&text);
    series->chain = s->buckets[hash & (s->n_buckets - 1)];
    s->buckets[hash & (s->n_buckets - 1)] = series;
    s->n_series++;
    s->n_of[metric]++;
    atomic_store_explicit(&series->next, before, memory_order_relaxed);
    atomic_store_explicit(&s->newest, series, memory_order_release);
    return series;
}

/* Values that the program itself chooses from a small set stay as they are. */
static bool metric_label_is_closed(const char *name)
{
    static const char *const names[] = {
        "result",
        "reason",
        "metric",
        "outcome",
        "bound",
        "kind",
        "what",
        "coding",
        "signal",
        "grpc_status",
        "error_type",
        "gen_ai_token_type",
        "response_code",
        "response_code_class",
        "gen_ai_operation_name",
        "gen_ai_provider_name",
    };

    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static void metric_overflow(enum metric metric, const struct str *labels,
                            struct str ret_labels[METRIC_LABELS_MAX])
{
    const struct metric_row *row = &metric_rows[metric];

    for (unsigned i = 0; i < METRIC_LABELS_MAX && row->labels[i]; i++)
        ret_labels[i] = metric_label_is_closed(row->labels[i]) ? labels[i] : STR("other");
}

static uint32_t metric_series_max(enum metric metric)
{
    return metric_rows[metric].type == METRIC_HISTOGRAM ? LIMIT_METRIC_HISTOGRAMS
                                                        : LIMIT_METRIC_SERIES;
}

bool metrics_has(const struct metrics_shard *s, enum metric metric, const struct str *labels)
{
    struct metric_identity id;

    metric_identify(metric, labels, metric_n_labels(metric), &id);
    return metric_series_find(s, hash_sip13(s->key, id.bytes, id.len), &id, metric) != NULL;
}

struct metric_series *metrics_series(struct metrics_shard *s, enum metric metric,
                                     const struct str *labels)
{
    struct str other[METRIC_LABELS_MAX];
    unsigned n_labels = metric_n_labels(metric);
    struct metric_identity id;
    struct metric_series *series;
    uint64_t hash;

    metric_identify(metric, labels, n_labels, &id);
    hash = hash_sip13(s->key, id.bytes, id.len);
    series = metric_series_find(s, hash, &id, metric);
    if (LIKELY(series))
        return series;
    if (s->n_of[metric] < metric_series_max(metric))
        return metric_series_new(s, hash, &id, metric, labels);
    metric_overflow(metric, labels, other);
    metric_identify(metric, other, n_labels, &id);
    hash = hash_sip13(s->key, id.bytes, id.len);
    series = metric_series_find(s, hash, &id, metric);
    if (!series) {
        series = metric_series_new(s, hash, &id, metric, other);
        series->overflow = METRICS_SERIES(s, METRIC_OVERFLOW, str_of(metric_rows[metric].name));
    }
    return series;
}

void metric_observe(struct metric_series *s, uint64_t value)
{
    const struct metric_bounds *bounds = s->bounds;
    unsigned i = 0;

    PRE(bounds);
    while (i < bounds->n && value > bounds->items[i])
        i++;
    atomic_store_explicit(&s->buckets[i],
                          atomic_load_explicit(&s->buckets[i], memory_order_relaxed) + 1,
                          memory_order_relaxed);
    metric_add(s, value);
}
