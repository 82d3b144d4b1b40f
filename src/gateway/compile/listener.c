/* compile: a programmed listener with its routes, late headers and client settings. */
#include "base/assert.h"
#include "gateway/compile/cost.h"
#include "gateway/compile/layer.h"
#include "gateway/compile/log/access_log.h"
#include "gateway/compile/shared_route.h"
#include "gateway/compile/telemetry/metric_sink.h"
#include "gateway/compile/telemetry/tracing.h"
#include "gateway/compile/tls/client_rule.h"
#include "manifest/client_traffic_policy.h"
#include "policy/route_table.h"

/* A policy with an error, or client certificates asked for in a way that cannot be enforced:
 * everything refuses. */
static const char *compile_listener_trouble(struct compile *c, const struct gateway *g,
                                            const struct listener *l)
{
    const struct client_traffic_policy *p = compile_client_policy(c, g, l);

    if (p && p->object.is_broken)
        return "its ClientTrafficPolicy has an error";
    return compile_frontend_trouble(c, g, l);
}

/* Nobody can show a certificate without TLS; Envoy Gateway too applies `tls` to HTTPS alone. */
static void compile_name_plain(struct compile *c, const struct gateway *g, const struct listener *l)
{
    const struct client_traffic_policy *p = compile_client_policy(c, g, l);
    struct diag *d;

    if (l->kind == LISTENER_HTTPS || !p || !p->spec.tls || !p->spec.tls->client_validation)
        return;
    d = diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, l->mark, g->object.label,
                 "listener \"%.*s\" has no TLS: its clients are let in without the certificate "
                 "that %.*s asks for",
                 STR_ARG(l->name), STR_ARG(p->object.label));
    d->other = p->spec.tls->client_validation->mark;
    d->other_text = STR("asked for here");
}

static void compile_break_routes(struct listener_plan *plan, const char *why)
{
    for (uint32_t i = 0; i < plan->n_route_plans; i++) {
        for (uint32_t k = 0; k < plan->route_plans[i]->n_rules; k++) {
            struct rule_plan *rule = &plan->route_plans[i]->rules[k];

            rule->security = compile_unavailable(&plan->route_plans[i]->arena, rule->security, why);
        }
    }
}

/* Once, however many members attach it. */
static void compile_attached(struct compile *c, const struct listener_member *m,
                             const struct attached_route *attached, struct listener_plan *plan,
                             struct route_table_builder *builder, struct map *firsts)
{
    const struct object *route = attached->route;
    struct shared_route *first = map_find(firsts, route->label);
    uint32_t n_before = plan->n_route_plans;

    if (first) {
        shared_route_compare(c, first, m, route);
        return;
    }
    compile_route(c, m, attached, plan, builder);
    plan->has_ai_routes |= route->kind->id == KIND_AI_GATEWAY_ROUTE;
    first = ARENA_NEW(&c->scratch, struct shared_route);
    *first = (struct shared_route){m, plan->route_plans[n_before]};
    map_put(firsts, route->label, first);
}

/* AI requests that an HTTPRoute takes, or an AIGatewayRoute without costs, cost what the first
 * AIGatewayRoute with costs says. */
static void compile_default_costs(const struct listener_draft *draft, struct listener_plan *plan)
{
    const struct object *first = NULL;

    VEC_FOREACH (&draft->members, m) {
        VEC_FOREACH (&m->listener->routes, attached) {
            const struct object *o = attached->route;

            if (o->kind->id == KIND_AI_GATEWAY_ROUTE &&
                ((const struct ai_gateway_route *)o)->spec.llm_request_costs.n > 0 &&
                (!first || object_compare_age(o, first) < 0))
                first = o;
        }
    }
    if (first)
        plan->costs = compile_costs((const struct ai_gateway_route *)first, &plan->arena);
}

static void compile_routes(struct compile *c, const struct listener_draft *draft,
                           struct listener_plan *plan)
{
    struct route_table_builder *builder =
        route_table_builder_new(&plan->routing, &plan->late_headers);
    struct map firsts = {0}; /* struct shared_route by the route's label */
    size_t n = 0;

    VEC_FOREACH (&draft->members, m)
        n += m->listener->routes.n;
    plan->route_plans = ARENA_ARRAY(&plan->routing, struct route_plan *, n + 1);
    compile_default_costs(draft, plan);
    VEC_FOREACH (&draft->members, m) {
        VEC_FOREACH (&m->listener->routes, attached)
            compile_attached(c, m, attached, plan, builder, &firsts);
    }
    map_deinit(&firsts);
    plan->routes = route_table_build(builder);
}

struct str compile_listener_name(struct arena *a, const struct gateway *g, const struct listener *l)
{
    return arena_printf(a, "%.*s/%.*s/%.*s", STR_ARG(g->object.namespace), STR_ARG(g->object.name),
                        STR_ARG(l->name));
}

static void compile_telemetry(struct compile *c, const struct gateway *g,
                              struct listener_plan *plan)
{
    struct envoy_proxy *proxy = compile_proxy(g);

    compile_metric_sinks(c, proxy);
    compile_tracing(c, g, proxy, plan);
}

struct listener_plan *compile_listener(struct compile *c, const struct listener_draft *draft)
{
    const struct gateway *g = draft->members.items[0].gateway;
    const struct listener *l = draft->members.items[0].listener;
    struct listener_plan *plan = listener_plan_new();
    const char *trouble;

    plan->name = compile_listener_name(&plan->arena, g, l);
    plan->hostname = arena_lower(&plan->arena, l->hostname);
    compile_late_headers(c, &plan->arena, &plan->late_headers);
    listener_plan_note_initials(plan);
    compile_credential_names(c, &plan->arena, &plan->credential_names);
    compile_client(c, g, l, &plan->arena, &plan->client);
    compile_client_edits(c, g, l, plan);
    compile_logs(c, g, plan);
    if (compile_proxy(g))
        compile_telemetry(c, g, plan);
    compile_routes(c, draft, plan);
    compile_name_plain(c, g, l);
    trouble = compile_listener_trouble(c, g, l);
    if (trouble)
        compile_break_routes(plan, trouble);
    return plan;
}
