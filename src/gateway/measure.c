/* Measuring: what an exchange adds to the metrics at its end, and what the server's own state shows
 * at a scrape. The tenant is that of a verified claim, never what a client wrote. */
#include "gateway/ai/ai_answer.h"
#include "gateway/server.h"

static struct str measure_class(uint16_t status)
{
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

    return str_of(classes[status / 100 < 6 ? status / 100 : 0]);
}

static struct str measure_code(uint16_t status, char room[4])
{
    room[0] = (char)('0' + status / 100 % 10);
    room[1] = (char)('0' + status / 10 % 10);
    room[2] = (char)('0' + status % 10);
    return str_make(room, 3);
}

/* A pinned exchange has none: its snapshot is gone. */
static struct series_memo *measure_memo(struct exchange *x, uint32_t number)
{
    return x->hold ? &x->hold->memos[number] : NULL;
}

static struct series_memo measure_find_upstream(struct exchange *x)
{
    struct metrics_shard *m = x->worker->metrics;

    return (struct series_memo){
        METRICS_SERIES(m, METRIC_UPSTREAM_REQUESTS, x->backend->name,
                       measure_class(x->attempt.response.status)),
        METRICS_SERIES(m, METRIC_UPSTREAM_DURATION, x->backend->name),
    };
}

static void measure_upstream(struct exchange *x)
{
    bool is_usual = x->attempt.response.status / 100 == 2;
    struct series_memo *memo = is_usual ? measure_memo(x, x->backend->number) : NULL;
    struct series_memo series;

    if (x->first_byte_us > 0) {
        series = memo && memo->requests ? *memo : measure_find_upstream(x);
        if (memo)
            *memo = series;
        metric_add(series.requests, 1);
        metric_observe_us(series.duration, x->first_byte_us - x->upstream_us);
    }
    if (x->failure != ATTEMPT_OK)
        metric_add(METRICS_SERIES(x->worker->metrics, METRIC_UPSTREAM_FAILURES, x->backend->name,
                                  str_of(attempt_failure_rows[x->failure].word)),
                   1);
}

static struct series_memo measure_find_route(struct exchange *x, uint16_t status)
{
    struct metrics_shard *m = x->worker->metrics;
    struct str route = x->rule ? x->rule->log_name : STR("-");
    struct str listener = x->listener ? x->listener->name : STR("-");

    return (struct series_memo){
        METRICS_SERIES(m, METRIC_REQUESTS, listener, route, measure_class(status)),
        METRICS_SERIES(m, METRIC_REQUEST_DURATION, route),
    };
}

static void measure_route(struct exchange *x, uint16_t status, uint64_t us)
{
    bool is_usual = x->rule && status / 100 == 2;
    struct series_memo *memo = is_usual ? measure_memo(x, x->rule->number) : NULL;
    struct series_memo series = memo && memo->requests ? *memo : measure_find_route(x, status);

    if (memo)
        *memo = series;
    metric_add(series.requests, 1);
    metric_observe_us(series.duration, us);
}

/* Anyone may ask for models that nobody serves. A name makes a series of its own when the rule
 * names it, or once a request for it was answered well. */
static struct str measure_model(const struct exchange *x, uint16_t status)
{
    if (x->is_model_named || status / 100 == 2 ||
        METRICS_HAS(x->worker->metrics, METRIC_AI_REQUESTS, x->tenant, x->model, STR("200")))
        return x->model;
    return STR("other");
}

/* Names differ in their ends; where two share a place, each finds it taken by the other. */
static unsigned measure_place(struct str tenant, struct str model)
{
    unsigned place = 0;

    for (size_t i = 1; i <= MIN(tenant.len, (size_t)8); i++)
        place = place * 31 + (unsigned char)tenant.ptr[tenant.len - i];
    for (size_t i = 1; i <= MIN(model.len, (size_t)8); i++)
        place = place * 31 + (unsigned char)model.ptr[model.len - i];
    return place % WORKER_AI_SERIES;
}

/* `unusual`: for what is not worth a place. */
static struct ai_series *measure_find_ai(struct exchange *x, uint16_t status, struct str model,
                                         struct ai_series *unusual)
{
    struct metrics_shard *m = x->worker->metrics;
    struct ai_series *s =
        status == 200 ? &x->worker->ai_series[measure_place(x->tenant, model)] : unusual;
    char code[4];
    struct str code_text = measure_code(status, code);

    if (!s->requests || !METRIC_SERIES_IS(s->requests, x->tenant, model, code_text))
        *s = (struct ai_series){
            .requests = METRICS_SERIES(m, METRIC_AI_REQUESTS, x->tenant, model, code_text),
            .duration = METRICS_SERIES(m, METRIC_AI_DURATION, x->tenant, model),
        };
    return s;
}

/* Estimates too: the sum is what was worked, and what limits charge. */
static void measure_usage(struct exchange *x, struct str model, struct ai_series *s)
{
    struct metrics_shard *m = x->worker->metrics;
    uint64_t input = (uint64_t)x->usage.input;
    uint64_t output = (uint64_t)x->usage.output;

    if (!s->processed)
        s->processed = METRICS_SERIES(m, METRIC_AI_TOKENS_PROCESSED_TOTAL, x->tenant, model);
    if (!s->generated)
        s->generated = METRICS_SERIES(m, METRIC_AI_TOKENS_GENERATED_TOTAL, x->tenant, model);
    if (!s->input)
        s->input = METRICS_SERIES(m, METRIC_AI_TOKEN_USAGE, STR("input"), model);
    if (!s->output)
        s->output = METRICS_SERIES(m, METRIC_AI_TOKEN_USAGE, STR("output"), model);
    metric_add(s->processed, input);
    metric_add(s->generated, output);
    metric_observe(s->input, input);
    metric_observe(s->output, output);
}

static void measure_first_token(struct exchange *x, struct str model, struct ai_series *s)
{
    if (!s->first_token)
        s->first_token = METRICS_SERIES(x->worker->metrics, METRIC_AI_FIRST_TOKEN, model);
    metric_observe_us(s->first_token, x->answer->first_content_us - x->started_us);
}

static void measure_ai(struct exchange *x, uint16_t status, uint64_t us)
{
    struct str model = measure_model(x, status);
    struct ai_series unusual = {0};
    struct ai_series *s = measure_find_ai(x, status, model, &unusual);

    metric_add(s->requests, 1);
    metric_observe_us(s->duration, us);
    if (x->has_usage)
        measure_usage(x, model, s);
    if (x->answer && x->answer->first_content_us > 0)
        measure_first_token(x, model, s);
}

void worker_count_exchange(struct exchange *x)
{
    struct metrics_shard *m = x->worker->metrics;
    uint64_t us = x->worker->loop.now.mono_us - x->started_us;
    uint16_t status = x->is_head_sent ? x->response.status : 0;

    measure_route(x, status, us);
    /* Where no rule took the request its model is a client's invention: no series for that. */
    if (x->rule && x->model.len > 0)
        measure_ai(x, status, us);
    if (x->refusal != REFUSAL_NONE)
        metric_add(METRICS_SERIES(m, METRIC_REFUSALS, str_of(refusal_row(x->refusal)->code)), 1);
    if (x->backend)
        measure_upstream(x);
}

/* ---- at a scrape, on control ---- */

static const struct str measure_ok = {"ok", 2};
static const struct str measure_failed = {"failed", 6};

static void measure_feeds(struct metrics_scrape *scrape, const struct server *server)
{
    const struct snapshot *s = server->current;
    int64_t now_us = server->loop->now.wall_unix_us;

    for (uint32_t i = 0; s && i < s->n_feeds; i++) {
        struct key_feed_facts facts;
        struct str name = s->feeds[i]->config.name;
        bool is_known = false;

        /* One feed may serve several policies: it counts once. */
        for (uint32_t k = 0; k < i; k++)
            is_known |= s->feeds[k] == s->feeds[i];
        if (is_known)
            continue;
        key_feed_read_facts(s->feeds[i], &facts);
        METRICS_EMIT(scrape, METRIC_KEY_SET_KEYS, facts.n_keys, name);
        METRICS_EMIT(scrape, METRIC_KEY_SET_FETCHES, (double)facts.n_fetches_ok, name, measure_ok);
        METRICS_EMIT(scrape, METRIC_KEY_SET_FETCHES, (double)facts.n_fetches_failed, name,
                     measure_failed);
        if (facts.fetched_wall_us > 0)
            METRICS_EMIT(scrape, METRIC_KEY_SET_AGE, (double)(now_us - facts.fetched_wall_us) / 1e6,
                         name);
    }
}

static void measure_clusters(struct metrics_scrape *scrape, const struct snapshot *s)
{
    struct map known = {0}; /* one cluster may serve many rules: it counts once */

    for (uint32_t i = 0; s && i < s->n_clusters; i++) {
        struct cluster *b = s->clusters[i];

        if (!map_put(&known, b->key, b))
            METRICS_EMIT(scrape, METRIC_UPSTREAM_CONNECTIONS,
                         atomic_load_explicit(&b->n_connections, memory_order_relaxed), b->name);
    }
    map_deinit(&known);
}

static void measure_collect(struct metrics_scrape *scrape, void *ctx)
{
    struct server *server = ctx;

    METRICS_EMIT(scrape, METRIC_CONNECTIONS_ACTIVE, server_n_connections(server), STR_NULL);
    METRICS_EMIT(scrape, METRIC_EXCHANGES_ACTIVE, server_n_exchanges(server), STR_NULL);
    METRICS_EMIT(scrape, METRIC_GENERATION,
                 server->current ? (double)server->current->generation : 0, STR_NULL);
    METRICS_EMIT(scrape, METRIC_RELOADS, (double)server->n_reloads_ok, measure_ok);
    METRICS_EMIT(scrape, METRIC_RELOADS, (double)server->n_reloads_failed, measure_failed);
    METRICS_EMIT(scrape, METRIC_RELOAD_TIME, (double)server->swapped_wall_us / 1e6, STR_NULL);
    METRICS_EMIT(scrape, METRIC_LOG_DROPPED, (double)log_writer_n_dropped(&server->log_writer),
                 STR_NULL);
    measure_feeds(scrape, server);
    measure_clusters(scrape, server->current);
}

void server_measure(struct server *server)
{
    metrics_collect_with(&server->metrics, measure_collect, server);
}
