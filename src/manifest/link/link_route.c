/* Attachment of routes to listeners: parent references, allowed kinds and namespaces, hostnames
 * (Gateway API, "ParentReference", "AllowedRoutes", HTTPRoute "hostnames"), and the routes'
 * conditions, one set per parent.
 *
 * Owner: the load's arena. Thread: the compile thread. Precedence among routes is compile's. */
#include "manifest/ai_gateway_route.h"
#include "manifest/grpc_route.h"
#include "manifest/hostname.h"
#include "manifest/http_route.h"
#include "manifest/link/link_internal.h"

enum { PARENT_REFS_MAX = 32 };

struct route_view route_view_of(struct object *route)
{
    static const struct str_vec any_host;
    struct route_view view = {.hostnames = &any_host};

    if (route->kind->id == KIND_HTTP_ROUTE) {
        struct http_route_spec *s = &CONTAINER_OF(route, struct http_route, object)->spec;

        view = (struct route_view){s->parent_refs.items, s->parent_refs.n, &s->hostnames};
    } else if (route->kind->id == KIND_GRPC_ROUTE) {
        struct grpc_route_spec *s = &CONTAINER_OF(route, struct grpc_route, object)->spec;

        view = (struct route_view){s->parent_refs.items, s->parent_refs.n, &s->hostnames};
    } else if (route->kind->id == KIND_AI_GATEWAY_ROUTE) {
        struct ai_gateway_route_spec *s =
            &CONTAINER_OF(route, struct ai_gateway_route, object)->spec;

        view = (struct route_view){s->parent_refs.items, s->parent_refs.n, &s->hostnames};
    }
    /* The decoder has reported more. */
    view.n_parent_refs = MIN(view.n_parent_refs, (size_t)PARENT_REFS_MAX);
    return view;
}

#define RULES_HAVE_NAME_(rules, wanted)                                                            \
    VEC_FOREACH ((rules), rule_) {                                                                 \
        if (str_eq(rule_->name, (wanted)))                                                         \
            return true;                                                                           \
    }

bool route_has_rule(const struct object *route, struct str rule_name)
{
    if (route->kind->id == KIND_HTTP_ROUTE)
        RULES_HAVE_NAME_(&CONTAINER_OF(route, struct http_route, object)->spec.rules, rule_name)
    if (route->kind->id == KIND_GRPC_ROUTE)
        RULES_HAVE_NAME_(&CONTAINER_OF(route, struct grpc_route, object)->spec.rules, rule_name)
    if (route->kind->id == KIND_AI_GATEWAY_ROUTE)
        RULES_HAVE_NAME_(&CONTAINER_OF(route, struct ai_gateway_route, object)->spec.rules,
                         rule_name)
    return false;
}

static bool listener_allows_kind(const struct listener *l, const struct object *route)
{
    const struct allowed_routes *allowed = l->allowed_routes;

    if (l->kind == LISTENER_OTHER)
        return false;
    if (!allowed || allowed->kinds.n == 0)
        return true;
    VEC_FOREACH (&allowed->kinds, k) {
        if (str_eq(k->group, route->kind->group) && str_eq(k->kind, route->kind->name))
            return true;
        /* An AIGatewayRoute attaches as the HTTPRoute that is generated from it. */
        if (route->kind->id == KIND_AI_GATEWAY_ROUTE && str_eq(k->group, GROUP_GATEWAY) &&
            str_eq(k->kind, STR("HTTPRoute")))
            return true;
    }
    return false;
}

static bool selector_admits_namespace(const struct manifest *m, const struct label_selector *s,
                                      struct str namespace)
{
    const struct object *o = manifest_get(m, KIND_NAMESPACE, STR(""), namespace);
    struct text_pair name = {.key = STR("kubernetes.io/metadata.name"), .value = namespace};
    const struct text_pair_vec only_name = {.items = &name, .n = 1, .cap = 1};

    /* Every namespace carries its name as a label, given in a file or not. */
    return s && (label_selector_matches(s, o ? &o->labels : &only_name) ||
                 label_selector_matches(s, &only_name));
}

static bool listener_allows_namespace(const struct manifest *m, const struct gateway *g,
                                      const struct listener *l, struct str namespace)
{
    const struct route_namespaces *from = l->allowed_routes ? l->allowed_routes->namespaces : NULL;

    if (from && from->from == ROUTES_FROM_ALL)
        return true;
    if (from && from->from == ROUTES_FROM_SELECTOR)
        return selector_admits_namespace(m, from->selector, namespace);
    return str_eq(g->object.namespace, namespace);
}

/* The hosts that listener and route have in common; false: none. Empty list: any host. */
static bool listener_common_hosts(struct manifest *m, const struct listener *l,
                                  const struct str_vec *wanted, struct str_vec *ret_hosts)
{
    struct str common;

    if (wanted->n == 0) {
        if (!str_is_empty(l->hostname))
            VEC_PUSH(&m->arena, ret_hosts, l->hostname);
        return true;
    }
    for (size_t i = 0; i < wanted->n; i++) {
        if (hostname_intersect(l->hostname, wanted->items[i], &common))
            VEC_PUSH(&m->arena, ret_hosts, common);
    }
    return ret_hosts->n > 0;
}

/* How far the best listener let a route come. */
enum attach_result {
    ATTACH_NO_LISTENER,
    ATTACH_NOT_ALLOWED,
    ATTACH_NO_HOSTNAME,
    ATTACH_DONE,
};

bool route_parent_means(const struct parent_ref *parent, const struct listener *l)
{
    return (str_is_empty(parent->section_name) || str_eq(parent->section_name, l->name)) &&
           (!parent->port.is_set || parent->port.value == l->port.value);
}

static enum attach_result attach_listener(struct manifest *m, struct gateway *g, struct listener *l,
                                          struct object *route, struct parent_ref *parent)
{
    struct route_view view = route_view_of(route);
    struct attached_route attached = {.route = route, .parent = parent};

    if (!route_parent_means(parent, l))
        return ATTACH_NO_LISTENER;
    if (!listener_allows_kind(l, route) || !listener_allows_namespace(m, g, l, route->namespace))
        return ATTACH_NOT_ALLOWED;
    if (!listener_common_hosts(m, l, view.hostnames, &attached.hostnames))
        return ATTACH_NO_HOSTNAME;
    /* Routes come one after the other: a second parentRef to the same listener adds nothing. */
    if (l->routes.n > 0 && l->routes.items[l->routes.n - 1].route == route)
        return ATTACH_DONE;
    VEC_PUSH(&m->arena, &l->routes, attached);
    return ATTACH_DONE;
}

static void route_condition(struct manifest *m, struct object *route, struct str about,
                            enum attach_result result)
{
    static const struct {
        const char *reason;
        const char *message;
    } rows[] = {
        {"NoMatchingParent", "No listener of this name or port."},
        {"NotAllowedByListeners", "The listeners do not allow this kind or namespace."},
        {"NoMatchingListenerHostname", "No host in common with the listeners."},
        {"Accepted", ""},
    };
    bool is_accepted = result == ATTACH_DONE && !route->is_broken;

    object_set_condition(
        route, &m->arena, about, "Accepted", is_accepted ? CONDITION_TRUE : CONDITION_FALSE,
        result == ATTACH_DONE && route->is_broken ? "UnsupportedValue" : rows[result].reason, "%s",
        result == ATTACH_DONE && route->is_broken
            ? "The route has errors: its requests are refused."
            : rows[result].message);
}

static void route_report(struct manifest *m, const struct object *route,
                         const struct parent_ref *parent, enum attach_result result)
{
    static const char *const texts[] = {
        "has no listener of this sectionName or port",
        "does not allow routes of this kind and namespace",
        "has no listener with a host in common",
    };
    struct diag *d;

    if (result == ATTACH_DONE)
        return;
    d = diag_add(&m->diags, result == ATTACH_NO_LISTENER ? DIAG_ERROR : DIAG_WARNING,
                 result == ATTACH_NO_LISTENER ? DIAG_DANGLING_REFERENCE : DIAG_INEFFECTIVE,
                 parent->mark, route->label, "%.*s %s: the route is not attached",
                 STR_ARG(parent->target->label), texts[result]);
    d->path = STR("spec.parentRefs");
    d->other = parent->target->mark;
    d->other_text = STR("the Gateway");
}

static struct str parent_namespace(const struct object *route, const struct parent_ref *parent)
{
    return str_is_empty(parent->namespace) ? route->namespace : parent->namespace;
}

struct str route_parent_about(struct manifest *m, const struct object *route,
                              const struct parent_ref *parent)
{
    return arena_printf(&m->arena, "Gateway/%.*s/%.*s%s%.*s",
                        STR_ARG(parent_namespace(route, parent)), STR_ARG(parent->name),
                        str_is_empty(parent->section_name) ? "" : "/",
                        STR_ARG(parent->section_name));
}

static void link_parent(struct manifest *m, struct object *route, struct parent_ref *parent)
{
    struct str namespace = parent_namespace(route, parent);
    const struct kind *k = kind_find(parent->group, parent->kind);
    struct link_problem problem = {.state = REF_NOT_FOUND,
                                   .kind = parent->kind,
                                   .namespace = namespace,
                                   .name = parent->name,
                                   .mark = parent->mark,
                                   .path = STR("spec.parentRefs")};
    enum attach_result best = ATTACH_NO_LISTENER;
    struct str about;
    struct gateway *g;

    if (str_is_empty(parent->name))
        return;
    if (!k || k->id != KIND_GATEWAY) {
        parent->state = problem.state = REF_INVALID_KIND;
        link_report(m, route, &problem);
        return;
    }
    parent->target = manifest_get(m, KIND_GATEWAY, namespace, parent->name);
    parent->state = parent->target ? REF_RESOLVED : REF_NOT_FOUND;
    about = route_parent_about(m, route, parent);
    if (!parent->target) {
        link_report(m, route, &problem);
        route_condition(m, route, about, ATTACH_NO_LISTENER);
        return;
    }
    g = CONTAINER_OF(parent->target, struct gateway, object);
    VEC_FOREACH (&g->spec.listeners, l) {
        enum attach_result result = attach_listener(m, g, l, route, parent);

        best = MAX(best, result);
    }
    route_report(m, route, parent, best);
    route_condition(m, route, about, best);
}

/* The worst reference of a route, for ResolvedRefs. */
static void route_visit_ref(struct ref_walk *w, enum ref_type type, void *ref)
{
    enum ref_state *worst = (enum ref_state *)w->user;
    enum ref_state state = type == REF_BACKEND ? ((struct backend_ref *)ref)->state
                           : type == REF_LOCAL ? ((struct local_object_ref *)ref)->state
                                               : REF_UNLINKED;

    *worst = MAX(*worst, state);
}

static void route_set_resolved(struct manifest *m, struct object *route)
{
    enum ref_state worst = REF_UNLINKED;
    struct ref_walk walk = {.m = m, .object = route, .visit = route_visit_ref, .user = &worst};
    const char *reason;

    ref_walk_object(&walk);
    buf_deinit(&walk.path);
    reason = worst == REF_INVALID_KIND    ? "InvalidKind"
             : worst == REF_NOT_PERMITTED ? "RefNotPermitted"
             : worst == REF_NOT_FOUND     ? "BackendNotFound"
                                          : "ResolvedRefs";
    for (size_t i = 0; i < route->conditions.n; i++)
        object_set_condition(route, &m->arena, route->conditions.items[i].about, "ResolvedRefs",
                             worst >= REF_NOT_FOUND ? CONDITION_FALSE : CONDITION_TRUE, reason,
                             "%s", "");
}

void link_routes(struct manifest *m)
{
    static const enum kind_id route_kinds[] = {KIND_HTTP_ROUTE, KIND_GRPC_ROUTE,
                                               KIND_AI_GATEWAY_ROUTE};

    for (size_t i = 0; i < N_ELEMENTS(route_kinds); i++) {
        VEC_FOREACH (manifest_kind(m, route_kinds[i]), o) {
            struct route_view view = route_view_of(*o);

            for (size_t p = 0; p < view.n_parent_refs; p++)
                link_parent(m, *o, &view.parent_refs[p]);
            route_set_resolved(m, *o);
        }
    }
}
