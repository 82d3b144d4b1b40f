/* HTTPRoutes and GRPCRoutes on one listener: where two of them share a host, only one may stand,
 * the older one or else the first by namespace and name (Gateway API, GRPCRoute "hostnames"). Who
 * of the two took a request would otherwise depend on its content type, and a policy of the one
 * could be dodged by way of the other. An AIGatewayRoute counts as the HTTPRoute that is generated
 * from it. Each Gateway's listeners are settled when it is linked; those of several Gateways that
 * are one at an address, when compile has found them to be (link_merged_conflicts). What has left
 * by then stays away, even if what it left for leaves too.
 *
 * Owner: the load's arena. Thread: the compile thread. */
#include <stdlib.h>

#include "manifest/hostname.h"
#include "manifest/link/link_internal.h"

static bool is_grpc(const struct attached_route *a)
{
    return a->route->kind->id == KIND_GRPC_ROUTE;
}

/* Effective hosts; none: any. */
static bool hosts_meet(const struct str_vec *a, const struct str_vec *b)
{
    struct str common;

    if (a->n == 0 || b->n == 0)
        return true;
    for (size_t i = 0; i < a->n; i++) {
        for (size_t k = 0; k < b->n; k++) {
            if (hostname_intersect(a->items[i], b->items[k], &common))
                return true;
        }
    }
    return false;
}

/* A route on one of the listeners that are settled together. */
struct contender {
    const struct listener_member *at;
    struct attached_route attached;
    const struct object *older; /* that it leaves for; NULL: it stays */
};

static bool members_have_both(const struct listener_member *members, size_t n)
{
    bool has[2] = {false, false};

    for (size_t i = 0; i < n; i++) {
        VEC_FOREACH (&members[i].listener->routes, a)
            has[is_grpc(a)] = true;
    }
    return has[false] && has[true];
}

struct contenders {
    struct contender *items;
    size_t n;
    size_t cap;
};

static void contenders_add(struct contenders *all, struct arena *a,
                           const struct listener_member *member)
{
    VEC_FOREACH (&member->listener->routes, attached)
        VEC_PUSH(a, all, ((struct contender){member, *attached, NULL}));
}

static int compare_age(const void *a, const void *b)
{
    const struct contender *x = a;
    const struct contender *y = b;

    return object_compare_age(x->attached.route, y->attached.route);
}

/* The older route, of those before `c` that stay, which leaves it no place; NULL: none. */
static const struct object *find_older(const struct contender *all, const struct contender *c)
{
    for (const struct contender *o = all; o < c; o++) {
        if (!o->older && is_grpc(&o->attached) != is_grpc(&c->attached) &&
            hosts_meet(&o->attached.hostnames, &c->attached.hostnames))
            return o->attached.route;
    }
    return NULL;
}

static bool listener_serves(const struct listener *l, const struct object *route)
{
    VEC_FOREACH (&l->routes, a) {
        if (a->route == route)
            return true;
    }
    return false;
}

/* Does the reference lead to no listener that serves the route any more? */
static bool parent_is_lost(const struct gateway *g, const struct parent_ref *parent,
                           const struct object *route)
{
    VEC_FOREACH (&g->spec.listeners, l) {
        if (route_parent_means(parent, l) && listener_serves(l, route))
            return false;
    }
    return true;
}

static void judge_parents(struct manifest *m, const struct contender *c)
{
    const struct gateway *g = c->at->gateway;
    struct object *route = c->attached.route;
    struct route_view view = route_view_of(route);

    for (size_t i = 0; i < view.n_parent_refs; i++) {
        const struct parent_ref *parent = &view.parent_refs[i];

        if (parent->target == &g->object && parent_is_lost(g, parent, route))
            object_set_condition(route, &m->arena, route_parent_about(m, route, parent), "Accepted",
                                 CONDITION_FALSE, "Conflicted", "%.*s serves a host of this route.",
                                 STR_ARG(c->older->label));
    }
}

static void report(struct manifest *m, const struct contender *c)
{
    struct diag *d = diag_add(
        &m->diags, DIAG_ERROR, DIAG_CONFLICT, c->attached.parent->mark, c->attached.route->label,
        "shares a host with %.*s on listener \"%.*s\" of %.*s, which serves one of the two "
        "kinds only: the route is not attached there",
        STR_ARG(c->older->label), STR_ARG(c->at->listener->name),
        STR_ARG(c->at->gateway->object.label));

    d->path = STR("spec.hostnames");
    d->other = c->older->mark;
    d->other_text = STR("the route that is older or first by name");
}

/* The lists of all members anew, by age: of what stays. */
static void settle(struct manifest *m, struct contenders *all)
{
    qsort(all->items, all->n, sizeof all->items[0], compare_age);
    VEC_FOREACH (all, c)
        c->at->listener->routes.n = 0;
    VEC_FOREACH (all, c) {
        c->older = find_older(all->items, c);
        if (!c->older)
            VEC_PUSH(&m->arena, &c->at->listener->routes, c->attached);
    }
    /* Only now is it known what each listener still serves. */
    VEC_FOREACH (all, c) {
        if (!c->older)
            continue;
        report(m, c);
        judge_parents(m, c);
    }
}

void link_merged_conflicts(struct manifest *m, const struct listener_member *members, size_t n)
{
    struct contenders all = {0};

    if (!members_have_both(members, n))
        return;
    for (size_t i = 0; i < n; i++)
        contenders_add(&all, &m->arena, &members[i]);
    settle(m, &all);
}

void link_route_conflicts(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_GATEWAY), o) {
        struct gateway *g = CONTAINER_OF(*o, struct gateway, object);

        VEC_FOREACH (&g->spec.listeners, l)
            link_merged_conflicts(m, &(struct listener_member){g, l}, 1);
    }
}
