/* compile: a programmed listener with its routes, late headers, client settings and access logs. */
#include "base/assert.h"
#include "gateway/compile/cost.h"
#include "gateway/compile/layer.h"
#include "gateway/compile/shared_route.h"
#include "gateway/compile/telemetry/metric_sink.h"
#include "gateway/compile/telemetry/tracing.h"
#include "gateway/compile/tls/client_rule.h"
#include "manifest/client_traffic_policy.h"
#include "manifest/envoy_proxy.h"
#include "policy/route_table.h"
#include "telemetry/log_format.h"
#include "telemetry/log_writer.h"

/* ---- access logs ---- */

static void compile_log_error(struct compile *c, struct object *o, struct mark mark,
                              const struct log_format_error *e)
{
    if (mark.file)
        mark.column += (uint32_t)e->column;
    manifest_object_error(c->manifest, o, DIAG_INVALID_VALUE, mark, "access log format: %s",
                          e->text);
}

static const struct log_format *compile_log_format(struct compile *c, struct object *o,
                                                   struct arena *a,
                                                   const struct access_log_format *spec)
{
    const struct log_format *format = NULL;
    struct log_format_error error;
    struct str *names, *texts;

    if (!spec)
        return log_format_default();
    if (spec->text.text.len > 0) {
        if (log_format_new_text(a, spec->text.text, &format, &error) != 0)
            compile_log_error(c, o, spec->text.mark, &error);
        return format;
    }
    if (spec->json.n == 0)
        return log_format_default();
    names = ARENA_ARRAY(&c->scratch, struct str, spec->json.n);
    texts = ARENA_ARRAY(&c->scratch, struct str, spec->json.n);
    for (size_t i = 0; i < spec->json.n; i++) {
        names[i] = spec->json.items[i].key;
        texts[i] = spec->json.items[i].value;
    }
    if (log_format_new_json(a, names, texts, spec->json.n, &format, &error) != 0)
        compile_log_error(c, o, spec->json.items[0].mark, &error);
    return format;
}

struct log_plans {
    struct access_log_plan *items;
    size_t n;
    size_t cap;
};

static void compile_log_sink(struct compile *c, struct object *o, struct arena *a,
                             struct log_plans *logs, const struct log_format *format,
                             struct str path)
{
    uint32_t sink = 0;

    if (!format)
        return;
    if (c->log_writer && log_writer_sink(c->log_writer, path, &sink) != 0) {
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE,
                 o ? o->mark : (struct mark){0}, o ? o->label : STR(""),
                 "access log %.*s cannot be written", STR_ARG(path));
        return;
    }
    VEC_PUSH(a, logs, ((struct access_log_plan){format, sink}));
}

static void compile_log_settings(struct compile *c, struct envoy_proxy *proxy,
                                 const struct access_log_spec *spec, struct arena *a,
                                 struct log_plans *logs)
{
    for (size_t i = 0; i < spec->settings.n; i++) {
        const struct access_log_setting *s = &spec->settings.items[i];
        const struct log_format *format = compile_log_format(c, &proxy->object, a, s->format);
        bool has_sink = false;

        for (size_t k = 0; k < s->sinks.n; k++) {
            const struct access_log_sink *sink = &s->sinks.items[k];

            if (sink->type != LOG_SINK_FILE || !sink->file)
                continue; /* named by check as not enforced */
            compile_log_sink(c, &proxy->object, a, logs, format, sink->file->path);
            has_sink = true;
        }
        if (!has_sink && s->sinks.n == 0)
            compile_log_sink(c, &proxy->object, a, logs, format, STR("/dev/stdout"));
    }
}

/* NULL: the defaults, also where the parameters given cannot be used. */
static struct envoy_proxy *compile_proxy(const struct gateway *g)
{
    return g->envoy_proxy && !g->envoy_proxy->is_broken ? (struct envoy_proxy *)g->envoy_proxy
                                                        : NULL;
}

static void compile_logs(struct compile *c, const struct gateway *g, struct listener_plan *plan)
{
    struct envoy_proxy *proxy = compile_proxy(g);
    const struct access_log_spec *spec =
        proxy && proxy->spec.telemetry ? proxy->spec.telemetry->access_log : NULL;
    struct log_plans logs = {0};
    bool is_default = !spec || spec->settings.n == 0;

    if (spec && spec->disable.value)
        return;
    if (!is_default) {
        compile_log_settings(c, proxy, spec, &plan->arena, &logs);
        is_default = proxy->object.is_broken; /* by a format: a gateway never serves unlogged */
    }
    if (is_default)
        logs.n = 0;
    if (is_default)
        compile_log_sink(c, NULL, &plan->arena, &logs, log_format_default(), STR("/dev/stdout"));
    plan->logs = logs.items;
    plan->n_logs = (uint32_t)logs.n;
}

/* ---- the listener ---- */

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
