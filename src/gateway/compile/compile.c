/* compile: the whole. Listeners that may be opened are gathered by address and port; those of one
 * port share its sockets and, on TLS, one server with an entry per listener. */
#include "gateway/compile/compile.h"

#include "base/mem.h"
#include "gateway/compile/layer.h"
#include "gateway/compile/tls.h"
#include "gateway/server_options.h"

/* Names with '_' are read, or not, before the host tells the listener: so they are when any
 * listener of the port wants them, and the others refuse them afterwards. */
static void compile_share_underscore(struct port_plan *p)
{
    for (uint32_t i = 0; i < p->n_listeners; i++)
        p->client.allows_underscore |= p->listeners[i]->client.allows_underscore;
    for (uint32_t i = 0; i < p->n_listeners; i++)
        p->listeners[i]->client.rejects_underscore =
            p->client.allows_underscore && !p->listeners[i]->client.allows_underscore;
}

/* False: the port cannot be opened (its TLS). */
static bool compile_port(struct compile *c, struct port_draft *draft)
{
    struct port_plan *p = &draft->plan;

    p->listeners = ARENA_ARRAY(&c->snapshot->arena, struct listener_plan *, draft->listeners.n);
    VEC_FOREACH (&draft->listeners, of) {
        struct listener_plan *l = compile_listener(c, of);

        l->index = c->n_listeners++;
        p->listeners[p->n_listeners++] = l;
        if (l->hostname.len > 0 && l->hostname.ptr[0] != '*')
            map_put(&p->by_host, l->hostname, l);
    }
    p->client = p->listeners[0]->client;
    compile_share_underscore(p);
    return !p->is_tls || compile_port_tls(c, draft);
}

static void compile_drop_port(struct port_plan *p)
{
    for (uint32_t i = 0; i < p->n_listeners; i++) {
        listener_plan_close(p->listeners[i]);
        listener_plan_unref(p->listeners[i]);
    }
    map_deinit(&p->by_host);
}

static void compile_ports(struct compile *c)
{
    struct port_draft_vec ports = {0};
    struct snapshot *s = c->snapshot;

    compile_gather(c, &ports);
    s->ports = ARENA_ARRAY(&s->arena, struct port_plan, ports.n + 1);
    VEC_FOREACH (&ports, draft) {
        if (compile_port(c, draft))
            s->ports[s->n_ports++] = draft->plan;
        else
            compile_drop_port(&draft->plan);
    }
}

int compile_pass(const struct compile_input *input, struct manifest *m,
                 struct snapshot **ret_snapshot)
{
    struct snapshot *s = snapshot_new();
    struct compile c = {
        .options = input->options,
        .clusters = input->clusters,
        .feeds = input->feeds,
        .log_writer = input->log_writer,
        .manifest = m,
        .snapshot = s,
    };

    arena_init(&c.scratch, 65536);
    compile_ports(&c);
    s->manifest = m;
    s->clusters = c.used_clusters.items;
    s->n_clusters = (uint32_t)c.used_clusters.n;
    s->publications = c.publications.items;
    s->n_publications = (uint32_t)c.publications.n;
    s->feeds = c.used_feeds.items;
    s->n_feeds = (uint32_t)c.used_feeds.n;
    compile_drop_sets(&c);
    arena_deinit(&c.scratch);
    *ret_snapshot = s;
    return 0;
}
