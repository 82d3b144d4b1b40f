/* The part `traffic`: what goes through now, how long it takes, what fails, and the state of the
 * process. Times and counts are those of the sample's window. */
#include <stdlib.h>

#include "admin/admin.h"
#include "admin/endpoints.h"
#include "admin/live/part.h"

enum { TRAFFIC_ROUTES_BYTES = 3000, TRAFFIC_REASONS_BYTES = 1500 };

static void traffic_process(const struct admin *a, struct json *j)
{
    const struct server *server = a->server;
    struct buf why = {0};

    json_text(j, "version", TOLLGATE_VERSION);
    json_u64(j, "now_ms", (uint64_t)server->loop->now.wall_unix_us / 1000);
    json_u64(j, "started_ms", (uint64_t)server->started_wall_us / 1000);
    json_bool(j, "ready", admin_is_ready(a, &why));
    json_bool(j, "draining", a->facts.is_draining || server->is_draining);
    if (why.len > 0)
        part_str(j, "not_ready_because", buf_str(&why));
    json_u64(j, "generation", server->current ? server->current->generation : 0);
    json_u64(j, "serving_since_ms", (uint64_t)server->swapped_wall_us / 1000);
    part_str(j, "last_reload", str_of(a->facts.last_reload));
    json_u64(j, "reloads_failed", server->n_reloads_failed);
    json_u64(j, "workers", server->n_workers);
    json_u64(j, "connections", server_n_connections(server));
    json_u64(j, "in_flight", server_n_exchanges(server));
    json_u64(j, "overload", overload_level(&server->overload));
    buf_deinit(&why);
}

static void traffic_times(struct json *j, const char *name, const struct sample_row *row,
                          const struct metric_bounds *b)
{
    json_open(j, name, '{');
    json_u64(j, "n", sample_moved_observed(row));
    json_u64(j, "p50_us", sample_percentile(row, b, 50));
    json_u64(j, "p95_us", sample_percentile(row, b, 95));
    json_u64(j, "p99_us", sample_percentile(row, b, 99));
    /* Below and beyond these nothing is told apart. */
    json_u64(j, "least_us", b->items[0]);
    json_u64(j, "most_us", b->items[b->n - 1]);
    json_close(j, '}');
}

static void traffic_all(struct json *j, const struct sample_row *all)
{
    json_u64(j, "requests_ever", sample_all_requests(all));
    json_u64(j, "failed_ever", all->now[SAMPLE_5XX]);
    json_u64(j, "requests", sample_moved_requests(all));
    json_u64(j, "ok",
             sample_moved(all, SAMPLE_1XX) + sample_moved(all, SAMPLE_2XX) +
                 sample_moved(all, SAMPLE_3XX));
    json_u64(j, "refused_4xx", sample_moved(all, SAMPLE_4XX));
    json_u64(j, "failed_5xx", sample_moved(all, SAMPLE_5XX));
    json_u64(j, "left", sample_moved(all, SAMPLE_NO_STATUS));
    json_u64(j, "tokens_in", sample_moved(all, SAMPLE_TOKENS_IN));
    json_u64(j, "tokens_out", sample_moved(all, SAMPLE_TOKENS_OUT));
}

/* ---- lists ---- */

/* The most of them first; equal ones by name, so that rows do not jump. */
static int traffic_compare(const void *a, const void *b)
{
    const struct sample_row *x = *(struct sample_row *const *)a;
    const struct sample_row *y = *(struct sample_row *const *)b;
    uint64_t n_x = sample_moved_requests(x);
    uint64_t n_y = sample_moved_requests(y);

    if (n_x != n_y)
        return n_x > n_y ? -1 : 1;
    return str_compare(x->names[0], y->names[0]);
}

static void traffic_sort(struct sample *s, enum sample_kind kind)
{
    if (s->rows[kind].n > 0)
        qsort(s->rows[kind].items, s->rows[kind].n, sizeof(struct sample_row *), traffic_compare);
}

static void traffic_routes(struct sample *s, struct json *j)
{
    const struct metric_bounds *b = metric_bounds(METRIC_REQUEST_DURATION);
    struct part_list rows;

    traffic_sort(s, SAMPLE_ROUTE);
    part_list_open(&rows, j, "routes", TRAFFIC_ROUTES_BYTES);
    VEC_FOREACH (&s->rows[SAMPLE_ROUTE], row) {
        if (sample_moved_requests(*row) == 0 || !part_row_open(&rows))
            continue;
        part_str(j, "route", (*row)->names[0]);
        json_u64(j, "requests", sample_moved_requests(*row));
        json_u64(j, "refused_4xx", sample_moved(*row, SAMPLE_4XX));
        json_u64(j, "failed_5xx", sample_moved(*row, SAMPLE_5XX));
        json_u64(j, "p50_us", sample_percentile(*row, b, 50));
        json_u64(j, "p95_us", sample_percentile(*row, b, 95));
        part_row_close(&rows);
    }
    part_list_close(&rows, "routes_more");
}

static struct str traffic_sentence(struct str code)
{
    for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT_; i++) {
        const struct refusal_row *row = refusal_row((enum refusal)i);

        if (str_eq(str_of(row->code), code))
            return str_of(row->text);
    }
    return STR("");
}

static void traffic_reasons(struct sample *s, struct json *j)
{
    struct part_list rows;

    traffic_sort(s, SAMPLE_REASON);
    part_list_open(&rows, j, "reasons", TRAFFIC_REASONS_BYTES);
    VEC_FOREACH (&s->rows[SAMPLE_REASON], row) {
        if (sample_moved_requests(*row) == 0 || !part_row_open(&rows))
            continue;
        json_str(j, "code", (*row)->names[0]);
        json_u64(j, "requests", sample_moved_requests(*row));
        json_str(j, "sentence", traffic_sentence((*row)->names[0]));
        part_row_close(&rows);
    }
    part_list_close(&rows, "reasons_more");
}

void live_write_traffic(struct live *l, struct json *j)
{
    struct sample *s = &l->sample;
    const struct sample_row *all = sample_find(s, SAMPLE_ALL, STR(""), STR(""));
    const struct sample_row *first = sample_find(s, SAMPLE_FIRST_TOKEN, STR(""), STR(""));

    traffic_process(l->admin, j);
    json_u64(j, "window_ms", sample_window_us(s) / 1000);
    if (all) {
        traffic_all(j, all);
        traffic_times(j, "duration", all, metric_bounds(METRIC_REQUEST_DURATION));
    }
    if (first)
        traffic_times(j, "first_token", first, metric_bounds(METRIC_AI_FIRST_TOKEN));
    traffic_routes(s, j);
    traffic_reasons(s, j);
}
