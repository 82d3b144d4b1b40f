/* Resolves references to backends, Secrets and local objects. Parents are resolved by link_route.c,
 * policy targets by link_policy.c, certificates of listeners are judged by link_gateway.c.
 *
 * What a failure does: in a route, only the share of that backend answers 500 (Gateway API,
 * "BackendRef"); elsewhere the object is isolated, and a security policy that cannot be resolved
 * makes its routes refuse. A core object that stands in no given file is a note: Services then
 * resolve by DNS, and the deployment order of the documentation stays possible.
 *
 * Owner: the load's arena. Thread: the compile thread. */
#include "manifest/core.h"
#include "manifest/link/link_internal.h"

/* A reference in one shape, whichever struct it came from. */
struct ref_view {
    struct str group;
    struct str kind;
    struct str namespace; /* as given; empty: that of the object */
    struct str name;
    struct mark mark;
    struct object **target;
    enum ref_state *state;
};

static const char *link_problem_code_text(enum ref_state state)
{
    return state == REF_NOT_PERMITTED  ? "no ReferenceGrant in its namespace permits this reference"
           : state == REF_INVALID_KIND ? "is of a kind that this place does not take"
                                       : "does not exist in the given files";
}

static bool link_is_last_report(const struct manifest *m, struct mark mark, enum diag_code code)
{
    const struct diag *last =
        m->diags.items.n > 0 ? &m->diags.items.items[m->diags.items.n - 1] : NULL;

    /* A reference that a check folded from its older place is met twice. */
    return last && last->code == code && last->mark.line == mark.line &&
           last->mark.column == mark.column && last->mark.file == mark.file;
}

void link_report(struct manifest *m, struct object *o, const struct link_problem *p)
{
    enum diag_code code = p->state == REF_NOT_PERMITTED  ? DIAG_MISSING_GRANT
                          : p->state == REF_INVALID_KIND ? DIAG_INVALID_VALUE
                          : p->state == REF_NOT_GIVEN    ? DIAG_MISSING_CORE_OBJECT
                                                         : DIAG_DANGLING_REFERENCE;
    enum diag_severity severity =
        p->state == REF_NOT_GIVEN && !m->options.is_strict ? DIAG_NOTE : DIAG_ERROR;
    struct diag *d;

    if (p->is_fatal)
        o->is_broken = true;
    if (link_is_last_report(m, p->mark, code))
        return;
    if (severity == DIAG_ERROR && p->state != REF_INVALID_KIND)
        m->n_incomplete++;
    d = diag_add(&m->diags, severity, code, p->mark, o->label, "%.*s %.*s%s%.*s %s",
                 STR_ARG(p->kind), STR_ARG(p->namespace), str_is_empty(p->namespace) ? "" : "/",
                 STR_ARG(p->name), link_problem_code_text(p->state));
    d->path = arena_str(&m->arena, p->path);
    if (p->state == REF_NOT_GIVEN && str_eq(p->kind, STR("Service")))
        d->hint = STR("it resolves by DNS");
    else if (p->state == REF_NOT_GIVEN && o->kind->id == KIND_GATEWAY)
        d->hint = STR("the listener is not opened");
    else if (p->state == REF_NOT_GIVEN && p->is_fatal)
        d->hint = STR("what the object covers refuses");
}

/* Which kinds a place takes. The decoders judge what only one kind knows. */
static bool link_takes_kind(const struct ref_walk *w, enum ref_type type, const struct kind *k)
{
    enum kind_id from = w->object->kind->id;

    if (!k)
        return false;
    if (type == REF_BACKEND && from == KIND_AI_GATEWAY_ROUTE)
        return k->id == KIND_AI_SERVICE_BACKEND;
    if (type == REF_BACKEND)
        return k->id == KIND_SERVICE || k->id == KIND_BACKEND;
    if (from == KIND_GATEWAY_CLASS || str_ends_with(buf_str(&w->path), STR("parametersRef")))
        return k->id == KIND_ENVOY_PROXY;
    if (str_ends_with(buf_str(&w->path), STR("extensionRef")))
        return k->id == KIND_HTTP_ROUTE_FILTER;
    return type != REF_SECRET || k->id == KIND_SECRET || k->id == KIND_CONFIG_MAP;
}

static enum ref_state link_resolve(const struct ref_walk *w, enum ref_type type,
                                   const struct ref_view *v, struct str namespace)
{
    const struct manifest *m = w->m;
    const struct object *from = w->object;
    const struct kind *k = kind_find(v->group, v->kind);
    struct object *target;

    if (!link_takes_kind(w, type, k))
        return REF_INVALID_KIND;
    if (from->kind->scope == KIND_NAMESPACED &&
        !grant_permits(m, from, v->group, v->kind, namespace, v->name))
        return REF_NOT_PERMITTED;
    target = manifest_get(m, k->id, namespace, v->name);
    if (target) {
        *v->target = target;
        return REF_RESOLVED;
    }
    return kind_is_core(k->id) ? REF_NOT_GIVEN : REF_NOT_FOUND;
}

/* Whether the whole object falls with the reference. */
static bool link_is_fatal(const struct object *o, enum ref_state state, struct str kind)
{
    bool is_security =
        o->kind->id == KIND_SECURITY_POLICY || o->kind->id == KIND_BACKEND_SECURITY_POLICY ||
        o->kind->id == KIND_BACKEND_TLS_POLICY || o->kind->id == KIND_CLIENT_TRAFFIC_POLICY;

    if (state == REF_RESOLVED || kind_is_route(o->kind->id) || o->kind->id == KIND_GATEWAY)
        return false;
    /* DNS stands in for an absent Service, nothing for an absent key or password. */
    return state != REF_NOT_GIVEN || (is_security && !str_eq(kind, STR("Service")));
}

static void link_one(struct ref_walk *w, enum ref_type type, const struct ref_view *v)
{
    struct str namespace = str_is_empty(v->namespace) ? w->object->namespace : v->namespace;
    struct link_problem problem = {.kind = v->kind,
                                   .namespace = namespace,
                                   .name = v->name,
                                   .mark = v->mark,
                                   .path = buf_str(&w->path)};

    if (str_is_empty(v->name) || str_is_empty(v->kind))
        return; /* reported by the decoder */
    problem.state = link_resolve(w, type, v, namespace);
    *v->state = problem.state;
    problem.is_fatal = link_is_fatal(w->object, problem.state, v->kind);
    /* Of kinds that an AIGatewayRoute does not take the decoder has told, and one only warns. */
    if (problem.state == REF_INVALID_KIND && type == REF_BACKEND &&
        w->object->kind->id == KIND_AI_GATEWAY_ROUTE)
        return;
    if (problem.state != REF_RESOLVED)
        link_report(w->m, w->object, &problem);
}

static void link_visit(struct ref_walk *w, enum ref_type type, void *ref)
{
    if (type == REF_LOCAL) {
        struct local_object_ref *r = ref;

        link_one(w, type,
                 &(struct ref_view){r->group, r->kind, STR_NULL, r->name, r->mark, &r->target,
                                    &r->state});
    } else if (type == REF_SECRET) {
        struct secret_ref *r = ref;

        link_one(w, type,
                 &(struct ref_view){r->group, r->kind, r->namespace, r->name, r->mark, &r->target,
                                    &r->state});
    } else if (type == REF_BACKEND) {
        struct backend_ref *r = ref;

        link_one(w, type,
                 &(struct ref_view){r->group, r->kind, r->namespace, r->name, r->mark, &r->target,
                                    &r->state});
    }
}

/* A Service that is given must have the port that is referred to. */
static void link_port(struct ref_walk *w, enum ref_type type, void *ref)
{
    struct backend_ref *r = ref;
    const struct service *s;

    if (type != REF_BACKEND || !r->target || r->target->kind->id != KIND_SERVICE || !r->port.is_set)
        return;
    s = CONTAINER_OF(r->target, struct service, object);
    if (service_find_port(s, r->port.value) || s->spec.ports.n == 0)
        return;
    struct diag *d =
        diag_add(&w->m->diags, DIAG_ERROR, DIAG_DANGLING_REFERENCE, r->mark, w->object->label,
                 "%.*s has no port %lld", STR_ARG(s->object.label), (long long)r->port.value);

    d->path = arena_str(&w->m->arena, buf_str(&w->path));
    d->other = s->object.mark;
    d->other_text = STR("the Service");
    w->m->n_incomplete++;
    r->state = REF_NOT_FOUND;
}

static void link_service_ports(struct manifest *m)
{
    struct ref_walk walk = {.m = m, .visit = link_port};

    if (manifest_kind(m, KIND_SERVICE)->n == 0)
        return;
    VEC_FOREACH (&m->objects, o) {
        if (kind_is_core((*o)->kind->id))
            continue;
        walk.object = *o;
        ref_walk_object(&walk);
    }
    buf_deinit(&walk.path);
}

void link_references(struct manifest *m)
{
    struct ref_walk walk = {.m = m, .visit = link_visit};

    VEC_FOREACH (&m->objects, o) {
        if (kind_is_core((*o)->kind->id))
            continue;
        walk.object = *o;
        ref_walk_object(&walk);
    }
    buf_deinit(&walk.path);
    link_service_ports(m);
}
