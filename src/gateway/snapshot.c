/* Snapshots: lookup of ports and listeners, and their end. Made by gateway/compile.c, freed by
 * control. */
#include "gateway/snapshot.h"

#include "base/assert.h"
#include "base/mem.h"
#include "net/tls.h"
#include "policy/host_pattern.h"
#include "upstream/otlp/exporter.h"

struct snapshot *snapshot_new(void)
{
    struct snapshot *s = MEM_NEW(struct snapshot);

    arena_init(&s->arena, 16384);
    return s;
}

static void port_plan_deinit(struct port_plan *p)
{
    for (uint32_t i = 0; i < p->n_listeners; i++) {
        listener_plan_close(p->listeners[i]);
        listener_plan_unref(p->listeners[i]);
    }
    map_deinit(&p->by_host);
    tls_server_unref(p->tls);
}

void snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    ASSERT(atomic_load(&s->n_workers) == 0);
    for (uint32_t i = 0; i < s->n_ports; i++)
        port_plan_deinit(&s->ports[i]);
    for (uint32_t i = 0; i < s->n_publications; i++) {
        endpoint_set_unref(s->publications[i].endpoints);
        cluster_unref(s->publications[i].cluster);
    }
    for (uint32_t i = 0; i < s->n_clusters; i++)
        cluster_unref(s->clusters[i]);
    for (uint32_t i = 0; i < s->n_feeds; i++)
        key_feed_unref(s->feeds[i]);
    VEC_FOREACH (&s->metric_sinks, sink)
        exporter_unref(sink->exporter);
    for (uint32_t i = 0; i < s->n_bounds; i++)
        bounds_unref(s->bounds[i].bounds);
    if (s->manifest) {
        manifest_deinit(s->manifest);
        mem_free(s->manifest);
    }
    arena_deinit(&s->arena);
    mem_free(s);
}

void snapshot_publish(struct snapshot *s)
{
    for (uint32_t i = 0; i < s->n_publications; i++) {
        struct publication *p = &s->publications[i];

        if (p->endpoints)
            cluster_publish(p->cluster, TAKE(p->endpoints));
    }
}

const struct port_plan *snapshot_find_port(const struct snapshot *s, const struct port *port)
{
    for (uint32_t i = 0; i < s->n_ports; i++) {
        if (s->ports[i].port == port)
            return &s->ports[i];
    }
    return NULL;
}

const struct listener_plan *port_plan_find_listener(const struct port_plan *p, struct str host)
{
    const struct listener_plan *best = map_find(&p->by_host, host);
    unsigned best_rank = 0;

    if (best)
        return best;
    for (uint32_t i = 0; i < p->n_listeners; i++) {
        const struct listener_plan *l = p->listeners[i];
        unsigned rank = host_pattern_rank(l->hostname) + 1;

        if (host_pattern_matches(l->hostname, host) && rank > best_rank) {
            best = l;
            best_rank = rank;
        }
    }
    return best;
}
