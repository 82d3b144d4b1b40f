/* The parts `limits` and `usage`: what rate limits stand at, the fullest first; and what each
 * tenant has used of each model. Both of verified claims: what clients choose themselves is hidden
 * by limit_readings. */
#include <stdlib.h>

#include "admin/admin.h"
#include "admin/live/part.h"
#include "gateway/account/limit_reading.h"

/* ---- limits ---- */

struct limit_view {
    const struct limit_rule_plan *rule;
    struct str route;
    struct str key;
    struct str scope;
    struct bucket_level level;
    double part; /* of it that is used or reserved */
};

struct limit_views {
    struct arena arena;
    VEC(struct limit_view) items;
    uint64_t n_values; /* of all counters, those not read included */
};

/* limit_reading_fn */
static void limit_look(void *ctx, const struct limit_reading *r)
{
    struct limit_views *v = ctx;
    double taken = (double)r->level.used + (double)r->level.reserved;
    struct limit_view *view = VEC_ADD(&v->arena, &v->items);

    v->n_values += r->n_keys;
    view->rule = r->rule;
    view->route = r->route;
    view->key = arena_str(&v->arena, r->key);
    view->scope = arena_str(&v->arena, r->scope);
    view->level = r->level;
    view->part = taken / (double)MAX(r->rule->limit, (uint64_t)1);
}

static int limit_compare(const void *a, const void *b)
{
    const struct limit_view *x = a;
    const struct limit_view *y = b;
    int by_key = str_compare(x->key, y->key);

    if (x->part > y->part || x->part < y->part)
        return x->part > y->part ? -1 : 1;
    return by_key != 0 ? by_key : str_compare(x->rule->name, y->rule->name);
}

/* What is counted: of an answer's cost the name says what it is. */
static struct str limit_unit(const struct limit_rule_plan *rule)
{
    if (rule->response.source == LIMIT_COST_METADATA)
        return rule->response.key;
    if (rule->request.source == LIMIT_COST_METADATA)
        return rule->request.key;
    return STR("requests");
}

static void limit_write(struct json *j, const struct limit_view *view, int64_t now_s)
{
    part_str(j, "who", view->key);
    part_str(j, "scope", view->scope);
    part_str(j, "policy", view->rule->policy);
    part_str(j, "rule", view->rule->name);
    part_str(j, "route", view->route);
    part_str(j, "unit", limit_unit(view->rule));
    json_u64(j, "limit", view->rule->limit);
    json_u64(j, "used", view->level.used);
    json_u64(j, "reserved", view->level.reserved);
    json_u64(j, "window_s", view->rule->window_s);
    /* Not how long that is, which would be another each second. */
    json_u64(j, "resets_at_s", (uint64_t)now_s + view->level.reset_s);
    json_bool(j, "only_counts", view->rule->is_shadow);
}

void live_write_limits(struct live *l, struct json *j)
{
    const struct server *server = l->admin->server;
    struct limit_views views = {0};
    struct part_list rows;

    arena_init(&views.arena, 16384);
    if (server->current)
        limit_readings(server->current, server->loop->now.wall_unix_us, limit_look, &views);
    if (views.items.n > 0)
        qsort(views.items.items, views.items.n, sizeof views.items.items[0], limit_compare);
    part_list_open(&rows, j, "limits", PART_BYTES - 500);
    VEC_FOREACH (&views.items, view) {
        if (!part_row_open(&rows))
            continue;
        limit_write(j, view, clock_wall_s(server->loop->now));
        part_row_close(&rows);
    }
    if (views.n_values > views.items.n)
        rows.n_left_out += views.n_values - views.items.n;
    part_list_close(&rows, "limits_more");
    arena_deinit(&views.arena);
}

/* ---- usage ---- */

static uint64_t usage_tokens(const struct sample_row *r)
{
    return r->now[SAMPLE_TOKENS_IN] + r->now[SAMPLE_TOKENS_OUT];
}

/* Those with the most tokens first: they change places rarely. */
static int usage_compare(const void *a, const void *b)
{
    const struct sample_row *x = *(struct sample_row *const *)a;
    const struct sample_row *y = *(struct sample_row *const *)b;
    int by_tenant = str_compare(x->names[0], y->names[0]);

    if (usage_tokens(x) != usage_tokens(y))
        return usage_tokens(x) > usage_tokens(y) ? -1 : 1;
    return by_tenant != 0 ? by_tenant : str_compare(x->names[1], y->names[1]);
}

void live_write_usage(struct live *l, struct json *j)
{
    struct sample *s = &l->sample;
    struct part_list rows;

    if (s->rows[SAMPLE_MODEL].n > 0)
        qsort(s->rows[SAMPLE_MODEL].items, s->rows[SAMPLE_MODEL].n, sizeof(struct sample_row *),
              usage_compare);
    part_list_open(&rows, j, "usage", PART_BYTES - 500);
    VEC_FOREACH (&s->rows[SAMPLE_MODEL], row) {
        if (!part_row_open(&rows))
            continue;
        part_str(j, "tenant", (*row)->names[0]);
        part_str(j, "model", (*row)->names[1]);
        json_u64(j, "requests_ever", sample_all_requests(*row));
        json_u64(j, "requests", sample_moved_requests(*row));
        json_u64(j, "refused_4xx", sample_moved(*row, SAMPLE_4XX));
        json_u64(j, "failed_5xx", sample_moved(*row, SAMPLE_5XX));
        json_u64(j, "tokens_in_ever", (*row)->now[SAMPLE_TOKENS_IN]);
        json_u64(j, "tokens_out_ever", (*row)->now[SAMPLE_TOKENS_OUT]);
        json_u64(j, "tokens",
                 sample_moved(*row, SAMPLE_TOKENS_IN) + sample_moved(*row, SAMPLE_TOKENS_OUT));
        part_row_close(&rows);
    }
    part_list_close(&rows, "usage_more");
}
