/* What is valid and yet not what somebody may expect: routes attached nowhere, endpoints reachable
 * without the checks in front of them, and where Tollgate does what the founding document describes
 * although the reference stack would do less (docs/compatibility.md). Notes and warnings only.
 *
 * Owner: the load's arena. Thread: the compile thread. */
#include "manifest/ai_service_backend.h"
#include "manifest/backend.h"
#include "manifest/core.h"
#include "manifest/link/link_internal.h"

static void check_parents(struct manifest *m, struct object *route)
{
    if (route_view_of(route).n_parent_refs == 0 && !route->is_broken)
        diag_add(&m->diags, DIAG_WARNING, DIAG_INEFFECTIVE, route->mark, route->label,
                 "names no parent: it is attached to nothing");
}

/* "name.namespace.svc" and whatever cluster domain follows. */
static bool host_is_service(struct str host, const struct backend_ref *ref, struct str namespace)
{
    const struct str parts[] = {ref->name, STR("."), namespace, STR(".svc")};

    for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
        if (!str_starts_with(host, parts[i]))
            return false;
        host = str_slice(host, parts[i].len, host.len);
    }
    return host.len == 0 || host.ptr[0] == '.';
}

static bool endpoint_is_same(const struct backend_endpoint *a, const struct backend_endpoint *b)
{
    const struct backend_address *x = a->fqdn ? a->fqdn : a->ip;
    const struct backend_address *y = b->fqdn ? b->fqdn : b->ip;

    return x && y && str_eq(x->host, y->host) && x->port.value == y->port.value;
}

/* Whether traffic of `ref` ends at an endpoint of the guarded Backend. */
static bool ref_reaches(const struct backend_ref *ref, const struct object *from,
                        const struct backend *guarded)
{
    struct str namespace = str_is_empty(ref->namespace) ? from->namespace : ref->namespace;
    const struct backend *other = NULL;

    if (ref->target == &guarded->object)
        return false; /* by way of its checks */
    if (ref->target && ref->target->kind->id == KIND_BACKEND)
        other = CONTAINER_OF(ref->target, struct backend, object);
    VEC_FOREACH (&guarded->spec.endpoints, e) {
        if (str_eq(ref->kind, STR("Service")) && e->fqdn &&
            e->fqdn->port.value == ref->port.value &&
            host_is_service(e->fqdn->host, ref, namespace))
            return true;
        for (size_t i = 0; other && i < other->spec.endpoints.n; i++) {
            if (endpoint_is_same(e, &other->spec.endpoints.items[i]))
                return true;
        }
    }
    return false;
}

/* The Backends that have checks in front of them. */
struct guarded_list {
    VEC(const struct backend *) backends;
    const struct object *last_route; /* one note per route and Backend is enough */
    const struct backend *last_backend;
};

static bool backend_is_guarded(const struct manifest *m, const struct object *backend)
{
    return manifest_policies_at(m, KIND_BACKEND_SECURITY_POLICY, backend, STR(""))->n > 0;
}

static void check_bypass_ref(struct ref_walk *w, enum ref_type type, void *ref)
{
    struct guarded_list *guarded = w->user;
    const struct backend_ref *r = ref;

    if (type != REF_BACKEND)
        return;
    /* Another Backend with checks of its own is no way around. */
    if (r->target && backend_is_guarded(w->m, r->target))
        return;
    VEC_FOREACH (&guarded->backends, b) {
        struct diag *d;

        if (!ref_reaches(r, w->object, *b) ||
            (guarded->last_route == w->object && guarded->last_backend == *b))
            continue;
        guarded->last_route = w->object;
        guarded->last_backend = *b;
        d = diag_add(&w->m->diags, DIAG_NOTE, DIAG_BYPASS, r->mark, w->object->label,
                     "reaches the endpoints of %.*s without the checks of its "
                     "BackendSecurityPolicies",
                     STR_ARG((*b)->object.label));
        d->path = arena_str(&w->m->arena, buf_str(&w->path));
        d->other = (*b)->object.mark;
        d->other_text = STR("the Backend with checks");
    }
}

static void check_bypasses(struct manifest *m)
{
    struct guarded_list guarded = {0};
    struct ref_walk walk = {.m = m, .visit = check_bypass_ref, .user = &guarded};
    static const enum kind_id route_kinds[] = {KIND_HTTP_ROUTE, KIND_GRPC_ROUTE};

    VEC_FOREACH (manifest_kind(m, KIND_BACKEND), o) {
        if (backend_is_guarded(m, *o))
            VEC_PUSH(&m->arena, &guarded.backends, CONTAINER_OF(*o, struct backend, object));
    }
    for (size_t i = 0; guarded.backends.n > 0 && i < N_ELEMENTS(route_kinds); i++) {
        VEC_FOREACH (manifest_kind(m, route_kinds[i]), o) {
            walk.object = *o;
            ref_walk_object(&walk);
        }
    }
    buf_deinit(&walk.path);
}

static void check_founding_form(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_BACKEND_SECURITY_POLICY), o)
        diag_add(&m->diags, DIAG_NOTE, DIAG_DIFFERENCE, (*o)->mark, (*o)->label,
                 "a kind that Envoy Gateway does not have: its checks run here, in front of its "
                 "Backends (docs/compatibility.md)");
}

/* A name that promises TLS sets up none: certificates are verified by what a BackendTLSPolicy, or a
 * Backend's tls, says. Who only wrote the name may believe that it is done. */
static void check_clear_text(struct manifest *m, const struct object *o, struct mark at,
                             struct str path)
{
    struct diag *d = diag_add(&m->diags, DIAG_WARNING, DIAG_INEFFECTIVE, at, o->label,
                              "names TLS, but none is set up: spoken to in clear text");

    d->path = path;
    d->hint = STR("a BackendTLSPolicy sets it up");
}

static bool has_tls_policy(const struct manifest *m, const struct object *o, struct str port_name)
{
    return manifest_policies_at_service(m, KIND_BACKEND_TLS_POLICY, o->namespace, o->name,
                                        port_name)
                   ->n > 0 ||
           manifest_policies_at_service(m, KIND_BACKEND_TLS_POLICY, o->namespace, o->name, STR(""))
                   ->n > 0;
}

static void check_app_protocols(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_SERVICE), o) {
        const struct service *s = CONTAINER_OF(*o, struct service, object);

        for (size_t i = 0; i < s->spec.ports.n; i++) {
            const struct service_port *p = &s->spec.ports.items[i];

            if (app_protocol_is_tls(p->app_protocol) && !has_tls_policy(m, *o, p->name))
                check_clear_text(m, *o, p->mark,
                                 arena_printf(&m->arena, "spec.ports[%zu].appProtocol", i));
        }
    }
    VEC_FOREACH (manifest_kind(m, KIND_BACKEND), o) {
        const struct backend *b = CONTAINER_OF(*o, struct backend, object);

        if (b->spec.app_protocols & (1u << APP_PROTOCOL_WSS) && !b->spec.tls &&
            manifest_policies_at(m, KIND_BACKEND_TLS_POLICY, *o, STR(""))->n == 0)
            check_clear_text(m, *o, b->spec.mark, STR("spec.appProtocols"));
    }
}

/* In a cluster the HTTPRoute generated from an AIGatewayRoute would overwrite its namesake. */
static void check_generated_names(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_AI_GATEWAY_ROUTE), o) {
        const struct object *same = manifest_get(m, KIND_HTTP_ROUTE, (*o)->namespace, (*o)->name);
        struct diag *d;

        if (!same)
            continue;
        d = diag_add(&m->diags, DIAG_WARNING, DIAG_CONFLICT, (*o)->mark, (*o)->label,
                     "has the name of an HTTPRoute: in a cluster the route generated from it would "
                     "take its place; here both serve, and policies of that name cover both");
        d->other = same->mark;
        d->other_text = STR("the HTTPRoute");
    }
}

void check_manifest(struct manifest *m)
{
    static const enum kind_id route_kinds[] = {KIND_HTTP_ROUTE, KIND_GRPC_ROUTE,
                                               KIND_AI_GATEWAY_ROUTE};

    for (size_t i = 0; i < N_ELEMENTS(route_kinds); i++) {
        VEC_FOREACH (manifest_kind(m, route_kinds[i]), o)
            check_parents(m, *o);
    }
    check_generated_names(m);
    check_bypasses(m);
    check_app_protocols(m);
    check_founding_form(m);
    /* An object without conditions of its own (backends, filters, grants) says whether it is sound.
     */
    VEC_FOREACH (&m->objects, o) {
        struct object *object = *o;

        if (object->conditions.n > 0 || kind_is_core(object->kind->id) ||
            kind_is_policy(object->kind->id))
            continue;
        object_set_condition(object, &m->arena, STR(""), "Accepted",
                             object->is_broken ? CONDITION_FALSE : CONDITION_TRUE,
                             object->is_broken ? "Invalid" : "Accepted", "%s",
                             object->is_broken ? "The object has errors." : "");
    }
}
