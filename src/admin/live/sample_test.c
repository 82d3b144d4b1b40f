#include "admin/live/sample.h"

#include <stdio.h>

#include "base/limits.h"
#include "test/harness/test.h"

enum { SECOND = 1000000 };

struct world {
    struct metrics metrics;
    struct metrics_shard *one;
    struct metrics_shard *two;
    struct sample sample;
};

static void world_init(struct world *w)
{
    *w = (struct world){0};
    metrics_init(&w->metrics);
    w->one = metrics_shard_new(&w->metrics);
    w->two = metrics_shard_new(&w->metrics);
}

static void world_deinit(struct world *w)
{
    sample_deinit(&w->sample);
    metrics_deinit(&w->metrics);
}

static void count(struct metrics_shard *m, const char *route, const char *class, uint64_t n)
{
    metric_add(METRICS_SERIES(m, METRIC_REQUESTS, STR("l"), str_of(route), str_of(class)), n);
}

static const struct sample_row *all(const struct world *w)
{
    return sample_find(&w->sample, SAMPLE_ALL, STR(""), STR(""));
}

TEST(what_came_before_the_first_look_has_not_moved)
{
    struct world w;

    world_init(&w);
    count(w.one, "r", "2xx", 5);
    sample_read(&w.sample, &w.metrics, 100 * SECOND);
    CHECK_INT(sample_moved_requests(all(&w)), 0);
    CHECK_INT(sample_all_requests(all(&w)), 5);
    CHECK_INT(sample_window_us(&w.sample), 0);
    world_deinit(&w);
}

TEST(workers_and_routes_add_up_in_a_window)
{
    struct world w;
    const struct sample_row *route;

    world_init(&w);
    count(w.one, "r", "2xx", 5);
    sample_read(&w.sample, &w.metrics, 100 * SECOND);
    count(w.one, "r", "2xx", 1);
    count(w.two, "r", "2xx", 2);
    count(w.two, "r", "5xx", 4);
    count(w.two, "new", "4xx", 8);
    count(w.two, "new", "none", 16);
    sample_read(&w.sample, &w.metrics, 101 * SECOND);
    CHECK_INT(sample_window_us(&w.sample), SECOND);
    CHECK_INT(sample_moved_requests(all(&w)), 31);
    CHECK_INT(sample_moved(all(&w), SAMPLE_2XX), 3);
    CHECK_INT(sample_moved(all(&w), SAMPLE_NO_STATUS), 16);
    route = sample_find(&w.sample, SAMPLE_ROUTE, STR("r"), STR(""));
    CHECK_INT(sample_moved(route, SAMPLE_2XX), 3);
    CHECK_INT(sample_moved(route, SAMPLE_5XX), 4);
    route = sample_find(&w.sample, SAMPLE_ROUTE, STR("new"), STR(""));
    CHECK_INT(sample_moved(route, SAMPLE_4XX), 8);
    CHECK(!sample_find(&w.sample, SAMPLE_ROUTE, STR("other"), STR("")));
    world_deinit(&w);
}

TEST(the_window_moves_on)
{
    struct world w;

    world_init(&w);
    for (unsigned s = 0; s < 60; s++) {
        sample_read(&w.sample, &w.metrics, s * SECOND);
        if (s >= 10) {
            /* One a second, each of them counted behind a reading. */
            CHECK_INT(sample_moved_requests(all(&w)) * SECOND, sample_window_us(&w.sample));
            CHECK(sample_window_us(&w.sample) >= 5ULL * SECOND);
            CHECK(sample_window_us(&w.sample) < 10ULL * SECOND);
        }
        count(w.one, "r", "2xx", 1);
    }
    world_deinit(&w);
}

TEST(percentiles_are_those_of_the_window)
{
    const struct metric_bounds *b = metric_bounds(METRIC_REQUEST_DURATION);
    struct metric_series *series;
    struct world w;

    world_init(&w);
    series = METRICS_SERIES(w.one, METRIC_REQUEST_DURATION, STR("r"));
    for (int i = 0; i < 1000; i++)
        metric_observe_us(series, 100 * SECOND); /* before anybody looked */
    sample_read(&w.sample, &w.metrics, 1 * SECOND);
    CHECK_INT(sample_percentile(all(&w), b, 99), 0);
    for (int i = 0; i < 98; i++)
        metric_observe_us(series, 7000); /* between 5 and 10 ms */
    metric_observe_us(series, 60000);    /* between 50 and 100 */
    metric_observe_us(series, 400 * SECOND);
    sample_read(&w.sample, &w.metrics, 2 * SECOND);
    CHECK_INT(sample_moved_observed(all(&w)), 100);
    CHECK_INT(sample_percentile(all(&w), b, 49), 7500);
    CHECK_INT(sample_percentile(all(&w), b, 98), 10000);
    CHECK_INT(sample_percentile(all(&w), b, 99), 100000);
    CHECK_INT(sample_percentile(all(&w), b, 100), b->items[b->n - 1]);
    world_deinit(&w);
}

TEST(tenants_models_and_first_tokens_are_told_apart)
{
    struct metric_series *first;
    struct world w;

    world_init(&w);
    sample_read(&w.sample, &w.metrics, 1 * SECOND);
    metric_add(METRICS_SERIES(w.one, METRIC_AI_REQUESTS, STR("ab"), STR("c"), STR("200")), 1);
    metric_add(METRICS_SERIES(w.one, METRIC_AI_REQUESTS, STR("a"), STR("bc"), STR("429")), 2);
    metric_add(METRICS_SERIES(w.one, METRIC_AI_TOKENS_PROCESSED_TOTAL, STR("a"), STR("bc")), 10);
    metric_add(METRICS_SERIES(w.two, METRIC_AI_TOKENS_GENERATED_TOTAL, STR("a"), STR("bc")), 20);
    first = METRICS_SERIES(w.two, METRIC_AI_FIRST_TOKEN, STR("chat"), STR("openai"), STR("c"));
    metric_observe_us(first, 900);
    sample_read(&w.sample, &w.metrics, 2 * SECOND);
    CHECK_INT(w.sample.rows[SAMPLE_MODEL].n, 2);
    const struct sample_row *row = sample_find(&w.sample, SAMPLE_MODEL, STR("a"), STR("bc"));

    CHECK_INT(sample_moved(row, SAMPLE_4XX), 2);
    CHECK_INT(row->now[SAMPLE_TOKENS_IN], 10);
    CHECK_INT(row->now[SAMPLE_TOKENS_OUT], 20);
    CHECK_INT(sample_moved(all(&w), SAMPLE_TOKENS_OUT), 20);
    row = sample_find(&w.sample, SAMPLE_FIRST_TOKEN, STR(""), STR(""));
    CHECK_INT(sample_moved_observed(row), 1);
    CHECK_INT(sample_percentile(row, metric_bounds(METRIC_AI_FIRST_TOKEN), 50), 500);
    world_deinit(&w);
}

TEST(rows_are_bounded)
{
    struct world w;

    world_init(&w);
    for (int i = 0; i < LIMIT_LIVE_ROWS + 100; i++) {
        char name[16];

        snprintf(name, sizeof name, "r%d", i);
        count(i % 2 ? w.one : w.two, name, "2xx", 1);
    }
    metric_add(METRICS_SERIES(w.one, METRIC_UPSTREAM_REQUESTS, STR("b"), STR("2xx")), 1);
    sample_read(&w.sample, &w.metrics, 1 * SECOND);
    CHECK_INT(w.sample.rows[SAMPLE_ROUTE].n, LIMIT_LIVE_ROWS);
    CHECK(sample_find(&w.sample, SAMPLE_BACKEND, STR("b"), STR("")));
    CHECK_INT(sample_all_requests(all(&w)), LIMIT_LIVE_ROWS + 100);
    world_deinit(&w);
}
