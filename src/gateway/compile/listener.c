/* compile: a programmed listener with its routes, late headers, client settings and access logs. */
#include "base/assert.h"
#include "gateway/compile/cost.h"
#include "gateway/compile/layer.h"
#include "gateway/compile/shared_route.h"
#include "manifest/client_traffic_policy.h"
#include "manifest/envoy_proxy.h"
#include "policy/route_table.h"
#include "telemetry/log_format.h"
#include "telemetry/log_writer.h"

enum {
    CLIENT_IDLE_US = 300 * 1000000,
    CLIENT_HEAD_US = 15 * 1000000,
    CLIENT_HEAD_BYTES_MAX = 1024 * 1024,
    CLIENT_HELD_BYTES = 1024 * 1024,
    CLIENT_STREAM_WINDOW_BYTES = 64 * 1024,
    CLIENT_WINDOW_BYTES = 1024 * 1024,
};

/* ---- clients ---- */

const struct client_traffic_policy *
compile_client_policy(struct compile *c, const struct gateway *g, const struct listener *l)
{
    const struct object_vec *at =
        manifest_policies_at(c->manifest, KIND_CLIENT_TRAFFIC_POLICY, &g->object, l->name);

    if (at->n == 0)
        at = manifest_policies_at(c->manifest, KIND_CLIENT_TRAFFIC_POLICY, &g->object, STR(""));
    return at->n > 0 ? (const struct client_traffic_policy *)at->items[0] : NULL;
}

static void compile_detection(const struct client_ip_detection *spec, struct arena *a,
                              struct client_address_policy *ret)
{
    size_t bad;

    if (spec->custom_header) {
        ret->mode = CLIENT_ADDRESS_HEADER;
        ret->header = arena_lower(a, spec->custom_header->name);
        ret->must_have = spec->custom_header->fail_closed.value;
    } else if (spec->x_forwarded_for && spec->x_forwarded_for->trusted_cidrs.n > 0) {
        ret->mode = CLIENT_ADDRESS_CIDRS;
        if (!cidr_list_parse(spec->x_forwarded_for->trusted_cidrs.items,
                             spec->x_forwarded_for->trusted_cidrs.n, a, &ret->trusted, &bad))
            ret->mode = CLIENT_ADDRESS_SOCKET; /* checked at decode */
    } else if (spec->x_forwarded_for) {
        ret->mode = CLIENT_ADDRESS_HOPS;
        ret->n_trusted_hops = (uint32_t)spec->x_forwarded_for->num_trusted_hops.value;
    }
}

static bool detection_omits_append(const struct client_ip_detection *spec)
{
    return spec->x_forwarded_for && spec->x_forwarded_for->disable_append.value;
}

static void compile_client_headers(const struct client_headers *h, struct client_plan *ret)
{
    ret->drops_underscore = h->with_underscores_action == UNDERSCORES_DROP;
    ret->allows_underscore =
        ret->drops_underscore || h->with_underscores_action == UNDERSCORES_ALLOW;
    ret->keeps_request_id = h->preserve_request_id.value ||
                            h->request_id == REQUEST_ID_PRESERVE_OR_GENERATE ||
                            h->request_id == REQUEST_ID_PRESERVE;
    ret->omits_limit_headers = h->disable_rate_limit_headers.value;
    ret->omits_request_id =
        h->request_id == REQUEST_ID_PRESERVE || h->request_id == REQUEST_ID_DISABLE;
    if (h->forwarded_client_cert &&
        (h->forwarded_client_cert->mode == CLIENT_CERT_SANITIZE_SET ||
         h->forwarded_client_cert->mode == CLIENT_CERT_APPEND_FORWARD)) {
        ret->tells_certificate = true;
        ret->certificate_details = h->forwarded_client_cert->details;
    }
    if (h->max_request_header_bytes.is_set)
        ret->head_bytes_limit =
            (uint32_t)MIN(h->max_request_header_bytes.value, (int64_t)CLIENT_HEAD_BYTES_MAX);
}

static uint64_t positive_or(struct opt_duration d, uint64_t otherwise)
{
    return d.is_set && d.us > 0 ? d.us : otherwise;
}

static uint32_t bounded_or(struct opt_int asked, uint32_t limit, uint32_t otherwise)
{
    return asked.is_set ? (uint32_t)MIN(asked.value, (int64_t)limit) : otherwise;
}

static void compile_client_h2(const struct http2_settings *s, struct client_h2_plan *ret)
{
    static const uint64_t second_us = 1000000;
    static const struct http2_keepalive none;
    const struct http2_keepalive *k = s->connection_keepalive ? s->connection_keepalive : &none;

    ret->n_streams_max =
        bounded_or(s->max_concurrent_streams, LIMIT_H2_STREAMS_MAX, LIMIT_H2_STREAMS);
    ret->stream_window = bounded_or(s->initial_stream_window_bytes, LIMIT_H2_STREAM_WINDOW_BYTES,
                                    CLIENT_STREAM_WINDOW_BYTES);
    ret->connection_window =
        bounded_or(s->initial_connection_window_bytes, LIMIT_H2_WINDOW_BYTES, CLIENT_WINDOW_BYTES);
    ret->keeps_connection = s->on_invalid_message == HTTP2_TERMINATE_STREAM;
    ret->pings_idle = k->interval.is_set && k->interval.us > 0;
    ret->ping_us = positive_or(k->interval, LIMIT_H2_SILENCE_S * second_us);
    ret->ping_answer_us = positive_or(k->timeout, LIMIT_H2_PING_ANSWER_S * second_us);
}

void compile_client(struct compile *c, const struct gateway *g, const struct listener *l,
                    struct arena *a, struct client_plan *ret)
{
    static const struct http2_settings no_http2 = {.on_invalid_message = -1};
    const struct client_traffic_policy *p = compile_client_policy(c, g, l);

    *ret = (struct client_plan){
        .idle_us = CLIENT_IDLE_US, .head_us = CLIENT_HEAD_US, .held_bytes = CLIENT_HELD_BYTES};
    compile_client_h2(p && !p->object.is_broken && p->spec.http2 ? p->spec.http2 : &no_http2,
                      &ret->h2);
    if (!p || p->object.is_broken)
        return;
    if (p->spec.client_ip_detection)
        compile_detection(p->spec.client_ip_detection, a, &ret->address);
    ret->omits_forwarded_for =
        p->spec.client_ip_detection && detection_omits_append(p->spec.client_ip_detection);
    if (p->spec.headers)
        compile_client_headers(p->spec.headers, ret);
    if (p->spec.timeout && p->spec.timeout->http) {
        const struct client_http_timeout *t = p->spec.timeout->http;

        ret->idle_us = positive_or(t->idle_timeout, CLIENT_IDLE_US);
        ret->head_us = positive_or(t->request_headers_received_timeout, CLIENT_HEAD_US);
        ret->received_us = positive_or(t->request_received_timeout, 0);
    }
    if (p->spec.connection && p->spec.connection->limit && p->spec.connection->limit->value.is_set)
        ret->connection_limit = (uint32_t)p->spec.connection->limit->value.value;
    if (p->spec.connection && p->spec.connection->buffer_limit_bytes.is_set)
        ret->held_bytes =
            (uint32_t)MIN(p->spec.connection->buffer_limit_bytes.value, (int64_t)LIMIT_HELD_BYTES);
}

/* Client certificates asked for in a way that is not enforced yet, or a policy with an error:
 * everything refuses. */
static const char *compile_listener_trouble(struct compile *c, const struct gateway *g,
                                            const struct listener *l)
{
    const struct client_traffic_policy *p = compile_client_policy(c, g, l);

    if (p && p->object.is_broken)
        return "its ClientTrafficPolicy has an error";
    if (p && client_traffic_policy_find_unenforced(&p->spec))
        return "its ClientTrafficPolicy asks for what is not enforced yet of client certificates";
    if (g->has_client_certificates && l->kind == LISTENER_HTTPS)
        return "the Gateway asks for client certificates, which are not enforced yet";
    return NULL;
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
    if (plan->n_route_plans == n_before)
        return; /* of a kind that is not served */
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

struct listener_plan *compile_listener(struct compile *c, const struct listener_draft *draft)
{
    const struct gateway *g = draft->members.items[0].gateway;
    const struct listener *l = draft->members.items[0].listener;
    struct listener_plan *plan = listener_plan_new();
    const char *trouble;

    plan->name = compile_listener_name(&plan->arena, g, l);
    plan->hostname = arena_lower(&plan->arena, l->hostname);
    compile_late_headers(c, &plan->arena, &plan->late_headers);
    compile_credential_names(c, &plan->arena, &plan->credential_names);
    compile_client(c, g, l, &plan->arena, &plan->client);
    compile_logs(c, g, plan);
    compile_routes(c, draft, plan);
    compile_name_plain(c, g, l);
    trouble = compile_listener_trouble(c, g, l);
    if (trouble)
        compile_break_routes(plan, trouble);
    return plan;
}
