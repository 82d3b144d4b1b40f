/* The health of the world's backends: control's part of it, without control's loop. Who ejects is
 * the worker; who lets back in is control, here whenever time passes. Probes are not sent: what
 * they say is the program's to choose. */
#include "base/assert.h"
#include "gateway/server.h"
#include "test/fuzz/exchange/world.h"

typedef void target_fn(struct health_monitor *m, struct endpoint_health *e, uint64_t value);

static void health_each(struct server *g, target_fn *fn, uint64_t value)
{
    LIST_FOREACH (&g->health.monitors, node) {
        struct health_monitor *m = CONTAINER_OF(node, struct health_monitor, node);

        LIST_FOREACH (&m->targets, other)
            fn(m, &CONTAINER_OF(other, struct health_target, node)->endpoint->state->health, value);
    }
}

void health_adopt(struct server *g, const struct snapshot *s)
{
    health_registry_adopt(&g->health, s->health, s->n_health);
}

static void health_forget_one(struct health_monitor *m, struct endpoint_health *e,
                              uint64_t value UNUSED)
{
    outlier_forget(&m->backend->health, e);
    health_set_bit(&m->backend->health, e, HEALTH_FAILS_PROBES, false);
}

void health_forget(struct server *g)
{
    health_each(g, health_forget_one, 0);
}

static void health_sweep_one(struct health_monitor *m, struct endpoint_health *e, uint64_t now_us)
{
    outlier_sweep(&m->backend->health, e, now_us);
}

void health_sweep(struct server *g, uint64_t now_us)
{
    health_each(g, health_sweep_one, now_us);
}

void health_turn(struct server *g, unsigned n)
{
    unsigned i = 0;

    LIST_FOREACH (&g->health.monitors, node) {
        struct health_monitor *m = CONTAINER_OF(node, struct health_monitor, node);

        LIST_FOREACH (&m->targets, other) {
            struct endpoint_health *e =
                &CONTAINER_OF(other, struct health_target, node)->endpoint->state->health;

            if (i++ == n)
                health_set_bit(&m->backend->health, e, HEALTH_FAILS_PROBES,
                               !(atomic_load(&e->bits) & HEALTH_FAILS_PROBES));
        }
    }
    ASSERT(i == WORLD_WATCHED);
}
