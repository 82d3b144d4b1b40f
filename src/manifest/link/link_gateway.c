/* GatewayClasses, Gateways and their listeners: which are ours, which listeners conflict, whether
 * their certificates can be used; and in the end their conditions (Gateway API, "GatewayStatus").
 *
 * A listener falls alone: its neighbours go on. Owner: the load's arena. Thread: the compile
 * thread. Which addresses and ports listeners really get is compile's and the net level's. */
#include "manifest/core.h"
#include "manifest/gateway_class.h"
#include "manifest/link/link.h"
#include "manifest/link/link_internal.h"

static void class_judge(struct manifest *m, struct gateway_class *c)
{
    bool is_bad = c->object.is_broken || (c->envoy_proxy && c->envoy_proxy->is_broken);

    object_set_condition(&c->object, &m->arena, STR(""), "Accepted",
                         is_bad ? CONDITION_FALSE : CONDITION_TRUE,
                         is_bad ? "InvalidParameters" : "Accepted",
                         is_bad ? "Served with default parameters: those given cannot be used."
                                : "Served by this gateway.");
}

static void link_class(struct manifest *m, struct gateway_class *c)
{
    const struct secret_ref *params = c->spec.parameters_ref;

    c->is_ours = str_eq(c->spec.controller_name, GATEWAY_CONTROLLER);
    if (!c->is_ours) {
        diag_add(&m->diags, DIAG_NOTE, DIAG_INEFFECTIVE, c->object.mark, c->object.label,
                 "belongs to another controller, %.*s: its Gateways are not served",
                 STR_ARG(c->spec.controller_name));
        return;
    }
    if (params && params->target && params->target->kind->id == KIND_ENVOY_PROXY)
        c->envoy_proxy = params->target;
    class_judge(m, c);
}

static void link_gateway_class(struct manifest *m, struct gateway *g)
{
    struct object *class = manifest_get(m, KIND_GATEWAY_CLASS, STR(""), g->spec.gateway_class_name);
    const struct gateway_infrastructure *infra = g->spec.infrastructure;

    if (!class) {
        struct link_problem problem = {.state = REF_NOT_FOUND,
                                       .kind = STR("GatewayClass"),
                                       .name = g->spec.gateway_class_name,
                                       .mark = g->object.mark,
                                       .path = STR("spec.gatewayClassName")};

        if (!str_is_empty(g->spec.gateway_class_name))
            link_report(m, &g->object, &problem);
        return;
    }
    g->class = CONTAINER_OF(class, struct gateway_class, object);
    g->is_ours = g->class->is_ours;
    g->envoy_proxy = g->class->envoy_proxy;
    if (infra && infra->parameters_ref && infra->parameters_ref->target &&
        infra->parameters_ref->target->kind->id == KIND_ENVOY_PROXY)
        g->envoy_proxy = infra->parameters_ref->target;
}

/* The listener before `l` that it collides with, or NULL. */
static const struct listener *
listener_find_conflict(const struct gateway *g, const struct listener *l, const char **ret_reason)
{
    VEC_FOREACH (&g->spec.listeners, before) {
        if (before == l)
            return NULL;
        if (str_eq(before->name, l->name)) {
            *ret_reason = "NameConflict";
            return before;
        }
        if (before->is_conflicted || before->port.value != l->port.value)
            continue;
        if (before->kind != l->kind) {
            *ret_reason = "ProtocolConflict";
            return before;
        }
        if (str_eq(before->hostname, l->hostname)) {
            *ret_reason = "HostnameConflict";
            return before;
        }
    }
    return NULL;
}

static void listener_condition(struct manifest *m, struct gateway *g, const struct listener *l,
                               const char *type, bool is_true, const char *reason,
                               const char *message)
{
    object_set_condition(&g->object, &m->arena, l->name, type,
                         is_true ? CONDITION_TRUE : CONDITION_FALSE, reason, "%s", message);
}

static void listener_judge_conflict(struct manifest *m, struct gateway *g, struct listener *l)
{
    const char *reason = "NoConflicts";
    const struct listener *other = listener_find_conflict(g, l, &reason);
    struct diag *d;

    l->is_conflicted = other != NULL;
    listener_condition(m, g, l, "Conflicted", l->is_conflicted, reason,
                       other ? "Another listener of this Gateway came first." : "");
    if (!other)
        return;
    d = diag_add(&m->diags, DIAG_ERROR, DIAG_CONFLICT, l->mark, g->object.label,
                 "listener \"%.*s\" conflicts with \"%.*s\" (%s): it is not opened",
                 STR_ARG(l->name), STR_ARG(other->name), reason);
    d->other = other->mark;
    d->other_text = STR("the listener that came first");
}

/* One certificate; NULL when it can be used, else the condition's reason. */
static const char *listener_judge_certificate(struct manifest *m, struct gateway *g,
                                              const struct secret_ref *ref)
{
    const char *problem;
    const struct secret *s;

    if (ref->state == REF_NOT_PERMITTED)
        return "RefNotPermitted";
    if (ref->state != REF_RESOLVED || ref->target->kind->id != KIND_SECRET)
        return "InvalidCertificateRef";
    s = CONTAINER_OF(ref->target, struct secret, object);
    problem = link_certificate_problem(secret_find(s, "tls.crt"), secret_find(s, "tls.key"));
    if (problem) {
        struct diag *d = diag_add(&m->diags, DIAG_ERROR, DIAG_BAD_CERTIFICATE, s->object.mark,
                                  s->object.label, "%s", problem);

        d->other = ref->mark;
        d->other_text = arena_printf(&m->arena, "used here by %.*s", STR_ARG(g->object.label));
    }
    return problem ? "InvalidCertificateRef" : NULL;
}

static const char *listener_judge_kinds(const struct listener *l)
{
    const struct allowed_routes *allowed = l->allowed_routes;

    for (size_t i = 0; allowed && i < allowed->kinds.n; i++) {
        const struct kind *k =
            kind_find(allowed->kinds.items[i].group, allowed->kinds.items[i].kind);

        if (!k || !kind_is_route(k->id))
            return "InvalidRouteKinds";
    }
    return NULL;
}

static void listener_judge_refs(struct manifest *m, struct gateway *g, struct listener *l)
{
    const char *reason = listener_judge_kinds(l);

    for (size_t i = 0; l->tls && i < l->tls->certificate_refs.n; i++) {
        const char *one = listener_judge_certificate(m, g, &l->tls->certificate_refs.items[i]);

        reason = one ? one : reason;
    }
    /* Route kinds that are unknown are left out; the known ones still attach (Gateway API,
     * "SupportedKinds"), so only certificates keep a listener from opening. */
    l->is_resolved = reason == NULL || strcmp(reason, "InvalidRouteKinds") == 0;
    listener_condition(m, g, l, "ResolvedRefs", reason == NULL, reason ? reason : "ResolvedRefs",
                       reason ? "A reference of the listener cannot be used." : "");
}

static void link_listener(struct manifest *m, struct gateway *g, struct listener *l)
{
    bool is_supported = l->kind != LISTENER_OTHER;

    listener_judge_conflict(m, g, l);
    listener_judge_refs(m, g, l);
    if (!is_supported && !str_is_empty(l->protocol))
        diag_add(&m->diags, DIAG_ERROR, DIAG_UNSUPPORTED_FIELD, l->mark, g->object.label,
                 "listener \"%.*s\": protocol %.*s is not supported here (HTTP, HTTPS)",
                 STR_ARG(l->name), STR_ARG(l->protocol));
    l->is_accepted = is_supported && !l->is_conflicted && l->port.is_set;
    /* HTTPS without any certificate could not complete a handshake. */
    l->is_programmed = l->is_accepted && l->is_resolved && g->is_ours &&
                       (l->kind != LISTENER_HTTPS || (l->tls && l->tls->certificate_refs.n > 0));
    listener_condition(m, g, l, "Accepted", l->is_accepted,
                       l->is_accepted     ? "Accepted"
                       : l->is_conflicted ? "PortUnavailable"
                                          : "UnsupportedProtocol",
                       "");
    listener_condition(m, g, l, "Programmed", l->is_programmed,
                       l->is_programmed ? "Programmed" : "Invalid",
                       l->is_programmed ? "" : "The listener is not opened.");
}

void link_gateways(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_GATEWAY_CLASS), o)
        link_class(m, CONTAINER_OF(*o, struct gateway_class, object));
    VEC_FOREACH (manifest_kind(m, KIND_GATEWAY), o) {
        struct gateway *g = CONTAINER_OF(*o, struct gateway, object);

        link_gateway_class(m, g);
        VEC_FOREACH (&g->spec.listeners, l)
            link_listener(m, g, l);
    }
}

/* Its own parameters; those of its class are told there. */
static bool gateway_has_bad_parameters(const struct gateway *g)
{
    const struct gateway_infrastructure *infra = g->spec.infrastructure;
    const struct object *proxy;

    if (!infra || !infra->parameters_ref)
        return false;
    proxy = infra->parameters_ref->target;
    return !proxy || proxy->kind->id != KIND_ENVOY_PROXY || proxy->is_broken;
}

static void link_gateway_judge(struct manifest *m, struct gateway *g)
{
    size_t n_programmed = 0;
    bool is_served = g->is_ours && !g->object.is_broken;
    bool has_bad_parameters = gateway_has_bad_parameters(g);

    VEC_FOREACH (&g->spec.listeners, l)
        n_programmed += l->is_programmed;
    bool is_partial = n_programmed < g->spec.listeners.n;

    object_set_condition(&g->object, &m->arena, STR(""), "Accepted",
                         is_served && !has_bad_parameters ? CONDITION_TRUE : CONDITION_FALSE,
                         !g->class             ? "NoMatchingClass"
                         : !g->is_ours         ? "Pending"
                         : g->object.is_broken ? "Invalid"
                         : has_bad_parameters  ? "InvalidParameters"
                         : is_partial          ? "ListenersNotValid"
                                               : "Accepted",
                         "%zu of %zu listeners are valid.", n_programmed, g->spec.listeners.n);
    object_set_condition(&g->object, &m->arena, STR(""), "Programmed",
                         is_served && n_programmed > 0 ? CONDITION_TRUE : CONDITION_FALSE,
                         is_served && n_programmed > 0 ? "Programmed" : "Invalid", "%s", "");
}

void link_judge_parameters(struct manifest *m, const struct object *proxy)
{
    VEC_FOREACH (manifest_kind(m, KIND_GATEWAY_CLASS), o) {
        struct gateway_class *c = CONTAINER_OF(*o, struct gateway_class, object);

        if (c->envoy_proxy == proxy)
            class_judge(m, c);
    }
    VEC_FOREACH (manifest_kind(m, KIND_GATEWAY), o) {
        struct gateway *g = CONTAINER_OF(*o, struct gateway, object);

        if (g->envoy_proxy == proxy)
            link_gateway_judge(m, g);
    }
}

void link_gateway_conditions(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_GATEWAY), o)
        link_gateway_judge(m, CONTAINER_OF(*o, struct gateway, object));
}

void link_drop_listener(struct manifest *m, struct gateway *g, struct listener *l,
                        enum listener_drop why, const char *message)
{
    static const char *const reasons[] = {
        [LISTENER_HOSTNAME_CONFLICT] = "HostnameConflict",
        [LISTENER_PROTOCOL_CONFLICT] = "ProtocolConflict",
        [LISTENER_NO_ADDRESS] = "AddressNotAssigned",
        [LISTENER_BAD_TLS] = "Invalid",
    };

    l->is_programmed = false;
    if (why == LISTENER_HOSTNAME_CONFLICT || why == LISTENER_PROTOCOL_CONFLICT) {
        l->is_conflicted = true;
        listener_condition(m, g, l, "Conflicted", true, reasons[why], message);
    }
    listener_condition(m, g, l, "Programmed", false, reasons[why], message);
    link_gateway_judge(m, g);
}
