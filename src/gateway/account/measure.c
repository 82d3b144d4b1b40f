/* Measuring: what an exchange's record adds to the metrics, and what the server's own state shows
 * at a scrape. The tenant is that of a verified claim, never what a client wrote. Of the exchange
 * itself only its plans are asked, for the series that are remembered by them. */
#include <stdio.h>

#include "gateway/account/limit_reading.h"
#include "gateway/account/record.h"
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

static struct series_memo measure_find_upstream(struct metrics_shard *m,
                                                const struct access_record *r)
{
    return (struct series_memo){
        METRICS_SERIES(m, METRIC_UPSTREAM_REQUESTS, r->upstream_cluster,
                       measure_class(r->upstream_status)),
        METRICS_SERIES(m, METRIC_UPSTREAM_DURATION, r->upstream_cluster),
    };
}

static void measure_upstream(struct exchange *x, const struct access_record *r)
{
    struct metrics_shard *m = x->worker->metrics;
    bool is_usual = r->upstream_status / 100 == 2;
    struct series_memo *memo = is_usual ? measure_memo(x, x->backend->number) : NULL;
    struct series_memo series;

    if (r->has_upstream) {
        series = memo && memo->requests ? *memo : measure_find_upstream(m, r);
        if (memo)
            *memo = series;
        metric_add(series.requests, 1);
        metric_observe_us(series.duration, r->upstream_us);
    }
    if (r->upstream_error.len > 0)
        metric_add(
            METRICS_SERIES(m, METRIC_UPSTREAM_FAILURES, r->upstream_cluster, r->upstream_error), 1);
}

void worker_count_attempt(struct exchange *x)
{
    struct access_record r = {0};

    record_fill_attempt(x, &r);
    measure_upstream(x, &r);
}

static struct series_memo measure_find_route(struct metrics_shard *m, const struct access_record *r)
{
    struct str class = measure_class(r->status);

    return (struct series_memo){
        METRICS_SERIES(m, METRIC_REQUESTS, r->listener_name, r->route_name, class),
        METRICS_SERIES(m, METRIC_REQUEST_DURATION, r->route_name),
    };
}

static void measure_route(struct exchange *x, const struct access_record *r)
{
    bool is_usual = x->rule && r->status / 100 == 2;
    struct series_memo *memo = is_usual ? measure_memo(x, x->rule->number) : NULL;
    struct series_memo series =
        memo && memo->requests ? *memo : measure_find_route(x->worker->metrics, r);

    if (memo)
        *memo = series;
    metric_add(series.requests, 1);
    metric_observe_us(series.duration, r->duration_us);
}

/* A server of gRPC says 200 of what it does not have, too. */
static bool measure_is_well(const struct exchange *x, const struct access_record *r)
{
    if (x->is_grpc && (!r->has_grpc_status || r->grpc_status != GRPC_STATUS_OK))
        return false;
    return r->status / 100 == 2;
}

/* Anyone may ask for models that nobody serves. A name makes a series of its own when the rule
 * names it, or once a request for it was answered well. */
static struct str measure_model(const struct exchange *x, const struct access_record *r)
{
    struct metrics_shard *m = x->worker->metrics;

    if (r->is_model_named || measure_is_well(x, r) ||
        METRICS_HAS(m, METRIC_AI_REQUESTS, r->tenant, r->model, STR("200")))
        return r->model;
    return STR("other");
}

/* Names differ in their ends; where two share a place, each finds it taken by the other. */
static unsigned measure_place(const struct access_record *r, struct str model)
{
    unsigned place = r->operation.len > 0 ? (unsigned char)r->operation.ptr[0] : 0;

    for (size_t i = 1; i <= MIN(r->tenant.len, (size_t)8); i++)
        place = place * 31 + (unsigned char)r->tenant.ptr[r->tenant.len - i];
    for (size_t i = 1; i <= MIN(model.len, (size_t)8); i++)
        place = place * 31 + (unsigned char)model.ptr[model.len - i];
    return place % WORKER_AI_SERIES;
}

/* `unusual`: for what is not worth a place. */
static struct ai_series *measure_find_ai(struct worker *w, const struct access_record *r,
                                         struct str model, struct ai_series *unusual)
{
    struct metrics_shard *m = w->metrics;
    struct ai_series *s = r->status == 200 ? &w->ai_series[measure_place(r, model)] : unusual;
    char room[4];
    struct str code = measure_code(r->status, room);

    if (!s->requests || s->operation != r->operation.ptr || s->provider != r->provider.ptr ||
        !METRIC_SERIES_IS(s->requests, r->tenant, model, code))
        *s = (struct ai_series){
            .requests = METRICS_SERIES(m, METRIC_AI_REQUESTS, r->tenant, model, code),
            .duration = METRICS_SERIES(m, METRIC_AI_DURATION, r->tenant, model),
            .operation = r->operation.ptr,
            .provider = r->provider.ptr,
        };
    return s;
}

/* Estimates too: the sum is what was worked, and what limits charge. */
static void measure_usage(struct metrics_shard *m, const struct access_record *r, struct str model,
                          struct ai_series *s)
{
    uint64_t input = (uint64_t)MAX(r->tokens_in, (int64_t)0);
    uint64_t output = (uint64_t)MAX(r->tokens_out, (int64_t)0);

    if (!s->processed)
        s->processed = METRICS_SERIES(m, METRIC_AI_TOKENS_PROCESSED_TOTAL, r->tenant, model);
    if (!s->generated)
        s->generated = METRICS_SERIES(m, METRIC_AI_TOKENS_GENERATED_TOTAL, r->tenant, model);
    if (!s->input)
        s->input = METRICS_SERIES(m, METRIC_AI_TOKEN_USAGE, r->operation, r->provider, STR("input"),
                                  model);
    if (!s->output)
        s->output = METRICS_SERIES(m, METRIC_AI_TOKEN_USAGE, r->operation, r->provider,
                                   STR("output"), model);
    metric_add(s->processed, input);
    metric_add(s->generated, output);
    metric_observe(s->input, input);
    metric_observe(s->output, output);
}

/* error.type of the conventions; empty: it went well. */
static struct str measure_error(const struct exchange *x, const struct access_record *r,
                                char room[4])
{
    if (r->status == 0 || x->cancel != CANCEL_NONE || x->is_answer_broken)
        return STR("aborted");
    return r->status / 100 == 2 ? STR("") : measure_code(r->status, room);
}

static void measure_server_duration(const struct exchange *x, const struct access_record *r,
                                    struct str model, struct ai_series *s)
{
    char room[4];
    struct str error = measure_error(x, r, room);
    struct metric_series *series = error.len == 0 ? s->server_duration : NULL;

    if (!series)
        series = METRICS_SERIES(x->worker->metrics, METRIC_AI_SERVER_DURATION, r->operation,
                                r->provider, model, error);
    if (error.len == 0)
        s->server_duration = series;
    metric_observe_us(series, r->duration_us);
}

/* How soon the answer began, and how fast it went on: of a stream, since a document comes whole. */
static void measure_pace(struct metrics_shard *m, const struct access_record *r, struct str model,
                         struct ai_series *s)
{
    uint64_t first_us = (uint64_t)r->first_token_us;

    if (!s->first_token)
        s->first_token = METRICS_SERIES(m, METRIC_AI_FIRST_TOKEN, r->operation, r->provider, model);
    metric_observe_us(s->first_token, first_us);
    if (!r->is_stream || r->tokens_out < 2 || r->duration_us < first_us)
        return;
    if (!s->output_token)
        s->output_token =
            METRICS_SERIES(m, METRIC_AI_OUTPUT_TOKEN, r->operation, r->provider, model);
    metric_observe_us(s->output_token, (r->duration_us - first_us) / (uint64_t)(r->tokens_out - 1));
}

static void measure_ai(struct exchange *x, const struct access_record *r)
{
    struct metrics_shard *m = x->worker->metrics;
    struct str model = measure_model(x, r);
    struct ai_series unusual = {0};
    struct ai_series *s = measure_find_ai(x->worker, r, model, &unusual);

    metric_add(s->requests, 1);
    metric_observe_us(s->duration, r->duration_us);
    if (r->operation.len == 0) /* a model of a route that is none of AI */
        return;
    measure_server_duration(x, r, model, s);
    if (r->tokens_source.len > 0)
        measure_usage(m, r, model, s);
    if (r->first_token_us != LOG_TOKENS_UNKNOWN)
        measure_pace(m, r, model, s);
}

static struct str measure_grpc_status(const struct access_record *r)
{
    if (!r->has_grpc_status)
        return STR("none");
    return r->grpc_snake.len > 0 ? r->grpc_snake : STR("other");
}

void worker_count_exchange(struct exchange *x, const struct access_record *r)
{
    measure_route(x, r);
    /* Where no rule took the request its model is a client's invention: no series for that. */
    if (r->route_name.len > 0 && r->model.len > 0)
        measure_ai(x, r);
    if (x->is_grpc)
        metric_add(METRICS_SERIES(x->worker->metrics, METRIC_GRPC_CALLS, r->route_name,
                                  measure_grpc_status(r)),
                   1);
    if (r->refusal.len > 0)
        metric_add(METRICS_SERIES(x->worker->metrics, METRIC_REFUSALS, r->refusal), 1);
    if (r->upstream_cluster.len > 0)
        measure_upstream(x, r);
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

static void measure_backend(struct metrics_scrape *scrape, const struct backend_state *b)
{
    const struct breaker *breaker = &b->breaker;

    METRICS_EMIT(scrape, METRIC_UPSTREAM_CONNECTIONS, bounded_count_get(&breaker->connections),
                 b->name);
    if (!breaker_is_watched(breaker))
        return;
    METRICS_EMIT(scrape, METRIC_BREAKER_REQUESTS, bounded_count_get(&breaker->requests), b->name);
    METRICS_EMIT(scrape, METRIC_BREAKER_PENDING, pending_count(&breaker->pending), b->name);
    for (int i = 0; i < BREAKER_OVERFLOWS_; i++)
        METRICS_EMIT(scrape, METRIC_BREAKER_OVERFLOWS,
                     (double)atomic_load_explicit(&breaker->n_overflows[i], memory_order_relaxed),
                     b->name, str_of(breaker_overflow_word((enum breaker_overflow)i)));
}

static void measure_clusters(struct metrics_scrape *scrape, const struct snapshot *s)
{
    struct map known = {0}; /* one backend may have many clusters, for many rules: it counts once */

    for (uint32_t i = 0; s && i < s->n_clusters; i++) {
        struct backend_state *b = s->clusters[i]->backend;

        if (!map_put(&known, b->name, b))
            measure_backend(scrape, b);
    }
    map_deinit(&known);
}

static void measure_probes(struct metrics_scrape *scrape, const struct health_monitor *m)
{
    static const char *const words[] = {
#define X(name, word) word,
        PROBE_RESULTS(X)
#undef X
    };

    for (size_t i = 0; m->plan.probe.kind != PROBE_KIND_NONE && i < N_ELEMENTS(words); i++)
        METRICS_EMIT(scrape, METRIC_HEALTH_CHECKS, (double)m->n_probes[i], m->backend->name,
                     str_of(words[i]));
}

static void measure_health(struct metrics_scrape *scrape, const struct health_registry *r)
{
    LIST_FOREACH (&r->monitors, node) {
        const struct health_monitor *m = CONTAINER_OF(node, struct health_monitor, node);

        measure_probes(scrape, m);
        METRICS_EMIT(
            scrape, METRIC_EJECTIONS,
            (double)atomic_load_explicit(&m->backend->health.n_ejections, memory_order_relaxed),
            m->backend->name);
        LIST_FOREACH (&m->targets, at) {
            const struct health_target *t = CONTAINER_OF(at, struct health_target, node);

            METRICS_EMIT(scrape, METRIC_ENDPOINT_HEALTHY, health_target_is_well(t),
                         m->backend->name, str_of(t->endpoint->text));
        }
    }
}

/* limit_reading_fn */
static void measure_limit(void *scrape, const struct limit_reading *r)
{
    const struct limit_rule_plan *rule = r->rule;

    if (r->n_keys > 0) {
        METRICS_EMIT(scrape, METRIC_LIMIT_ALLOWED, (double)rule->limit, rule->policy, rule->name,
                     r->route);
        METRICS_EMIT(scrape, METRIC_LIMIT_VALUES, (double)r->n_keys, rule->policy, rule->name,
                     r->route);
    }
    METRICS_EMIT(scrape, METRIC_LIMIT_USED, (double)r->level.used, rule->policy, rule->name,
                 r->route, r->key);
    METRICS_EMIT(scrape, METRIC_LIMIT_RESERVED, (double)r->level.reserved, rule->policy, rule->name,
                 r->route, r->key);
}

static void measure_certificates(struct metrics_scrape *scrape, const struct snapshot *s)
{
    char room[2 * METRIC_LABEL_BYTES_MAX];

    VEC_FOREACH (&s->certificates, fact) {
        int n = snprintf(room, sizeof room, "%.*s/%.*s", STR_ARG(fact->secret->namespace),
                         STR_ARG(fact->secret->name));
        struct str name = str_make(room, MIN((size_t)n, sizeof room - 1));

        METRICS_EMIT(scrape, METRIC_CERTIFICATE_EXPIRY, (double)fact->until_s, name);
    }
}

/* How busy each one is: one that takes all of a processor is the whole gateway's bound. */
static void measure_worker(struct metrics_scrape *scrape, const struct worker *w)
{
    char room[24];
    struct str name = str_make(room, (size_t)snprintf(room, sizeof room, "%u", w->index));
    struct timespec used;

    METRICS_EMIT(scrape, METRIC_WORKER_EXCHANGES,
                 atomic_load_explicit(&w->n_open_exchanges, memory_order_relaxed), name);
    METRICS_EMIT(scrape, METRIC_WORKER_CONNECTIONS,
                 atomic_load_explicit(&w->n_open_connections, memory_order_relaxed), name);
    if (w->cpu_clock != 0 && clock_gettime(w->cpu_clock, &used) == 0)
        METRICS_EMIT(scrape, METRIC_WORKER_CPU, (double)used.tv_sec + (double)used.tv_nsec / 1e9,
                     name);
}

static void measure_exports(struct metrics_scrape *scrape, const struct exporter_registry *r)
{
    static const char *const words[] = {
        [EXPORTER_TRACES] = "traces", [EXPORTER_METRICS] = "metrics"};

    for (int i = 0; i < EXPORTER_SIGNALS_; i++) {
        struct exporter_counts n = exporter_registry_counts(r, (enum exporter_signal)i);
        struct str word = str_of(words[i]);

        METRICS_EMIT(scrape, METRIC_TELEMETRY_ITEMS, (double)n.n_taken, word, STR("taken"));
        METRICS_EMIT(scrape, METRIC_TELEMETRY_ITEMS, (double)n.n_rejected, word, STR("rejected"));
        METRICS_EMIT(scrape, METRIC_TELEMETRY_ITEMS, (double)n.n_failed, word, STR("failed"));
        METRICS_EMIT(scrape, METRIC_TELEMETRY_ITEMS, (double)n.n_overflowed, word,
                     STR("overflowed"));
    }
}

static void measure_collect(struct metrics_scrape *scrape, void *ctx)
{
    struct server *server = ctx;

    METRICS_EMIT(scrape, METRIC_CONNECTIONS_ACTIVE, server_n_connections(server), STR_NULL);
    METRICS_EMIT(scrape, METRIC_OVERLOAD_LEVEL, overload_level(&server->overload), STR_NULL);
    METRICS_EMIT(scrape, METRIC_UPSTREAM_CONNECTIONS_LIMIT, server->overload.upstreams.n_max,
                 STR_NULL);
    METRICS_EMIT(scrape, METRIC_UPSTREAM_CONNECTIONS_SHED,
                 (double)atomic_load(&server->overload.upstreams.n_closed), STR_NULL);
    METRICS_EMIT(scrape, METRIC_MEMORY_LIMIT, (double)server->overload.memory_limit, STR_NULL);
    METRICS_EMIT(scrape, METRIC_EXCHANGES_ACTIVE, server_n_exchanges(server), STR_NULL);
    METRICS_EMIT(scrape, METRIC_GENERATION,
                 server->current ? (double)server->current->generation : 0, STR_NULL);
    METRICS_EMIT(scrape, METRIC_RELOADS, (double)server->n_reloads_ok, measure_ok);
    METRICS_EMIT(scrape, METRIC_RELOADS, (double)server->n_reloads_failed, measure_failed);
    METRICS_EMIT(scrape, METRIC_RELOAD_OK, server->has_refused_reload ? 0 : 1, STR_NULL);
    METRICS_EMIT(scrape, METRIC_RELOAD_TIME, (double)server->swapped_wall_us / 1e6, STR_NULL);
    METRICS_EMIT(scrape, METRIC_LOG_DROPPED, (double)log_writer_n_dropped(&server->log_writer),
                 STR_NULL);
    measure_exports(scrape, &server->exporters);
    measure_feeds(scrape, server);
    for (uint32_t i = 0; i < server->n_workers; i++)
        measure_worker(scrape, server->workers[i]);
    if (server->current)
        limit_readings(server->current, server->loop->now.wall_unix_us, measure_limit, scrape);
    if (server->current)
        measure_certificates(scrape, server->current);
    measure_clusters(scrape, server->current);
    measure_health(scrape, &server->health);
}

void server_measure(struct server *server)
{
    metrics_collect_with(&server->metrics, measure_collect, server);
}
