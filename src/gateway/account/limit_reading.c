/* See limit_reading.h. A counter that several route rules share is read once. The values are copied
 * under its locks and told after them. */
#include "gateway/account/limit_reading.h"

#include "base/limits.h"
#include "base/map.h"

struct reading_walk {
    struct arena arena;
    struct map known; /* counters */
    int64_t now_wall_us;
    limit_reading_fn *fn;
    void *ctx;
    size_t n_left;
};

struct reading_value {
    struct str key;
    struct bucket_level level;
};

struct reading_values {
    struct arena *arena;
    VEC(struct reading_value) values;
};

/* limit_look_fn, under the counter's locks. */
static void reading_note(void *ctx, struct str key, const struct bucket_level *level)
{
    struct reading_values *v = ctx;

    VEC_PUSH(v->arena, &v->values, ((struct reading_value){arena_str(v->arena, key), *level}));
}

/* Only what the gateway itself writes, of verified claims and the body; anybody may choose the
 * rest, and put a secret there. limit_may_show_fn */
static bool reading_may_show(const void *listener, struct str name)
{
    const struct listener_plan *l = listener;

    return name_set_has(&l->late_headers, name) && !name_set_has(&l->credential_names, name);
}

static void reading_tell(struct reading_walk *w, const struct listener_plan *listener,
                         const struct reading_value *v, struct limit_reading *reading)
{
    struct buf text = {0};

    limit_rule_format_key(&reading->rule->rule, v->key, reading_may_show, listener, &text);
    reading->key = buf_str(&text);
    reading->level = v->level;
    w->fn(w->ctx, reading);
    reading->n_keys = 0;
    buf_deinit(&text);
}

static void reading_counter(struct reading_walk *w, const struct listener_plan *listener,
                            const struct rule_plan *rule, uint32_t i)
{
    const struct limit_set *set = rule->limits->set;
    struct limit_counter *c = rule->limits->counters[i];
    struct limit_reading reading = {.rule = &set->rules[i],
                                    .route = set->rules[i].counter ? STR("") : rule->log_name};
    struct reading_values values = {.arena = &w->arena};
    struct buf scope = {0};
    size_t n = MIN(w->n_left, (size_t)LIMIT_READINGS_PER_COUNTER);

    if (!c || map_put(&w->known, arena_str(&w->arena, str_make((const char *)&c, sizeof c)), c))
        return;
    reading.n_keys = set->store->ops->look(set->store, c, n, w->now_wall_us, reading_note, &values);
    w->n_left -= values.values.n;
    limit_rule_format_scope(&reading.rule->rule, reading_may_show, listener, &scope);
    reading.scope = buf_str(&scope);
    VEC_FOREACH (&values.values, v)
        reading_tell(w, listener, v, &reading);
    buf_deinit(&scope);
}

static void reading_listener(struct reading_walk *w, const struct listener_plan *l)
{
    for (uint32_t i = 0; i < l->n_route_plans; i++) {
        const struct route_plan *route = l->route_plans[i];

        for (uint32_t k = 0; k < route->n_rules; k++) {
            const struct rule_plan *rule = &route->rules[k];

            for (uint32_t n = 0; rule->limits && n < rule->limits->set->n_rules; n++)
                reading_counter(w, l, rule, n);
        }
    }
}

void limit_readings(const struct snapshot *s, int64_t now_wall_us, limit_reading_fn *fn, void *ctx)
{
    struct reading_walk w = {
        .now_wall_us = now_wall_us, .fn = fn, .ctx = ctx, .n_left = LIMIT_READINGS};

    arena_init(&w.arena, 16384);
    for (uint32_t i = 0; i < s->n_ports; i++) {
        for (uint32_t k = 0; k < s->ports[i].n_listeners; k++)
            reading_listener(&w, s->ports[i].listeners[k]);
    }
    map_deinit(&w.known);
    arena_deinit(&w.arena);
}
