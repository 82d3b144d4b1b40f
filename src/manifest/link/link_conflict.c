/* HTTPRoutes and GRPCRoutes on one listener: where two of them share a host, only one may stand,
 * the older one or else the first by namespace and name (Gateway API, GRPCRoute "hostnames"). Who
 * of the two took a request would otherwise depend on its content type, and a policy of the one
 * could be dodged by way of the other. An AIGatewayRoute counts as the HTTPRoute that is generated
 * from it.
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

static bool listener_has_both(const struct listener *l)
{
    for (size_t i = 1; i < l->routes.n; i++) {
        if (is_grpc(&l->routes.items[i]) != is_grpc(&l->routes.items[0]))
            return true;
    }
    return false;
}

static int compare_age(const void *a, const void *b)
{
    const struct attached_route *x = a;
    const struct attached_route *y = b;

    return object_compare_age(x->route, y->route);
}

/* The older route, of the first `n_kept` of the list, that leaves no place; NULL: none. */
static const struct object *find_older(const struct attached_route *routes, size_t n_kept,
                                       const struct attached_route *a)
{
    for (size_t i = 0; i < n_kept; i++) {
        if (is_grpc(&routes[i]) != is_grpc(a) && hosts_meet(&routes[i].hostnames, &a->hostnames))
            return routes[i].route;
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

static void judge_parents(struct manifest *m, const struct gateway *g, struct object *route,
                          const struct object *older)
{
    struct route_view view = route_view_of(route);

    for (size_t i = 0; i < view.n_parent_refs; i++) {
        const struct parent_ref *parent = &view.parent_refs[i];

        if (parent->target == &g->object && parent_is_lost(g, parent, route))
            object_set_condition(route, &m->arena, route_parent_about(m, route, parent), "Accepted",
                                 CONDITION_FALSE, "Conflicted", "%.*s serves a host of this route.",
                                 STR_ARG(older->label));
    }
}

static void report(struct manifest *m, const struct gateway *g, const struct listener *l,
                   const struct attached_route *a, const struct object *older)
{
    struct diag *d = diag_add(
        &m->diags, DIAG_ERROR, DIAG_CONFLICT, a->parent->mark, a->route->label,
        "shares a host with %.*s on listener \"%.*s\" of %.*s, which serves one of the two "
        "kinds only: the route is not attached there",
        STR_ARG(older->label), STR_ARG(l->name), STR_ARG(g->object.label));

    d->path = STR("spec.hostnames");
    d->other = older->mark;
    d->other_text = STR("the route that is older or first by name");
}

static void settle_listener(struct manifest *m, struct gateway *g, struct listener *l)
{
    struct attached_route *routes = l->routes.items;
    size_t n = l->routes.n;
    size_t n_kept = 0;

    qsort(routes, n, sizeof routes[0], compare_age);
    for (size_t i = 0; i < n; i++) {
        struct attached_route a = routes[i];
        const struct object *older = find_older(routes, n_kept, &a);

        if (!older) {
            routes[n_kept++] = a;
            continue;
        }
        report(m, g, l, &a, older);
        l->routes.n = n_kept; /* for judge_parents: those behind are not settled yet */
        judge_parents(m, g, a.route, older);
    }
    l->routes.n = n_kept;
}

void link_route_conflicts(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_GATEWAY), o) {
        struct gateway *g = CONTAINER_OF(*o, struct gateway, object);

        VEC_FOREACH (&g->spec.listeners, l) {
            if (listener_has_both(l))
                settle_listener(m, g, l);
        }
    }
}
