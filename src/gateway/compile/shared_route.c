/* compile: routes that several members of one listener attach. The chain of policies of a rule ends
 * at its Gateway, so two Gateways may guard the same rule differently. Which of the two guards a
 * request is then anybody's choice, and the one that is passed over would be a hole: the rule
 * refuses. Listeners that differ by themselves (TLS, clients, logs) are gather.c's. */
#include "gateway/compile/shared_route.h"

#include "manifest/ai_gateway_route.h"
#include "manifest/grpc_route.h"
#include "manifest/policy_merge.h"

static struct str rule_name(const struct object *route, uint32_t index)
{
    const struct http_route *http = (const struct http_route *)route;
    const struct grpc_route *grpc = (const struct grpc_route *)route;
    const struct ai_gateway_route *ai = (const struct ai_gateway_route *)route;

    if (route->kind->id == KIND_AI_GATEWAY_ROUTE)
        return ai->spec.rules.items[index].name;
    if (route->kind->id == KIND_GRPC_ROUTE)
        return index < grpc->spec.rules.n ? grpc->spec.rules.items[index].name : STR("");
    /* A route without rules has one that is nowhere written. */
    return index < http->spec.rules.n ? http->spec.rules.items[index].name : STR("");
}

static struct policy_chain rule_chain(struct compile *c, enum kind_id kind,
                                      const struct object *route, uint32_t index,
                                      const struct listener_member *m)
{
    return manifest_policy_chain(c->manifest, kind, route, rule_name(route, index),
                                 &m->gateway->object, m->listener->name);
}

static bool rule_is_same(struct compile *c, enum kind_id kind, const struct object *route,
                         uint32_t index, const struct listener_member *a,
                         const struct listener_member *b)
{
    struct policy_chain of_a = rule_chain(c, kind, route, index, a);
    struct policy_chain of_b = rule_chain(c, kind, route, index, b);

    return policy_chain_is_same(&of_a, &of_b);
}

/* A policy of a Gateway's namespace that cannot be attached guards everything behind it. */
static bool guard_is_same(struct compile *c, const struct listener_member *a,
                          const struct listener_member *b)
{
    return manifest_has_lost_guard(c->manifest, a->gateway->object.namespace) ==
           manifest_has_lost_guard(c->manifest, b->gateway->object.namespace);
}

static void report(struct compile *c, enum diag_severity severity, const struct shared_route *first,
                   const struct listener_member *m, const struct object *route, uint32_t n_rules)
{
    const struct gateway *older = first->member->gateway;
    bool is_error = severity == DIAG_ERROR;
    struct diag *d = diag_add(
        &c->manifest->diags, severity, is_error ? DIAG_CONFLICT : DIAG_INEFFECTIVE, route->mark,
        route->label,
        "attached to %.*s and to %.*s, whose listeners on port %lld are one, with other %s "
        "for %u of its rules: %s",
        STR_ARG(older->object.label), STR_ARG(m->gateway->object.label),
        (long long)m->listener->port.value,
        is_error ? "SecurityPolicies" : "BackendTrafficPolicies", n_rules,
        is_error ? "they refuse" : "those of the first Gateway apply");

    d->other = m->gateway->object.mark;
    d->other_text = STR("the second Gateway");
}

void shared_route_compare(struct compile *c, const struct shared_route *first,
                          const struct listener_member *m, const struct object *route)
{
    bool is_guard_same = guard_is_same(c, first->member, m);
    uint32_t n_refusing = 0;
    uint32_t n_other = 0;

    for (uint32_t i = 0; i < first->plan->n_rules; i++) {
        struct rule_plan *rule = &first->plan->rules[i];

        n_other += !rule_is_same(c, KIND_BACKEND_TRAFFIC_POLICY, route, i, first->member, m);
        if (is_guard_same && rule_is_same(c, KIND_SECURITY_POLICY, route, i, first->member, m))
            continue;
        rule->security = compile_unavailable(&first->plan->arena, rule->security,
                                             "its Gateways guard it by different policies");
        n_refusing++;
    }
    if (n_refusing > 0)
        report(c, DIAG_ERROR, first, m, route, n_refusing);
    if (n_other > 0)
        report(c, DIAG_WARNING, first, m, route, n_other);
}
