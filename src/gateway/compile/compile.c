/* compile: the whole. Listeners that may be opened are gathered by address and port; those of one
 * port share its sockets and, on TLS, one server with an entry per listener. */
#include "gateway/compile/compile.h"

#include "base/mem.h"
#include "gateway/compile/address_pool.h"
#include "gateway/server_options.h"

/* A port while its listeners are gathered. */
struct port_draft {
    struct port_plan plan;
    VEC(const struct listener *) listeners;
    VEC(const struct gateway *) gateways;
};

struct port_draft_vec {
    struct port_draft *items;
    size_t n;
    size_t cap;
};

static struct port_draft *compile_find_port(struct compile *c, struct port_draft_vec *ports,
                                            struct str address, const struct listener *l)
{
    uint16_t number = (uint16_t)l->port.value;
    bool is_tls = l->kind == LISTENER_HTTPS;
    struct port_draft *p;

    VEC_FOREACH (ports, known) {
        if (known->plan.number == number && known->plan.is_tls == is_tls &&
            str_eq(known->plan.address, address))
            return known;
    }
    p = VEC_ADD(&c->scratch, ports);
    p->plan.number = number;
    p->plan.is_tls = is_tls;
    p->plan.address = arena_str(&c->snapshot->arena, address);
    return p;
}

static void compile_gateway(struct compile *c, struct gateway *g, struct port_draft_vec *ports)
{
    struct str_vec addresses = address_pool_of(c, g);

    for (size_t i = 0; i < g->spec.listeners.n; i++) {
        const struct listener *l = &g->spec.listeners.items[i];

        for (size_t k = 0; l->is_programmed && k < addresses.n; k++) {
            struct port_draft *p = compile_find_port(c, ports, addresses.items[k], l);

            VEC_PUSH(&c->scratch, &p->listeners, l);
            VEC_PUSH(&c->scratch, &p->gateways, g);
        }
    }
}

/* False: the port cannot be opened (its TLS). */
static bool compile_port(struct compile *c, struct port_draft *draft)
{
    struct port_plan *p = &draft->plan;

    p->listeners = ARENA_ARRAY(&c->snapshot->arena, struct listener_plan *, draft->listeners.n);
    for (size_t i = 0; i < draft->listeners.n; i++) {
        struct listener_plan *l =
            compile_listener(c, draft->gateways.items[i], draft->listeners.items[i]);

        l->index = c->n_listeners++;
        p->listeners[p->n_listeners++] = l;
        if (l->hostname.len > 0 && l->hostname.ptr[0] != '*')
            map_put(&p->by_host, l->hostname, l);
    }
    p->client = p->listeners[0]->client;
    if (!p->is_tls)
        return true;
    p->tls = compile_port_tls(c, p, draft->listeners.items);
    return p->tls != NULL;
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
    const struct object_vec *gateways = manifest_kind(c->manifest, KIND_GATEWAY);
    struct port_draft_vec ports = {0};
    struct snapshot *s = c->snapshot;

    for (size_t i = 0; i < gateways->n; i++) {
        struct gateway *g = (struct gateway *)gateways->items[i];

        if (g->is_ours && !g->object.is_broken)
            compile_gateway(c, g, &ports);
    }
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
    arena_deinit(&c.scratch);
    *ret_snapshot = s;
    return 0;
}
