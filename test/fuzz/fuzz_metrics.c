/* Fuzz target of the exposition of metrics. Lines of the input are label values, three to a series.
 * Beyond not crashing: equal values are one series, and a scrape has no line that the values
 * brought: every line is a comment or `name{labels} number`, whatever quotes and line breaks stand
 * in the values. */
#include "base/assert.h"
#include "telemetry/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const enum metric metrics[] = {METRIC_REFUSALS, METRIC_UPSTREAM_REQUESTS,
                                      METRIC_UPSTREAM_DURATION, METRIC_LIMIT_REFUSALS};

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* A quoted value; *at moves behind it. */
static void check_value(struct str line, size_t *at)
{
    ASSERT(*at < line.len && line.ptr[*at] == '"');
    for ((*at)++; *at < line.len && line.ptr[*at] != '"'; (*at)++) {
        if (line.ptr[*at] != '\\')
            continue;
        (*at)++;
        ASSERT(*at < line.len && memchr("\\\"n", line.ptr[*at], 3));
    }
    ASSERT(*at < line.len);
    (*at)++;
}

static void check_line(struct str line)
{
    size_t at = 0;

    if (str_starts_with(line, STR("# HELP ")) || str_starts_with(line, STR("# TYPE ")))
        return;
    while (at < line.len && is_name(line.ptr[at]))
        at++;
    ASSERT(at > 0 && at < line.len);
    if (line.ptr[at] == '{') {
        do {
            at++;
            while (at < line.len && is_name(line.ptr[at]))
                at++;
            ASSERT(at < line.len && line.ptr[at] == '=');
            at++;
            check_value(line, &at);
        } while (at < line.len && line.ptr[at] == ',');
        ASSERT(at < line.len && line.ptr[at] == '}');
        at++;
    }
    ASSERT(at < line.len && line.ptr[at] == ' ');
    for (at++; at < line.len; at++)
        ASSERT(memchr("0123456789.+-e", line.ptr[at], 14) ||
               str_eq(str_slice(line, at, line.len), STR("+Inf")));
}

static void count(struct metrics_shard *shard, enum metric m, const struct str labels[3])
{
    struct metric_series *s = metrics_series(shard, m, labels);

    ASSERT(metrics_series(shard, m, labels) == s && metrics_has(shard, m, labels));
    if (metric_rows[m].type == METRIC_HISTOGRAM)
        metric_observe(s, 7);
    else
        metric_add(s, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = str_make(bytes, size);
    struct str labels[3] = {STR(""), STR(""), STR("")};
    struct metrics_shard *shard;
    struct buf out = {0};
    struct metrics m;
    struct str line;

    metrics_init(&m);
    shard = metrics_shard_new(&m);
    /* Values with line breaks too: the separator is another byte. */
    for (unsigned n = 0; n < 64 && str_split(&rest, '|', &labels[n % 3]); n++) {
        for (size_t i = 0; i < N_ELEMENTS(metrics); i++)
            count(shard, metrics[i], labels);
    }
    metrics_format(&m, &out);
    rest = buf_str(&out);
    ASSERT(rest.len == 0 || rest.ptr[rest.len - 1] == '\n');
    rest.len -= rest.len > 0;
    while (str_split(&rest, '\n', &line))
        check_line(line);
    buf_deinit(&out);
    metrics_deinit(&m);
    return 0;
}
