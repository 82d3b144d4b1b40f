#include "gateway/compile/gather.h"

#include <stdlib.h>

#include "gateway/compile/address_pool.h"
#include "gateway/compile/tls.h"
#include "gateway/compile/tls/client_rule.h"
#include "manifest/link/link.h"

/* ---- what does not fit ---- */

static void gather_refuse(struct compile *c, const struct listener_member *m,
                          const struct listener_member *other, enum listener_drop why)
{
    const struct listener *l = m->listener;
    struct diag *d = diag_add(
        &c->manifest->diags, DIAG_ERROR, DIAG_CONFLICT, l->mark, m->gateway->object.label,
        "listener \"%.*s\" conflicts with \"%.*s\" of %.*s on port %lld: %s: "
        "it is not opened",
        STR_ARG(l->name), STR_ARG(other->listener->name), STR_ARG(other->gateway->object.label),
        (long long)l->port.value,
        why == LISTENER_PROTOCOL_CONFLICT ? "one is HTTP and one HTTPS"
                                          : "their settings for TLS, clients or logs differ");

    d->other = other->listener->mark;
    d->other_text = STR("the listener of the older Gateway");
    link_drop_listener(c->manifest, m->gateway, m->listener, why,
                       "A listener of another Gateway came first.");
}

static bool secret_refs_are_same(const struct listener_tls *a, const struct listener_tls *b)
{
    bool is_same = a->certificate_refs.n == b->certificate_refs.n;

    for (size_t i = 0; is_same && i < a->certificate_refs.n; i++)
        is_same = a->certificate_refs.items[i].target == b->certificate_refs.items[i].target;
    return is_same;
}

static bool listener_tls_is_same(const struct listener_tls *a, const struct listener_tls *b)
{
    if (!a || !b)
        return a == b;
    if (!secret_refs_are_same(a, b) || a->options.n != b->options.n)
        return false;
    for (size_t i = 0; i < a->options.n; i++) {
        if (!str_eq(a->options.items[i].key, b->options.items[i].key) ||
            !str_eq(a->options.items[i].value, b->options.items[i].value))
            return false;
    }
    return true;
}

/* Two listeners can be one when no request could tell which of them it came by, but for its route.
 */
static bool gather_is_compatible(struct compile *c, const struct listener_member *a,
                                 const struct listener_member *b)
{
    return compile_client_policy(c, a->gateway, a->listener) ==
               compile_client_policy(c, b->gateway, b->listener) &&
           a->gateway->envoy_proxy == b->gateway->envoy_proxy &&
           compile_frontend(a->gateway, a->listener) == compile_frontend(b->gateway, b->listener) &&
           listener_tls_is_same(a->listener->tls, b->listener->tls);
}

/* ---- where it goes ---- */

static struct port_draft *gather_find_port(struct port_draft_vec *ports, struct str address,
                                           const struct listener *l)
{
    VEC_FOREACH (ports, known) {
        if (known->plan.number == l->port.value && str_eq(known->plan.address, address))
            return known;
    }
    return NULL;
}

static struct listener_draft *gather_find(struct port_draft *p, struct str hostname)
{
    VEC_FOREACH (&p->listeners, draft) {
        if (str_eq_nocase(draft->members.items[0].listener->hostname, hostname))
            return draft;
    }
    return NULL;
}

/* Does the listener fit to what stands at the address already? If not, it is refused. */
static bool gather_fits(struct compile *c, struct port_draft_vec *ports,
                        const struct listener_member *m, struct str address)
{
    struct port_draft *p = gather_find_port(ports, address, m->listener);
    struct listener_draft *draft = p ? gather_find(p, m->listener->hostname) : NULL;

    if (p && p->plan.is_tls != (m->listener->kind == LISTENER_HTTPS))
        gather_refuse(c, m, &p->listeners.items[0].members.items[0], LISTENER_PROTOCOL_CONFLICT);
    else if (draft && !gather_is_compatible(c, m, &draft->members.items[0]))
        gather_refuse(c, m, &draft->members.items[0], LISTENER_HOSTNAME_CONFLICT);
    return m->listener->is_programmed;
}

static void gather_add(struct compile *c, struct port_draft_vec *ports,
                       const struct listener_member *m, struct str address)
{
    struct port_draft *p = gather_find_port(ports, address, m->listener);
    struct listener_draft *draft;

    if (!p) {
        p = VEC_ADD(&c->scratch, ports);
        p->plan.number = (uint16_t)m->listener->port.value;
        p->plan.is_tls = m->listener->kind == LISTENER_HTTPS;
        p->plan.address = arena_str(&c->snapshot->arena, address);
    }
    draft = gather_find(p, m->listener->hostname);
    if (!draft)
        draft = VEC_ADD(&c->scratch, &p->listeners);
    VEC_PUSH(&c->scratch, &draft->members, *m);
}

/* On all its addresses or on none. */
static void gather_listener(struct compile *c, struct port_draft_vec *ports,
                            const struct listener_member *m)
{
    const struct str_vec *addresses = &m->gateway->addresses;

    for (size_t i = 0; i < addresses->n; i++) {
        if (!gather_fits(c, ports, m, addresses->items[i]))
            return;
    }
    for (size_t i = 0; i < addresses->n; i++)
        gather_add(c, ports, m, addresses->items[i]);
}

static void gather_gateway(struct compile *c, struct gateway *g, struct port_draft_vec *ports)
{
    VEC_FOREACH (&g->spec.listeners, l) {
        struct listener_member m = {g, l};

        if (l->is_programmed && l->kind == LISTENER_HTTPS && !compile_listener_tls(c, &m))
            link_drop_listener(c->manifest, g, l, LISTENER_BAD_TLS, "Its TLS cannot be set up.");
        if (l->is_programmed)
            gather_listener(c, ports, &m);
    }
}

/* ---- Gateways ---- */

static void gather_addresses(struct compile *c, struct gateway *g)
{
    const char *problem = address_pool_of(c, g, &g->addresses);

    if (!problem)
        return;
    diag_add(&c->manifest->diags, DIAG_ERROR, DIAG_CONFLICT, g->object.mark, g->object.label,
             "%s: the Gateway is not served", problem);
    VEC_FOREACH (&g->spec.listeners, l)
        link_drop_listener(c->manifest, g, l, LISTENER_NO_ADDRESS, "The Gateway has no address.");
}

/* What each Gateway's own listeners have no conflict about, those that are one may have. */
static void gather_settle_routes(struct compile *c, const struct port_draft_vec *ports)
{
    VEC_FOREACH (ports, p) {
        VEC_FOREACH (&p->listeners, draft)
            link_merged_conflicts(c->manifest, draft->members.items, draft->members.n);
    }
}

static int gather_compare(const void *a, const void *b)
{
    return object_compare_age(*(struct object *const *)a, *(struct object *const *)b);
}

static bool gather_is_served(const struct gateway *g)
{
    return g->is_ours && !g->object.is_broken;
}

void compile_gather(struct compile *c, struct port_draft_vec *ports)
{
    const struct object_vec *all = manifest_kind(c->manifest, KIND_GATEWAY);
    struct object **sorted = ARENA_ARRAY(&c->scratch, struct object *, all->n + 1);

    for (size_t i = 0; i < all->n; i++)
        sorted[i] = all->items[i];
    qsort(sorted, all->n, sizeof sorted[0], gather_compare);
    for (size_t i = 0; i < all->n; i++) {
        if (gather_is_served((struct gateway *)sorted[i]))
            address_pool_reserve(c, (struct gateway *)sorted[i]);
    }
    for (size_t i = 0; i < all->n; i++) {
        struct gateway *g = (struct gateway *)sorted[i];

        if (!gather_is_served(g))
            continue;
        gather_addresses(c, g);
        gather_gateway(c, g, ports);
    }
    gather_settle_routes(c, ports);
}
