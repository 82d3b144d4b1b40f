/* compile: access logs of EnvoyProxies: formats, matches, sinks.
 *
 * A proxy with a format or a match that is not valid is broken, and its Gateways log by the
 * default: none serves unlogged for a misspelt word. Formats and matches are tried once per proxy,
 * then compiled for each listener into its plan, which outlives the manifest. */
#include "gateway/compile/log/access_log.h"

#include <errno.h>

#include "base/limits.h"
#include "gateway/account/log_match.h"
#include "manifest/ai_gateway_route.h"
#include "manifest/envoy_proxy.h"
#include "manifest/gateway.h"
#include "telemetry/log_format.h"
#include "telemetry/log_writer.h"

/* ---- formats ---- */

static void compile_log_error(struct compile *c, struct object *o, struct mark mark,
                              const struct log_format_error *e)
{
    if (o)
        manifest_object_error(c->manifest, o, DIAG_INVALID_VALUE, mark, "access log format: %s",
                              e->text);
}

static const struct log_format *compile_log_json(struct compile *c, struct object *o,
                                                 struct arena *a, const struct text_pair_vec *json)
{
    struct str *names = ARENA_ARRAY(&c->scratch, struct str, json->n);
    struct str *texts = ARENA_ARRAY(&c->scratch, struct str, json->n);
    const struct log_format *format = NULL;
    struct log_format_error error;

    for (size_t i = 0; i < json->n; i++) {
        names[i] = json->items[i].key;
        texts[i] = json->items[i].value;
    }
    if (log_format_new_json(a, names, texts, json->n, &format, &error) != 0) {
        const struct text_pair *pair = &json->items[error.index];
        const struct marked_text value = {pair->value_mark, pair->value_quote, pair->value};

        compile_log_error(c, o, marked_text_at(&value, error.column), &error);
    }
    return format;
}

/* NULL: it is not valid, which is reported where `o` is given. */
static const struct log_format *compile_log_format(struct compile *c, struct object *o,
                                                   struct arena *a,
                                                   const struct access_log_format *spec)
{
    const struct log_format *format = NULL;
    struct log_format_error error;

    if (!spec)
        return log_format_default();
    if (spec->text.text.len == 0)
        return spec->json.n == 0 ? log_format_default() : compile_log_json(c, o, a, &spec->json);
    if (log_format_new_text(a, spec->text.text, &format, &error) != 0)
        compile_log_error(c, o, marked_text_at(&spec->text, error.column), &error);
    return format;
}

static bool compile_is_cost(struct compile *c, struct str key)
{
    VEC_FOREACH (manifest_kind(c->manifest, KIND_AI_GATEWAY_ROUTE), at) {
        const struct ai_gateway_route *route = (const struct ai_gateway_route *)*at;

        VEC_FOREACH (&route->spec.llm_request_costs, cost) {
            if (str_eq(cost->metadata_key, key))
                return true;
        }
    }
    return false;
}

/* Others' filters have metadata of their own: what will never have a value here is named. */
static void compile_log_metadata(struct compile *c, struct object *o, struct mark mark,
                                 const struct log_format *format)
{
    struct str name, cost;
    size_t at = 0;

    while (log_format_next_metadata(format, &at, &name, &cost)) {
        if (cost.len > 0 && compile_is_cost(c, cost))
            continue;
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, mark, o->label,
                 "access log format: %.*s has no value here%s", STR_ARG(name),
                 cost.len > 0 ? ": it is no metadataKey of an AIGatewayRoute's llmRequestCosts"
                              : "");
    }
}

/* ---- matches ---- */

/* False: one is not valid, which is reported where `o` is given. */
static bool compile_log_matches(struct compile *c, struct object *o, struct arena *a,
                                const struct access_log_setting *s, struct access_log_plan *plan)
{
    const struct cel_expr **matches = ARENA_ARRAY(a, const struct cel_expr *, s->matches.n + 1);
    struct cel_error error;
    bool is_good = true;

    for (size_t i = 0; i < s->matches.n; i++) {
        const struct marked_text *text = &s->matches.items[i];

        if (log_match_parse(a, text->text, &matches[i], &error) == 0)
            continue;
        is_good = false;
        if (o)
            manifest_object_error(c->manifest, o, DIAG_INVALID_VALUE,
                                  marked_text_at(text, error.offset), "access log match: %.*s",
                                  STR_ARG(error.text));
    }
    plan->matches = matches;
    plan->n_matches = (uint32_t)s->matches.n;
    return is_good;
}

void compile_check_logs(struct compile *c)
{
    const struct object_vec *proxies = manifest_kind(c->manifest, KIND_ENVOY_PROXY);

    VEC_FOREACH (proxies, at) {
        struct envoy_proxy *proxy = (struct envoy_proxy *)*at;
        const struct telemetry_spec *t = proxy->spec.telemetry;

        for (size_t i = 0; t && t->access_log && i < t->access_log->settings.n; i++) {
            const struct access_log_setting *s = &t->access_log->settings.items[i];
            struct access_log_plan plan;
            const struct log_format *format =
                compile_log_format(c, &proxy->object, &c->scratch, s->format);

            if (format && s->format)
                compile_log_metadata(c, &proxy->object, s->format->mark, format);
            compile_log_matches(c, &proxy->object, &c->scratch, s, &plan);
        }
    }
}

/* ---- sinks ---- */

struct log_plans {
    struct access_log_plan *items;
    size_t n;
    size_t cap;
};

/* What a listener's plan holds on to. */
struct log_hold {
    struct log_writer *writer;
    uint32_t sink;
};

static void compile_log_release(void *hold)
{
    const struct log_hold *h = hold;

    log_writer_release(h->writer, h->sink);
}

static void compile_log_hold(struct compile *c, struct arena *a, uint32_t sink)
{
    struct log_hold *hold = ARENA_NEW(a, struct log_hold);

    *hold = (struct log_hold){c->log_writer, sink};
    arena_on_cleanup(a, compile_log_release, hold);
}

static void compile_log_warn(struct compile *c, const struct object *o, struct str path, int r)
{
    const char *why = r < 0 ? strerrordesc_np(-r) : NULL;
    struct str text;

    if (r == LOG_WRITER_FULL)
        text =
            arena_printf(&c->scratch, "access log %.*s is not written: there are %d others already",
                         STR_ARG(path), LIMIT_LOG_SINKS);
    else
        text = arena_printf(&c->scratch,
                            "access log %.*s cannot be written: %s%s; its lines are dropped and "
                            "counted until it can",
                            STR_ARG(path), why ? why : "it failed",
                            r == -EACCES ? " (folders that no EnvoyProxy named at the start need "
                                           "--log-folder)"
                                         : "");
    if (compile_tells(c, text))
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE,
                 o ? o->mark : (struct mark){0}, o ? o->label : STR(""), "%.*s", STR_ARG(text));
}

static void compile_log_sink(struct compile *c, const struct object *o, struct arena *a,
                             struct log_plans *logs, struct access_log_plan plan, struct str path)
{
    int r = c->log_writer ? log_writer_sink(c->log_writer, path, &plan.sink) : 0;

    if (r != 0)
        compile_log_warn(c, o, path, r);
    if (r == LOG_WRITER_FULL)
        return;
    if (c->log_writer)
        compile_log_hold(c, a, plan.sink);
    VEC_PUSH(a, logs, plan);
}

/* What one listener logs. */
struct log_lists {
    struct log_plans requests;
    struct log_plans connections;
};

/* A request that no listener takes is logged by the port's first; of a connection that none takes
 * there will be no request. */
static void compile_log_to(struct compile *c, const struct object *o, struct arena *a,
                           struct log_lists *to, int type, struct access_log_plan plan,
                           struct str path)
{
    if (type != ACCESS_LOG_LISTENER)
        compile_log_sink(c, o, a, &to->requests, plan, path);
    plan.is_of_unmatched = type != ACCESS_LOG_LISTENER;
    if (type != ACCESS_LOG_ROUTE)
        compile_log_sink(c, o, a, &to->connections, plan, path);
}

static void compile_log_setting(struct compile *c, const struct envoy_proxy *proxy,
                                const struct access_log_setting *s, struct arena *a,
                                struct log_lists *to)
{
    struct access_log_plan plan = {.format = compile_log_format(c, NULL, a, s->format)};

    if (s->type == ACCESS_LOG_UPSTREAM)
        return; /* named by check */
    if (!plan.format || !compile_log_matches(c, NULL, a, s, &plan))
        return;
    for (size_t k = 0; k < s->sinks.n; k++) {
        const struct access_log_sink *sink = &s->sinks.items[k];

        if (sink->type == LOG_SINK_FILE && sink->file) /* others: named by check */
            compile_log_to(c, &proxy->object, a, to, s->type, plan, sink->file->path);
    }
}

struct envoy_proxy *compile_proxy(const struct gateway *g)
{
    return g->envoy_proxy && !g->envoy_proxy->is_broken ? (struct envoy_proxy *)g->envoy_proxy
                                                        : NULL;
}

void compile_logs(struct compile *c, const struct gateway *g, struct listener_plan *plan)
{
    const struct envoy_proxy *proxy = compile_proxy(g);
    const struct access_log_spec *spec =
        proxy && proxy->spec.telemetry ? proxy->spec.telemetry->access_log : NULL;
    struct log_lists logs = {0};

    if (spec && spec->disable.value)
        return;
    for (size_t i = 0; spec && i < spec->settings.n; i++)
        compile_log_setting(c, proxy, &spec->settings.items[i], &plan->arena, &logs);
    if (!spec || spec->settings.n == 0)
        compile_log_to(c, NULL, &plan->arena, &logs, -1,
                       (struct access_log_plan){.format = log_format_default()},
                       STR("/dev/stdout"));
    plan->logs = logs.requests.items;
    plan->n_logs = (uint32_t)logs.requests.n;
    plan->connection_logs = logs.connections.items;
    plan->n_connection_logs = (uint32_t)logs.connections.n;
    VEC_FOREACH (&logs.connections, log)
        plan->logs_connections |= !log->is_of_unmatched;
    VEC_FOREACH (&logs.requests, log)
        plan->logs_peer |= log->n_matches > 0 || log_format_reads_peer(log->format);
}
