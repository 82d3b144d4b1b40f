/* The part `backends`: each backend of the configuration once, whatever the number of its clusters,
 * those with trouble first. */
#include <stdlib.h>

#include "admin/live/part.h"
#include "gateway/snapshot.h"

enum { BACKEND_SICK_SHOWN = 4 };

struct backend_view {
    struct cluster *cluster; /* the first of its clusters */
    const struct sample_row *moved;
    uint32_t n_endpoints;
    uint32_t n_sick;
    uint32_t n_watched; /* endpoints whose health is */
    uint32_t in_flight;
    bool is_pending;
    bool has_no_address;
    uint64_t trouble; /* what it is sorted by */
    struct str sick[BACKEND_SICK_SHOWN], why[BACKEND_SICK_SHOWN];
};

struct backend_views {
    struct arena arena;
    struct map known; /* endpoints and backends */
    VEC(struct backend_view) items;
};

static void backend_look_at(struct backend_views *v, struct backend_view *view,
                            const struct endpoint *e)
{
    const struct endpoint_state *state = e->state;
    bool is_sick = atomic_load_explicit(&state->health.bits, memory_order_relaxed) != 0;

    view->n_endpoints++;
    view->in_flight += atomic_load_explicit(&state->n_in_flight, memory_order_relaxed);
    view->n_watched += state->health.target != NULL;
    if (!is_sick)
        return;
    if (view->n_sick < BACKEND_SICK_SHOWN) {
        view->sick[view->n_sick] = arena_str(&v->arena, str_of(e->text));
        view->why[view->n_sick] =
            str_of(state->health.target ? health_target_text(state->health.target) : "unhealthy");
    }
    view->n_sick++;
}

static void backend_look(struct backend_views *v, const struct sample *s, struct cluster *c)
{
    struct endpoint_set *set;
    struct backend_view *view;

    if (map_put(&v->known, c->backend->name, c))
        return;
    view = VEC_ADD(&v->arena, &v->items);
    view->cluster = c;
    view->moved = sample_find(s, SAMPLE_BACKEND, c->backend->name, STR(""));
    set = cluster_endpoints(c);
    view->is_pending = set->state == ENDPOINTS_PENDING;
    view->has_no_address = !view->is_pending && set->n == 0;
    for (uint32_t i = 0; i < set->n; i++)
        backend_look_at(v, view, &set->items[i]);
    endpoint_set_unref(set);
    view->trouble = (view->has_no_address || (view->n_sick > 0 && view->n_sick == view->n_endpoints)
                         ? 1ULL << 32
                         : 0) +
                    view->n_sick;
    if (view->moved)
        view->trouble += sample_moved(view->moved, SAMPLE_FAILURES);
}

static int backend_compare(const void *a, const void *b)
{
    const struct backend_view *x = a;
    const struct backend_view *y = b;

    if (x->trouble != y->trouble)
        return x->trouble > y->trouble ? -1 : 1;
    return str_compare(x->cluster->backend->name, y->cluster->backend->name);
}

static void backend_breaker(struct json *j, const struct breaker *b)
{
    uint64_t n_overflows = 0;

    json_u64(j, "connections", bounded_count_get(&b->connections));
    json_bool(j, "breaker", breaker_is_watched(b));
    if (!breaker_is_watched(b))
        return;
    for (int i = 0; i < BREAKER_OVERFLOWS_; i++)
        n_overflows += atomic_load_explicit(&b->n_overflows[i], memory_order_relaxed);
    json_u64(j, "waiting", pending_count(&b->pending));
    json_u64(j, "retries", bounded_count_get(&b->retries));
    json_u64(j, "overflows_ever", n_overflows);
}

static void backend_moved(struct json *j, const struct sample_row *moved)
{
    const struct metric_bounds *b = metric_bounds(METRIC_UPSTREAM_DURATION);

    if (!moved)
        return;
    json_u64(j, "answers", sample_moved_requests(moved));
    json_u64(j, "failed_5xx", sample_moved(moved, SAMPLE_5XX));
    json_u64(j, "no_answer", sample_moved(moved, SAMPLE_FAILURES));
    json_u64(j, "p95_us", sample_percentile(moved, b, 95));
}

static void backend_write(struct json *j, const struct backend_view *view)
{
    part_str(j, "backend", view->cluster->backend->name);
    json_u64(j, "endpoints", view->n_endpoints);
    json_u64(j, "sick", view->n_sick);
    json_bool(j, "watched", view->n_watched > 0);
    if (view->is_pending)
        json_bool(j, "name_pending", true);
    if (view->has_no_address)
        json_bool(j, "no_address", true);
    json_u64(j, "in_flight", view->in_flight);
    backend_breaker(j, &view->cluster->backend->breaker);
    backend_moved(j, view->moved);
    json_open(j, "sick_ones", '[');
    for (uint32_t i = 0; i < MIN(view->n_sick, (uint32_t)BACKEND_SICK_SHOWN); i++) {
        json_open(j, NULL, '{');
        json_str(j, "address", view->sick[i]);
        json_str(j, "health", view->why[i]);
        json_close(j, '}');
    }
    json_close(j, ']');
}

void live_write_backends(struct live *l, struct json *j)
{
    const struct snapshot *s = live_snapshot(l);
    struct backend_views views = {0};
    struct part_list rows;

    arena_init(&views.arena, 16384);
    for (uint32_t i = 0; s && i < s->n_clusters; i++)
        backend_look(&views, &l->sample, s->clusters[i]);
    if (views.items.n > 0)
        qsort(views.items.items, views.items.n, sizeof views.items.items[0], backend_compare);
    part_list_open(&rows, j, "backends", PART_BYTES - 500);
    VEC_FOREACH (&views.items, view) {
        if (!part_row_open(&rows))
            continue;
        backend_write(j, view);
        part_row_close(&rows);
    }
    part_list_close(&rows, "backends_more");
    map_deinit(&views.known);
    arena_deinit(&views.arena);
}
