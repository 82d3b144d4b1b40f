/* Attachment of policies to Gateways, listeners, routes, rules, Services and Backends (GEP-713;
 * Envoy Gateway's policies). Where only one policy of a kind can hold, the older wins and the other
 * is Conflicted; founding-form BackendSecurityPolicies of one target add up.
 *
 * Owner: the index lives with the load. Thread: the compile thread. Merging along a chain is
 * compile's. */
#include <stdio.h>
#include <stdlib.h>

#include "manifest/backend_security_policy.h"
#include "manifest/backend_tls_policy.h"
#include "manifest/client_traffic_policy.h"
#include "manifest/core.h"
#include "manifest/link/link_internal.h"
#include "manifest/object_decode.h"
#include "manifest/part/policy_target.h"
#include "manifest/security_policy.h"

/* Where policies of one kind are attached. */
struct policy_point {
    struct object_vec policies;
};

static const struct object_vec no_policies;

enum { POINT_KEY_MAX = 1024 };

/* Identity of the place: by label, because a Service that stands in no given file can be a target
 * too, and what guards it must hold when it resolves by DNS. */
static struct str point_key(char *buffer, enum kind_id policy_kind, struct str label,
                            struct str section)
{
    int n = snprintf(buffer, POINT_KEY_MAX, "%d/%.*s#%.*s", (int)policy_kind,
                     STR_ARG(str_slice(label, 0, 640)), STR_ARG(str_slice(section, 0, 300)));

    return str_make(buffer, (size_t)n);
}

static const struct object_vec *point_find(const struct manifest *m, enum kind_id policy_kind,
                                           struct str label, struct str section)
{
    char buffer[POINT_KEY_MAX];
    const struct policy_point *point =
        map_find(&m->policies, point_key(buffer, policy_kind, label, section));

    return point ? &point->policies : &no_policies;
}

const struct object_vec *manifest_policies_at(const struct manifest *m, enum kind_id policy_kind,
                                              const struct object *target, struct str section)
{
    return point_find(m, policy_kind, target->label, section);
}

const struct object_vec *manifest_policies_at_service(const struct manifest *m,
                                                      enum kind_id policy_kind,
                                                      struct str namespace, struct str name,
                                                      struct str section)
{
    char label[POINT_KEY_MAX];
    int n = snprintf(label, sizeof label, "Service/%.*s/%.*s", STR_ARG(str_slice(namespace, 0, 63)),
                     STR_ARG(str_slice(name, 0, 253)));

    return point_find(m, policy_kind, str_make(label, (size_t)n), section);
}

static void chain_add(struct policy_chain *chain, const struct manifest *m, enum kind_id kind,
                      const struct object *target, struct str section)
{
    const struct object_vec *found = manifest_policies_at(m, kind, target, section);

    if (found->n > 0)
        chain->items[chain->n++] = found->items[0];
}

struct policy_chain manifest_policy_chain(const struct manifest *m, enum kind_id policy_kind,
                                          const struct object *route, struct str rule_name,
                                          const struct object *gateway, struct str listener_name)
{
    struct policy_chain chain = {0};

    if (route && !str_is_empty(rule_name))
        chain_add(&chain, m, policy_kind, route, rule_name);
    if (route)
        chain_add(&chain, m, policy_kind, route, STR(""));
    if (gateway && !str_is_empty(listener_name))
        chain_add(&chain, m, policy_kind, gateway, listener_name);
    if (gateway)
        chain_add(&chain, m, policy_kind, gateway, STR(""));
    return chain;
}

static struct policy_targets *policy_targets_of(struct object *policy)
{
    /* Every policy's spec begins with its targets (kind_is_policy). */
    return (struct policy_targets *)(void *)((char *)policy + policy->kind->spec_offset);
}

static struct policy_point *point_get(struct manifest *m, enum kind_id kind, struct str label,
                                      struct str section)
{
    char buffer[POINT_KEY_MAX];
    struct str key = point_key(buffer, kind, label, section);
    struct policy_point *point = map_find(&m->policies, key);

    if (!point) {
        point = ARENA_NEW(&m->arena, struct policy_point);
        map_put(&m->policies, arena_str(&m->arena, key), point);
    }
    return point;
}

/* Whether two founding-form policies ask the same kind of check of one Backend. */
static bool policies_overlap(const struct object *a, const struct object *b)
{
    const struct backend_security_policy_spec *x, *y;

    if (a->kind->id != KIND_BACKEND_SECURITY_POLICY)
        return true;
    x = &CONTAINER_OF(a, struct backend_security_policy, object)->spec;
    y = &CONTAINER_OF(b, struct backend_security_policy, object)->spec;
    return (x->basic_auth && y->basic_auth) || (x->api_key_auth && y->api_key_auth) ||
           (x->ext_auth && y->ext_auth);
}

/* The first feature of a policy without which what it covers refuses; NULL when all are enforced.
 */
static const char *policy_find_unenforced(const struct object *policy)
{
    if (policy->kind->id == KIND_SECURITY_POLICY)
        return security_policy_find_unenforced(
            &CONTAINER_OF(policy, struct security_policy, object)->spec);
    if (policy->kind->id == KIND_BACKEND_TLS_POLICY)
        return backend_tls_policy_find_unenforced(
            &CONTAINER_OF(policy, struct backend_tls_policy, object)->spec);
    if (policy->kind->id == KIND_BACKEND_SECURITY_POLICY)
        return backend_security_policy_find_unenforced(
            &CONTAINER_OF(policy, struct backend_security_policy, object)->spec);
    return NULL;
}

/* Why a policy that stands where it should is not accepted all the same; empty: it is. */
static struct str policy_trouble(struct manifest *m, const struct object *policy)
{
    const char *unenforced = policy_find_unenforced(policy);

    if (policy->is_broken)
        return STR("The policy cannot be used as it stands: what it covers refuses.");
    if (unenforced)
        return arena_printf(&m->arena, "%s is not enforced yet: what the policy covers refuses.",
                            unenforced);
    return STR("");
}

/* `reason` and `message` NULL: as the policy is. */
static void policy_condition(struct manifest *m, struct object *policy, const struct object *target,
                             const char *reason, const char *message)
{
    struct str trouble = message ? str_of(message) : policy_trouble(m, policy);
    bool is_accepted = trouble.len == 0;
    struct str ancestor = target->label;
    struct route_view view = {0};

    if (kind_is_route(target->kind->id))
        view = route_view_of((struct object *)(uintptr_t)target);
    /* The ancestor of a route's policy is the Gateway that serves the route. */
    for (size_t i = 0; i < MAX(view.n_parent_refs, (size_t)1); i++) {
        if (i < view.n_parent_refs && view.parent_refs[i].target)
            ancestor = view.parent_refs[i].target->label;
        object_set_condition(policy, &m->arena, ancestor, "Accepted",
                             is_accepted ? CONDITION_TRUE : CONDITION_FALSE,
                             reason        ? reason
                             : is_accepted ? "Accepted"
                                           : "Invalid",
                             "%.*s", STR_ARG(trouble));
    }
}

static void policy_report_conflict(struct manifest *m, struct object *policy,
                                   const struct object *older, const struct object *target,
                                   struct mark mark)
{
    struct diag *d = diag_add(&m->diags, DIAG_ERROR, DIAG_CONFLICT, mark, policy->label,
                              "%.*s already has a %.*s: this one has no effect there",
                              STR_ARG(target->label), STR_ARG(policy->kind->name));

    d->other = older->mark;
    d->other_text =
        arena_printf(&m->arena, "%.*s, which is older or first by name", STR_ARG(older->label));
    policy_condition(m, policy, target, "Conflicted", "An older policy has the same target.");
}

static void policy_attach(struct manifest *m, struct object *policy, struct object *target,
                          struct str section, struct mark mark)
{
    struct policy_point *point = point_get(m, policy->kind->id, target->label, section);

    VEC_FOREACH (&point->policies, other) {
        if (*other == policy)
            return;
        if (policies_overlap(*other, policy)) {
            policy_report_conflict(m, policy, *other, target, mark);
            return;
        }
    }
    VEC_PUSH(&m->arena, &point->policies, policy);
    policy_condition(m, policy, target, NULL, NULL);
}

static bool service_has_port_name(const struct service *s, struct str name)
{
    VEC_FOREACH (&s->spec.ports, p) {
        if (str_eq(p->name, name))
            return true;
    }
    return false;
}

static bool target_has_section(struct object *target, struct str section)
{
    if (str_is_empty(section))
        return true;
    if (target->kind->id == KIND_GATEWAY)
        return gateway_find_listener(CONTAINER_OF(target, struct gateway, object), section) != NULL;
    if (target->kind->id == KIND_SERVICE)
        return service_has_port_name(CONTAINER_OF(target, struct service, object), section);
    return kind_is_route(target->kind->id) && route_has_rule(target, section);
}

static void target_report(struct manifest *m, struct object *policy, const struct policy_target *t,
                          const struct object *target)
{
    const struct kind *k = kind_find(t->group, t->kind);
    struct link_problem problem = {.state = !k                    ? REF_INVALID_KIND
                                            : kind_is_core(k->id) ? REF_NOT_GIVEN
                                                                  : REF_NOT_FOUND,
                                   .kind = t->kind,
                                   .namespace = policy->namespace,
                                   .name = t->name,
                                   .mark = t->mark,
                                   .path = STR("spec.targetRefs")};
    struct diag *d;

    if (!target) {
        link_report(m, policy, &problem);
        return;
    }
    /* A guard whose place is gone makes a reload fail rather than open what it guarded. */
    if (kind_is_guard(policy->kind->id))
        manifest_lose_guard(m, policy->kind->id, policy->namespace);
    else
        m->n_incomplete++;
    d = diag_add(&m->diags, DIAG_ERROR, DIAG_DANGLING_REFERENCE, t->mark, policy->label,
                 "%.*s has no section \"%.*s\"", STR_ARG(target->label), STR_ARG(t->section_name));
    d->path = STR("spec.targetRefs");
}

static void target_attach(struct manifest *m, struct object *policy, struct policy_target *t,
                          struct object *target)
{
    if (target_has_section(target, t->section_name))
        policy_attach(m, policy, target, t->section_name, t->mark);
    else
        target_report(m, policy, t, target);
}

/* A Service that is not given still resolves by DNS: the policy stands where it will be looked for.
 */
static void target_attach_absent(struct manifest *m, struct object *policy,
                                 const struct policy_target *t)
{
    struct object absent = {.kind = &kinds[KIND_SERVICE], .name = t->name};

    target_report(m, policy, t, NULL);
    if (!str_is_empty(t->group) || !str_eq(t->kind, STR("Service")))
        return;
    absent.namespace = policy->namespace;
    absent.label = object_label(&m->arena, t->kind, policy->namespace, t->name);
    policy_attach(m, policy, &absent, t->section_name, t->mark);
}

static void link_target(struct manifest *m, struct object *policy, struct policy_target *t)
{
    struct object *generated = NULL;

    if (str_is_empty(t->name) || str_is_empty(t->kind)) {
        manifest_lose_guard(m, policy->kind->id, policy->namespace);
        return; /* reported by the decoder */
    }
    t->target = manifest_find(m, t->group, t->kind, policy->namespace, t->name);
    /* An AIGatewayRoute is known to policies by the HTTPRoute generated from it, of the same name.
     */
    if (str_eq(t->group, GROUP_GATEWAY) && str_eq(t->kind, STR("HTTPRoute")))
        generated = manifest_get(m, KIND_AI_GATEWAY_ROUTE, policy->namespace, t->name);
    if (t->target)
        target_attach(m, policy, t, t->target);
    if (generated && !t->target)
        target_attach(m, policy, t, generated);
    else if (generated && target_has_section(generated, t->section_name))
        policy_attach(m, policy, generated, t->section_name, t->mark);
    if (!t->target && !generated)
        target_attach_absent(m, policy, t);
    if (!t->target)
        t->target = generated;
}

static bool selector_takes_namespace(const struct manifest *m, const struct target_selector *s,
                                     const struct object *policy, const struct object *target)
{
    const struct object *o;

    if (!s->namespaces || s->namespaces->from == TARGET_NAMESPACES_SAME)
        return str_eq(policy->namespace, target->namespace);
    if (s->namespaces->from == TARGET_NAMESPACES_ALL)
        return true;
    o = manifest_get(m, KIND_NAMESPACE, STR(""), target->namespace);
    return o && s->namespaces->selector &&
           label_selector_matches(s->namespaces->selector, &o->labels);
}

static void link_selector(struct manifest *m, struct object *policy, struct target_selector *s)
{
    const struct kind *k = kind_find(s->group, s->kind);

    if (!k) {
        manifest_lose_guard(m, policy->kind->id, policy->namespace);
        return; /* reported by the decoder */
    }
    VEC_FOREACH (manifest_kind(m, k->id), o) {
        struct object *target = *o;

        if (!selector_takes_namespace(m, s, policy, target) ||
            !label_selector_matches(&s->labels, &target->labels))
            continue;
        /* Trust lies with the namespace of the target: as for any reference. */
        if (grant_permits(m, policy, k->group, k->name, target->namespace, target->name))
            policy_attach(m, policy, target, STR(""), s->labels.mark);
    }
}

static void link_policy(struct manifest *m, struct object *policy)
{
    struct policy_targets *targets = policy_targets_of(policy);

    if (targets->refs.n + targets->selectors.n == 0)
        manifest_lose_guard(m, policy->kind->id, policy->namespace);
    VEC_FOREACH (&targets->refs, t)
        link_target(m, policy, t);
    VEC_FOREACH (&targets->selectors, s)
        link_selector(m, policy, s);
    if (policy->conditions.n == 0)
        diag_add(&m->diags, DIAG_WARNING, DIAG_INEFFECTIVE, policy->mark, policy->label,
                 "attached to nothing");
}

static int policy_compare(const void *a, const void *b)
{
    return object_compare_age(*(struct object *const *)a, *(struct object *const *)b);
}

void link_policies(struct manifest *m)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct object_vec *list = &m->by_kind[i];

        if (!kind_is_policy((enum kind_id)i) || list->n == 0)
            continue;
        qsort(list->items, list->n, sizeof(struct object *), policy_compare);
        VEC_FOREACH (list, o)
            link_policy(m, *o);
    }
}
