/* Counting, adding up, bounds and the exposition text. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "telemetry/metrics.h"
#include "test/harness/test.h"

static struct str page(const struct metrics *m, struct buf *out)
{
    buf_clear(out);
    metrics_format(m, out);
    return buf_str(out);
}

static bool has(struct str text, const char *line)
{
    return str_find(text, str_of(line)) >= 0;
}

TEST(counters_of_all_shards_are_added)
{
    struct metrics m;
    struct buf out = {0};

    metrics_init(&m);
    struct metrics_shard *a = metrics_shard_new(&m);
    struct metrics_shard *b = metrics_shard_new(&m);

    metric_add(METRICS_SERIES(a, METRIC_AI_REQUESTS, STR("tenant-a"), STR("iris"), STR("200")), 2);
    metric_add(METRICS_SERIES(b, METRIC_AI_REQUESTS, STR("tenant-a"), STR("iris"), STR("200")), 3);
    metric_add(METRICS_SERIES(b, METRIC_AI_REQUESTS, STR("tenant-b"), STR("iris"), STR("403")), 1);

    struct str text = page(&m, &out);

    CHECK(has(text, "\n# TYPE ai_model_requests_total counter\n"
                    "ai_model_requests_total{tenant=\"tenant-a\",model=\"iris\",response_code="
                    "\"200\"} 5\n"
                    "ai_model_requests_total{tenant=\"tenant-b\",model=\"iris\",response_code="
                    "\"403\"} 1\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
    metrics_deinit(&m);
}

TEST(an_untyped_metric_shows_the_counter_behind_it)
{
    struct metrics m;
    struct buf out = {0};

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);

    metric_add(METRICS_SERIES(s, METRIC_AI_TOKENS_GENERATED_TOTAL, STR("a"), STR("m")), 7);

    struct str text = page(&m, &out);

    CHECK(has(text, "\n# TYPE ai_model_tokens_generated untyped\n"
                    "ai_model_tokens_generated{tenant=\"a\",model=\"m\"} 7\n"));
    CHECK(has(text, "\n# TYPE ai_model_tokens_generated_total counter\n"
                    "ai_model_tokens_generated_total{tenant=\"a\",model=\"m\"} 7\n"));
    CHECK(!has(text, "ai_model_tokens_processed"));
    for (unsigned i = 0; i < METRIC_COUNT_; i++) {
        if (metric_rows[i].type == METRIC_UNTYPED)
            CHECK(i + 1 < METRIC_COUNT_ && metric_rows[i + 1].type == METRIC_COUNTER);
    }
    buf_deinit(&out);
    metrics_deinit(&m);
}

TEST(a_series_is_found_again_and_labels_do_not_run_together)
{
    struct metrics m;

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);
    struct metric_series *one = METRICS_SERIES(s, METRIC_AI_DURATION, STR("ab"), STR("c"));

    CHECK(one == METRICS_SERIES(s, METRIC_AI_DURATION, STR("ab"), STR("c")));
    CHECK(one != METRICS_SERIES(s, METRIC_AI_DURATION, STR("a"), STR("bc")));
    CHECK(METRICS_SERIES(s, METRIC_AI_DURATION, str_make("a\0b", 3), STR("c")) !=
          METRICS_SERIES(s, METRIC_AI_DURATION, STR("a"), str_make("b\0c", 3)));
    CHECK(METRICS_SERIES(s, METRIC_TOKENS, STR("x")) !=
          METRICS_SERIES(s, METRIC_REFUSALS, STR("x")));
    CHECK(METRIC_SERIES_IS(one, STR("ab"), STR("c")));
    CHECK(!METRIC_SERIES_IS(one, STR("a"), STR("bc")));
    CHECK(!METRIC_SERIES_IS(one, STR("ab"), STR("c2")));
    CHECK(!METRIC_SERIES_IS(one, STR("ab"), STR("")));
    metrics_deinit(&m);
}

TEST(histograms_are_cumulative_and_in_seconds)
{
    struct metrics m;
    struct buf out = {0};

    metrics_init(&m);
    struct metric_series *s =
        METRICS_SERIES(metrics_shard_new(&m), METRIC_REQUEST_DURATION, STR("r"));

    metric_observe_us(s, 500); /* exactly a bound: inside */
    metric_observe_us(s, 501);
    metric_observe_us(s, 2000000);
    metric_observe_us(s, 400000000); /* beyond the last */

    struct str text = page(&m, &out);

    CHECK(has(text, "seconds_bucket{route=\"r\",le=\"0.0005\"} 1\n"));
    CHECK(has(text, "seconds_bucket{route=\"r\",le=\"0.001\"} 2\n"));
    CHECK(has(text, "seconds_bucket{route=\"r\",le=\"1\"} 2\n"));
    CHECK(has(text, "seconds_bucket{route=\"r\",le=\"2.5\"} 3\n"));
    CHECK(has(text, "seconds_bucket{route=\"r\",le=\"300\"} 3\n"));
    CHECK(has(text, "seconds_bucket{route=\"r\",le=\"+Inf\"} 4\n"));
    CHECK(has(text, "seconds_sum{route=\"r\"} 402.00100"));
    CHECK(has(text, "seconds_count{route=\"r\"} 4\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
}

TEST(histograms_of_tokens_have_bounds_of_their_own)
{
    struct metrics m;
    struct buf out = {0};

    metrics_init(&m);
    struct metric_series *s = METRICS_SERIES(metrics_shard_new(&m), METRIC_AI_TOKEN_USAGE,
                                             STR("chat"), STR("openai"), STR("input"), STR("m"));

    metric_observe(s, 4);
    metric_observe(s, 5);
    metric_observe(s, 1000000000);

    struct str text = page(&m, &out);

    CHECK(has(text, "gen_ai_request_model=\"m\",le=\"4\"} 1\n"));
    CHECK(has(text, "gen_ai_request_model=\"m\",le=\"16\"} 2\n"));
    CHECK(has(text, "gen_ai_request_model=\"m\",le=\"67108864\"} 2\n"));
    CHECK(has(text, "gen_ai_request_model=\"m\",le=\"+Inf\"} 3\n"));
    CHECK(!has(text, "le=\"268435456\""));
    CHECK(has(text, "usage_sum{gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_"
                    "ai_token_type=\"input\",gen_ai_request_model=\"m\"} 1000000009\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
}

/* OpenTelemetry, semantic conventions for generative AI metrics. */
TEST(the_bounds_are_those_of_the_conventions)
{
    static const struct {
        enum metric metric;
        uint32_t n;
        uint64_t first, last;
    } cases[] = {
        {METRIC_AI_TOKEN_USAGE, 14, 1, 67108864},
        {METRIC_AI_SERVER_DURATION, 14, 10000, 81920000},
        {METRIC_AI_FIRST_TOKEN, 16, 1000, 10000000},
        {METRIC_AI_OUTPUT_TOKEN, 13, 10000, 2500000},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        const struct metric_bounds *b = metric_bounds(cases[i].metric);

        CHECK_INT(b->n, cases[i].n);
        CHECK_INT(b->items[0], cases[i].first);
        CHECK_INT(b->items[b->n - 1], cases[i].last);
    }
    for (unsigned m = 0; m < METRIC_COUNT_; m++) {
        const struct metric_bounds *b = metric_bounds((enum metric)m);

        CHECK(b->n > 0 && b->n <= METRIC_BOUNDS_MAX);
        for (uint32_t i = 1; i < b->n; i++)
            CHECK(b->items[i] > b->items[i - 1]);
    }
}

TEST(label_values_cannot_break_the_text)
{
    struct metrics m;
    struct buf out = {0};
    static char longer[400];

    memset(longer, 'x', sizeof longer);
    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);

    metric_add(METRICS_SERIES(s, METRIC_REFUSALS, STR("a\"b\\c\nd\x01\xff\xc3\xa9")), 1);
    metric_add(METRICS_SERIES(s, METRIC_REFUSALS, STR("")), 1);
    metric_add(METRICS_SERIES(s, METRIC_REFUSALS, str_make(longer, sizeof longer)), 1);
    metric_add(METRICS_SERIES(s, METRIC_REFUSALS, str_make(longer, sizeof longer - 1)), 1);

    struct str text = page(&m, &out);

    CHECK(has(text, "tollgate_refusals_total{reason=\"a\\\"b\\\\c\\nd??\xc3\xa9\"} 1\n"));
    CHECK(has(text, "tollgate_refusals_total{reason=\"-\"} 1\n"));
    CHECK(has(text, "xxx\"} 2\n"));
    CHECK(!has(text, "\n\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
}

TEST(too_many_series_are_counted_as_other)
{
    struct metrics m;
    struct buf out = {0};
    char name[32];
    enum { N = LIMIT_METRIC_SERIES + 100 };

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);

    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "model-%d", i);
        metric_add(METRICS_SERIES(s, METRIC_AI_REQUESTS, STR("t"), str_of(name), STR("200")), 1);
    }
    struct str text = page(&m, &out);

    CHECK(has(text, "{tenant=\"other\",model=\"other\",response_code=\"200\"} 100\n"));
    CHECK(has(text, "tollgate_metrics_overflow_total{metric=\"ai_model_requests_total\"} 100\n"));
    CHECK(has(text, "model=\"model-17\",response_code=\"200\"} 1\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
}

/* What is wrong is still seen, if not where. */
TEST(words_of_the_programs_own_stay_when_others_overflow)
{
    struct metrics m;
    struct buf out = {0};
    char name[32];

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);

    for (int i = 0; i < LIMIT_METRIC_SERIES + 3; i++) {
        snprintf(name, sizeof name, "route-%d", i);
        metric_add(METRICS_SERIES(s, METRIC_GRPC_CALLS, str_of(name), STR("INTERNAL")), 1);
        metric_add(METRICS_SERIES(s, METRIC_RETRIES, str_of(name), STR("5xx"), STR("failed")), 1);
    }
    CHECK(has(page(&m, &out), "calls_total{route=\"other\",grpc_status=\"INTERNAL\"} 3\n"));
    CHECK(has(buf_str(&out), "{backend=\"other\",reason=\"5xx\",outcome=\"failed\"} 3\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
}

TEST(histograms_have_a_bound_of_their_own)
{
    struct metrics m;
    struct buf out = {0};
    char name[32];

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);

    for (int i = 0; i < LIMIT_METRIC_HISTOGRAMS + 7; i++) {
        snprintf(name, sizeof name, "route-%d", i);
        metric_observe_us(METRICS_SERIES(s, METRIC_REQUEST_DURATION, str_of(name)), 1);
    }
    struct str text = page(&m, &out);

    CHECK(has(text, "tollgate_request_duration_seconds_count{route=\"other\"} 7\n"));
    CHECK(has(text, "tollgate_metrics_overflow_total{metric="
                    "\"tollgate_request_duration_seconds\"} 7\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
}

/* The rules of the text format, as a scraper that believes nothing reads it. */
static void check_exposition(struct str text)
{
    char name[128] = "";
    struct str line;
    bool has_type = false;

    CHECK(text.len > 0 && text.ptr[text.len - 1] == '\n');
    text.len--;
    while (str_split(&text, '\n', &line)) {
        CHECK(line.len > 0);
        if (str_starts_with(line, STR("# HELP "))) {
            ssize_t end = str_find_char(line, ' ', 7);

            CHECK(end > 7 && end < 120);
            snprintf(name, sizeof name, "%.*s", (int)end - 7, line.ptr + 7);
            has_type = false;
        } else if (str_starts_with(line, STR("# TYPE "))) {
            CHECK(!has_type && str_starts_with(str_slice(line, 7, line.len), str_of(name)));
            has_type = true;
        } else {
            CHECK_MSG(has_type && str_starts_with(line, str_of(name)), "%.*s", STR_ARG(line));
            CHECK(str_find_char(line, ' ', 0) > 0);
        }
    }
}

static void collect(struct metrics_scrape *scrape, void *ctx)
{
    METRICS_EMIT(scrape, METRIC_GENERATION, *(double *)ctx, STR_NULL);
    METRICS_EMIT(scrape, METRIC_KEY_SET_AGE, 1.5, STR("p"));
}

TEST(collectors_are_asked_at_each_scrape)
{
    struct metrics m;
    struct buf out = {0};
    double generation = 7;

    metrics_init(&m);
    metrics_collect_with(&m, collect, &generation);
    CHECK(has(page(&m, &out), "# TYPE tollgate_config_generation gauge\n"
                              "tollgate_config_generation 7\n"));
    CHECK(has(buf_str(&out), "tollgate_key_set_age_seconds{provider=\"p\"} 1.5\n"));
    generation = 8;
    CHECK(has(page(&m, &out), "tollgate_config_generation 8\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
}

static double value_of(struct str text, const char *name)
{
    char wanted[128];
    ssize_t at;

    snprintf(wanted, sizeof wanted, "\n%s ", name);
    at = str_find(text, str_of(wanted));
    CHECK_MSG(at >= 0, "%s is missing", name);
    return strtod(text.ptr + at + strlen(wanted), NULL);
}

TEST(the_process_describes_itself)
{
    struct metrics m;
    struct buf out = {0};

    metrics_init(&m);
    struct str text = page(&m, &out);

    CHECK(value_of(text, "process_resident_memory_bytes") > 100000);
    CHECK(value_of(text, "process_virtual_memory_bytes") > 100000);
    CHECK(value_of(text, "process_open_fds") >= 3);
    CHECK(value_of(text, "process_open_fds") < 20);
    CHECK(value_of(text, "process_max_fds") >= 64);
    double start_s = value_of(text, "process_start_time_seconds");

    CHECK(start_s > 1.6e9 && start_s <= (double)time(NULL) + 1);
    CHECK(value_of(text, "process_cpu_seconds_total") >= 0);
    CHECK(has(text, "tollgate_build_info{version=\""));
    CHECK(value_of(page(&m, &out), "process_start_time_seconds") == start_s);
    buf_deinit(&out);
    metrics_deinit(&m);
}

TEST(every_row_can_be_printed_and_documented)
{
    struct metrics m;
    struct buf out = {0};
    struct str labels[METRIC_LABELS_MAX] = {STR("x"), STR("y"), STR("z")};

    metrics_init(&m);
    struct metrics_shard *s = metrics_shard_new(&m);

    for (unsigned i = 0; i < METRIC_COUNT_; i++) {
        struct metric_series *series = metrics_series(s, (enum metric)i, labels);

        if (metric_rows[i].type == METRIC_HISTOGRAM)
            metric_observe_us(series, 1);
        else
            metric_add(series, 1);
    }
    page(&m, &out);
    check_exposition(buf_str(&out));
    metrics_format_docs(&out);
    for (unsigned i = 0; i < METRIC_COUNT_; i++) {
        char line[256];

        snprintf(line, sizeof line, "# TYPE %s %s\n", metric_rows[i].name,
                 metric_type_name(metric_rows[i].type));
        CHECK_MSG(has(buf_str(&out), line), "%s", line);
        snprintf(line, sizeof line, "| `%s` |", metric_rows[i].name);
        CHECK_MSG(has(buf_str(&out), line), "%s", line);
    }
    buf_deinit(&out);
    metrics_deinit(&m);
}

/* Dashboards and alerts hold these names: a change here is one to announce. */
TEST(names_are_a_promise)
{
    static const char *const names[] = {
        "ai_model_requests_total",
        "ai_model_request_duration_seconds",
        "ai_model_tokens_processed",
        "ai_model_tokens_processed_total",
        "ai_model_tokens_generated",
        "ai_model_tokens_generated_total",
        "gen_ai_client_token_usage",
        "gen_ai_server_request_duration_seconds",
        "gen_ai_server_time_to_first_token_seconds",
        "gen_ai_server_time_per_output_token_seconds",
        "tollgate_requests_total",
        "tollgate_request_duration_seconds",
        "tollgate_refusals_total",
        "tollgate_grpc_calls_total",
        "tollgate_limit_refusals_total",
        "tollgate_limit_allowed",
        "tollgate_limit_used",
        "tollgate_limit_reserved",
        "tollgate_limit_values",
        "tollgate_upstream_requests_total",
        "tollgate_upstream_failures_total",
        "tollgate_upstream_retries_total",
        "tollgate_compressed_answers_total",
        "tollgate_upstream_first_byte_seconds",
        "tollgate_upstream_connections",
        "tollgate_upstream_connections_limit",
        "tollgate_upstream_connections_shed_total",
        "tollgate_name_lookups_total",
        "tollgate_name_addresses_dropped_total",
        "tollgate_circuit_breaker_requests",
        "tollgate_circuit_breaker_pending",
        "tollgate_circuit_breaker_overflows_total",
        "tollgate_endpoint_healthy",
        "tollgate_health_checks_total",
        "tollgate_ejections_total",
        "tollgate_connections_accepted_total",
        "tollgate_proxy_headers_refused_total",
        "tollgate_http2_connections_total",
        "tollgate_http2_floods_total",
        "tollgate_connections_active",
        "tollgate_overload_level",
        "tollgate_shed_total",
        "tollgate_memory_limit_bytes",
        "tollgate_exchanges_active",
        "tollgate_worker_cpu_seconds_total",
        "tollgate_worker_exchanges_active",
        "tollgate_worker_connections_active",
        "tollgate_tokens_total",
        "tollgate_credentials_total",
        "tollgate_external_authorizations_total",
        "tollgate_key_set_fetches_total",
        "tollgate_key_set_age_seconds",
        "tollgate_key_set_keys",
        "tollgate_certificate_expiry_timestamp_seconds",
        "tollgate_reloads_total",
        "tollgate_last_reload_successful",
        "tollgate_last_reload_timestamp_seconds",
        "tollgate_config_generation",
        "tollgate_access_log_dropped_lines_total",
        "tollgate_telemetry_items_total",
        "tollgate_metrics_overflow_total",
        "tollgate_build_info",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
    };

    CHECK_INT(N_ELEMENTS(names), METRIC_COUNT_);
    for (unsigned i = 0; i < METRIC_COUNT_; i++)
        CHECK_MSG(strcmp(metric_rows[i].name, names[i]) == 0, "%s", names[i]);
}

static _Atomic bool must_end;

static void *count_in_a_thread(void *arg)
{
    struct metrics_shard *s = arg;
    char name[32];

    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "m%d", i % 500);
        metric_add(METRICS_SERIES(s, METRIC_REFUSALS, str_of(name)), 1);
        metric_observe_us(METRICS_SERIES(s, METRIC_REQUEST_DURATION, str_of(name)), 5);
    }
    atomic_store(&must_end, true);
    return NULL;
}

TEST(scrapes_run_beside_counting)
{
    struct metrics m;
    struct buf out = {0};
    pthread_t thread;

    metrics_init(&m);
    CHECK(pthread_create(&thread, NULL, count_in_a_thread, metrics_shard_new(&m)) == 0);
    while (!atomic_load(&must_end))
        page(&m, &out);
    pthread_join(thread, NULL);
    CHECK(has(page(&m, &out), "tollgate_refusals_total{reason=\"m499\"} 40\n"));
    buf_deinit(&out);
    metrics_deinit(&m);
}

static double thread_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Of 1 000 series in four shards, a third of them histograms: the page has 7 000 lines. Control has
 * other things to do, too. */
TEST(a_scrape_of_a_thousand_series_takes_five_milliseconds_at_most)
{
    struct metrics m;
    struct buf out = {0};
    double best_ms = 1e9;

    metrics_init(&m);
    for (unsigned i = 0; i < 4; i++) {
        struct metrics_shard *s = metrics_shard_new(&m);

        for (unsigned k = 0; k < 333; k++) {
            char name[32];
            struct str model = str_make(name, (size_t)snprintf(name, sizeof name, "model-%u", k));

            metric_add(METRICS_SERIES(s, METRIC_AI_REQUESTS, STR("tenant"), model, STR("200")), 1);
            metric_add(METRICS_SERIES(s, METRIC_AI_TOKENS_GENERATED_TOTAL, STR("tenant"), model),
                       k);
            metric_observe_us(METRICS_SERIES(s, METRIC_AI_DURATION, STR("tenant"), model), k);
        }
    }
    for (unsigned i = 0; i < 9; i++) {
        double started_ms = thread_ms();

        page(&m, &out);
        best_ms = MIN(best_ms, thread_ms() - started_ms);
    }
    CHECK(has(buf_str(&out), "model=\"model-332\"} 1328\n"));
    CHECK_MSG(best_ms < (IS_SANITIZED ? 200 : 5), "%.2f ms", best_ms);
    buf_deinit(&out);
    metrics_deinit(&m);
}
