/* See verdict.h. */
#include "upstream/health/verdict.h"

static struct health_verdict verdict_of(const struct health_target *t, uint64_t now_us)
{
    const struct endpoint_health *h = &t->endpoint->state->health;
    uint32_t bits = atomic_load(&h->bits);
    uint64_t until_us = atomic_load(&h->ejected_until_us);

    return (struct health_verdict){
        .backend = t->monitor->backend->name,
        .endpoint = str_of(t->endpoint->state->text),
        .is_probed = t->tally.is_known,
        .fails_probes = bits & HEALTH_FAILS_PROBES,
        .is_ejected = bits & HEALTH_EJECTED,
        .n_ejections = atomic_load(&h->n_ejections),
        .ejected_us = bits & HEALTH_EJECTED && until_us > now_us ? until_us - now_us : 0,
    };
}

void health_verdicts_export(const struct health_registry *r, uint64_t now_us,
                            health_verdict_fn *tell, void *ctx)
{
    LIST_FOREACH (&r->monitors, node) {
        const struct health_monitor *m = CONTAINER_OF(node, struct health_monitor, node);

        LIST_FOREACH (&m->targets, target_node) {
            struct health_verdict v =
                verdict_of(CONTAINER_OF(target_node, struct health_target, node), now_us);

            if (v.is_probed || v.is_ejected || v.n_ejections > 0)
                tell(ctx, &v);
        }
    }
}

void health_verdict_import(struct endpoint_state *e, uint64_t now_us,
                           const struct health_verdict *v)
{
    e->health.inherited = (struct health_inheritance){
        .is_probed = v->is_probed,
        .fails_probes = v->fails_probes,
        .is_ejected = v->is_ejected,
        .n_ejections = v->n_ejections,
        .ejected_until_us =
            v->ejected_us < UINT64_MAX - now_us ? now_us + v->ejected_us : UINT64_MAX,
    };
}
