/* Metrics as OTLP's JSON, since the start and as differences. */
#include "telemetry/otlp/otlp_metrics.h"

#include <jansson.h>

#include "base/limits.h"
#include "telemetry/metrics.h"
#include "test/harness/test.h"

enum { START_US = 1000000, NOW_US = 5000000, LATER_US = 9000000 };

struct heard {
    json_t *items; /* an array of all that was told */
    uint32_t n_points;
    unsigned n_wanted; /* items; 0: all */
};

static bool hear(void *ctx, struct str item, uint32_t n_points)
{
    struct heard *h = ctx;
    json_t *one = json_loadb(item.ptr, item.len, JSON_REJECT_DUPLICATES, NULL);

    CHECK_MSG(one, "%.*s", STR_ARG(item));
    CHECK(item.len <= LIMIT_EXPORT_ITEM_BYTES);
    json_array_append_new(h->items, one);
    h->n_points += n_points;
    return h->n_wanted == 0 || --h->n_wanted > 0;
}

static json_t *tell(struct otlp_metrics *o, const struct metrics *m, int64_t now_us)
{
    struct heard h = {json_array(), 0, 0};

    otlp_metrics_begin(o, m, START_US, now_us);
    otlp_metrics_go_on(o, hear, &h);
    CHECK(!o->telling);
    return h.items;
}

static json_t *find(json_t *items, const char *name)
{
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        if (strcmp(json_string_value(json_object_get(item, "name")), name) == 0)
            return item;
    }
    return NULL;
}

static const json_t *point(json_t *items, const char *name, const char *kind)
{
    const json_t *data = json_object_get(find(items, name), kind);

    return json_array_get(json_object_get(data, "dataPoints"), 0);
}

static int temporality(json_t *items, const char *name, const char *kind)
{
    return (int)json_integer_value(
        json_object_get(json_object_get(find(items, name), kind), "aggregationTemporality"));
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static const char *attribute(const json_t *p, size_t at)
{
    const json_t *a = json_array_get(json_object_get(p, "attributes"), at);

    return text_of(json_object_get(a, "value"), "stringValue");
}

TEST(a_counter_is_a_sum_since_the_start)
{
    struct otlp_metrics o = {0};
    struct metrics m;
    json_t *items;
    const json_t *p;

    metrics_init(&m);
    metric_add(METRICS_SERIES(metrics_shard_new(&m), METRIC_AI_REQUESTS, STR("a \"b\"\\c"),
                              STR("m,n=\"o\""), STR("200")),
               5);
    items = tell(&o, &m, NOW_US);
    p = point(items, "ai_model_requests_total", "sum");
    CHECK_STR(str_of(attribute(p, 0)), "a \"b\"\\c");
    CHECK_STR(str_of(attribute(p, 1)), "m,n=\"o\"");
    CHECK_STR(str_of(attribute(p, 2)), "200");
    CHECK(json_number_value(json_object_get(p, "asDouble")) == 5);
    CHECK_STR(str_of(text_of(p, "startTimeUnixNano")), "1000000000");
    CHECK_STR(str_of(text_of(p, "timeUnixNano")), "5000000000");
    CHECK_INT(temporality(items, "ai_model_requests_total", "sum"), 2);
    CHECK(json_is_true(json_object_get(
        json_object_get(find(items, "ai_model_requests_total"), "sum"), "isMonotonic")));
    CHECK(find(items, "tollgate_build_info"));
    json_decref(items);
    otlp_metrics_deinit(&o);
    metrics_deinit(&m);
}

TEST(untyped_names_are_left_out)
{
    struct otlp_metrics o = {0};
    struct metrics m;
    json_t *items;

    metrics_init(&m);
    metric_add(
        METRICS_SERIES(metrics_shard_new(&m), METRIC_AI_TOKENS_GENERATED_TOTAL, STR("a"), STR("m")),
        7);
    items = tell(&o, &m, NOW_US);
    CHECK(find(items, "ai_model_tokens_generated_total"));
    CHECK(!find(items, "ai_model_tokens_generated"));
    json_decref(items);
    otlp_metrics_deinit(&o);
    metrics_deinit(&m);
}

TEST(differences_are_since_the_time_before)
{
    struct otlp_metrics o = {.counters_as_deltas = true, .histograms_as_deltas = true};
    struct metrics m;

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);
    struct metric_series *counter =
        METRICS_SERIES(s, METRIC_AI_REQUESTS, STR("a"), STR("m"), STR("200"));
    struct metric_series *times = METRICS_SERIES(s, METRIC_REQUEST_DURATION, STR("r"));

    metric_add(counter, 5);
    metric_observe_us(times, 1000);
    json_decref(tell(&o, &m, NOW_US));
    metric_add(counter, 3);
    metric_observe_us(times, 1000);
    metric_observe_us(times, 3000000);
    json_t *items = tell(&o, &m, LATER_US);
    const json_t *p = point(items, "ai_model_requests_total", "sum");

    CHECK(json_number_value(json_object_get(p, "asDouble")) == 3);
    CHECK_STR(str_of(text_of(p, "startTimeUnixNano")), "5000000000");
    CHECK_INT(temporality(items, "ai_model_requests_total", "sum"), 1);
    p = point(items, "tollgate_request_duration_seconds", "histogram");
    CHECK_STR(str_of(text_of(p, "count")), "2");
    CHECK(json_number_value(json_object_get(p, "sum")) > 3.0009 &&
          json_number_value(json_object_get(p, "sum")) < 3.0011);
    CHECK_INT(temporality(items, "tollgate_request_duration_seconds", "histogram"), 1);
    CHECK_INT((int)json_array_size(json_object_get(p, "bucketCounts")),
              (int)json_array_size(json_object_get(p, "explicitBounds")) + 1);
    json_decref(items);
    items = tell(&o, &m, LATER_US + 1);
    p = point(items, "ai_model_requests_total", "sum");
    CHECK(json_number_value(json_object_get(p, "asDouble")) == 0);
    json_decref(items);
    otlp_metrics_deinit(&o);
    metrics_deinit(&m);
}

TEST(many_series_are_told_in_pieces)
{
    struct otlp_metrics o = {0};
    struct heard h = {json_array(), 0, 0};
    struct metrics m;

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);

    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "r%u", i);

        metric_observe_us(METRICS_SERIES(s, METRIC_REQUEST_DURATION, str_make(name, (size_t)n)), 5);
    }
    otlp_metrics_begin(&o, &m, START_US, NOW_US);
    otlp_metrics_go_on(&o, hear, &h);
    CHECK(h.n_points >= 1000);
    CHECK(json_array_size(h.items) > 10);
    json_decref(h.items);
    otlp_metrics_deinit(&o);
    metrics_deinit(&m);
}

/* Who can take no more now gets the rest later, of the same moment, and nothing twice. */
TEST(a_telling_goes_on_where_it_stopped)
{
    struct otlp_metrics o = {.counters_as_deltas = true};
    struct heard h = {json_array(), 0, 0};
    struct metrics m;
    unsigned n_parts = 0;

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);
    struct metric_series *last = NULL;

    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "r%u", i);

        last = METRICS_SERIES(s, METRIC_REFUSALS, str_make(name, (size_t)n));
        metric_add(last, 5);
    }
    otlp_metrics_begin(&o, &m, START_US, NOW_US);
    metric_add(last, 2); /* of the next one */
    for (; o.telling; n_parts++) {
        h.n_wanted = 1;
        otlp_metrics_go_on(&o, hear, &h);
    }
    otlp_metrics_go_on(&o, hear, &h); /* nothing more */
    CHECK(n_parts > 3);
    size_t i, k, n_told = 0;
    json_t *item, *p;

    json_array_foreach(h.items, i, item)
    {
        if (strcmp(text_of(item, "name"), "tollgate_refusals_total") != 0)
            continue;
        json_array_foreach(json_object_get(json_object_get(item, "sum"), "dataPoints"), k, p)
        {
            CHECK(json_number_value(json_object_get(p, "asDouble")) == 5);
            n_told++;
        }
    }
    CHECK_INT(n_told, 1000);
    json_decref(h.items);

    h = (struct heard){json_array(), 0, 0};
    otlp_metrics_begin(&o, &m, START_US, LATER_US);
    otlp_metrics_go_on(&o, hear, &h);
    double sum = 0;

    json_array_foreach(h.items, i, item)
    {
        if (strcmp(text_of(item, "name"), "tollgate_refusals_total") == 0)
            json_array_foreach(json_object_get(json_object_get(item, "sum"), "dataPoints"), k, p)
                sum += json_number_value(json_object_get(p, "asDouble"));
    }
    CHECK(sum == 2);
    json_decref(h.items);

    otlp_metrics_begin(&o, &m, START_US, LATER_US + 1); /* and one that is never finished */
    otlp_metrics_deinit(&o);
    metrics_deinit(&m);
}
