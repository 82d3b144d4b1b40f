/* See collector.h. A collector that cannot be had as written gets nothing, which is said: telemetry
 * is no reason to refuse anybody. */
#include "gateway/compile/telemetry/collector.h"

#include "gateway/compile/breaker.h"
#include "gateway/compile/health.h"
#include "gateway/compile/layer.h"
#include "gateway/compile/rule.h"
#include "manifest/backend.h"
#include "telemetry/otlp/otlp_attribute.h"

enum {
    COLLECTOR_CONNECT_US = 10 * 1000000,
    COLLECTOR_TIMEOUT_US = 10 * 1000000, /* OTLP exporters' default */
    OTLP_HTTP_PORT = 4318,
    OTLP_GRPC_PORT = 4317,
};

/* Each listener of a Gateway asks for the same. */
static void PRINTF(4, 5) collector_warn(struct compile *c, const struct collector_draft *d,
                                        enum diag_code code, const char *format, ...)
{
    va_list args;
    struct str text;

    va_start(args, format);
    text = arena_vprintf(&c->scratch, format, args);
    va_end(args);
    if (compile_tells(
            c, arena_printf(&c->scratch, "%.*s: %.*s", STR_ARG(d->owner->label), STR_ARG(text))))
        diag_add(&c->manifest->diags, DIAG_WARNING, code, d->backend->mark, d->owner->label, "%.*s",
                 STR_ARG(text));
}

/* ---- where it is ---- */

static const struct backend_ref *collector_ref(struct compile *c, const struct collector_draft *d)
{
    const struct telemetry_backend *b = d->backend;

    if (b->backend_refs.n > 1)
        collector_warn(c, d, DIAG_UNSUPPORTED_FIELD,
                       "of the backendRefs of a collector only the first is used");
    return b->backend_refs.n > 0 ? &b->backend_refs.items[0] : b->backend_ref;
}

static int64_t collector_ref_port(const struct backend_ref *ref)
{
    const struct backend *b = (const struct backend *)ref->target;
    const struct backend_endpoint *e;

    if (!str_eq(ref->kind, STR("Backend")))
        return ref->port.is_set ? ref->port.value : 0;
    if (ref->state != REF_RESOLVED || b->spec.endpoints.n == 0)
        return 0;
    e = &b->spec.endpoints.items[0];
    return e->fqdn ? e->fqdn->port.value : e->ip ? e->ip->port.value : 0;
}

static void collector_judge_port(struct compile *c, const struct collector_draft *d, int64_t port)
{
    if (port == OTLP_GRPC_PORT)
        collector_warn(c, d, DIAG_INEFFECTIVE,
                       "port %d is where collectors take OTLP by gRPC; here it is sent over HTTP "
                       "(POST %s), for which they have port %d",
                       OTLP_GRPC_PORT, d->signal == EXPORTER_TRACES ? "/v1/traces" : "/v1/metrics",
                       OTLP_HTTP_PORT);
}

/* False: it cannot be had (said). */
static bool collector_find(struct compile *c, const struct collector_draft *d,
                           struct exporter_config *config)
{
    const struct telemetry_backend *b = d->backend;
    const struct backend_ref *ref = collector_ref(c, d);
    int64_t port = b->port.is_set && b->port.value > 0 ? b->port.value : OTLP_HTTP_PORT;

    if (ref) {
        config->authority = compile_authority_of(c, d->owner, ref);
        config->cluster = compile_cluster_of(c, d->owner, ref, false, b->backend_settings);
        port = collector_ref_port(ref);
    } else {
        config->authority =
            arena_printf(&c->scratch, "%.*s:%lld", STR_ARG(b->host), (long long)port);
        config->cluster = compile_cluster_of_uri(c, config->authority, false, b->backend_settings);
    }
    collector_judge_port(c, d, port);
    if (config->cluster && config->authority.len > 0)
        return true;
    collector_warn(c, d, DIAG_INEFFECTIVE,
                   "the collector's backend cannot be had as written: it gets nothing");
    cluster_unref(config->cluster);
    return false;
}

/* ---- what it is told ---- */

static bool collector_has_attribute(const struct text_pair_vec *pairs, struct str key)
{
    VEC_FOREACH (pairs, p) {
        if (str_eq(p->key, key))
            return true;
    }
    return false;
}

static void collector_add_pairs(const struct text_pair_vec *pairs, struct buf *out)
{
    VEC_FOREACH (pairs, p)
        otlp_attribute_text(out, p->key, p->value);
}

static struct str collector_resource(struct compile *c, const struct collector_draft *d)
{
    static const struct otel_sink none;
    const struct otel_sink *o = d->options ? d->options : &none;
    const struct text_pair_vec *given =
        o->resource_attributes.n > 0 ? &o->resource_attributes : &o->resources;
    struct buf out = {0};
    struct str text;

    buf_append_char(&out, '[');
    if (!collector_has_attribute(given, STR("service.name")))
        otlp_attribute_text(&out, STR("service.name"), d->service_name);
    /* Replicas are not to overwrite each other's metrics. */
    if (!collector_has_attribute(given, STR("service.instance.id")) && c->exporters)
        otlp_attribute_text(&out, STR("service.instance.id"), str_of(c->exporters->instance));
    if (!collector_has_attribute(given, STR("service.version")))
        otlp_attribute_text(&out, STR("service.version"), STR(TOLLGATE_VERSION));
    collector_add_pairs(given, &out);
    buf_append_char(&out, ']');
    text = arena_str(&c->scratch, buf_str(&out));
    buf_deinit(&out);
    return text;
}

/* False: one of them cannot be sent (said). */
static bool collector_headers(struct compile *c, const struct collector_draft *d,
                              struct exporter_config *config)
{
    struct exporter_header *headers;

    if (!d->options || d->options->headers.n == 0)
        return true;
    headers = ARENA_ARRAY(&c->scratch, struct exporter_header, d->options->headers.n);
    config->headers = headers;
    VEC_FOREACH (&d->options->headers, h) {
        struct str name = arena_lower(&c->scratch, h->name);

        if (!compile_may_write(c, d->owner, h->mark, name, "an EnvoyProxy"))
            return false;
        headers[config->n_headers++] = (struct exporter_header){name, h->value};
    }
    return true;
}

static void collector_settings(struct compile *c, const struct collector_draft *d,
                               struct exporter_config *config)
{
    const struct cluster_settings *s = d->backend->backend_settings;
    const struct cluster_timeout *t = s ? s->timeout : NULL;

    config->timeout_us = t && t->http && t->http->request_timeout.us > 0
                             ? t->http->request_timeout.us
                             : (uint64_t)COLLECTOR_TIMEOUT_US;
    config->connect_us = t && t->tcp && t->tcp->connect_timeout.us > 0
                             ? t->tcp->connect_timeout.us
                             : (uint64_t)COLLECTOR_CONNECT_US;
    if (t && t->http)
        config->idle_us = compile_idle_time(t->http->connection_idle_timeout);
    config->has_limits =
        s && compile_limits_of(config->cluster, s->circuit_breaker, &config->limits);
    if (s)
        compile_health_of(c, d->owner, config->cluster, s->health_check);
}

/* Two are one when nothing of this differs. The cluster is one and the same as long as the exporter
 * has it. */
static struct str collector_key(struct compile *c, const struct exporter_config *config)
{
    const struct breaker_limits *l = &config->limits;
    struct buf key = {0};
    struct str text;

    buf_printf(&key, "%d|%p|%.*s|%.*s|%llu|%llu|%llu|%d,%u,%u,%u,%u,%u", config->signal,
               (const void *)config->cluster, STR_ARG(config->authority), STR_ARG(config->resource),
               (unsigned long long)config->connect_us, (unsigned long long)config->timeout_us,
               (unsigned long long)config->idle_us, config->has_limits, l->n_connections,
               l->n_endpoint_connections, l->n_pending, l->n_requests, l->n_served);
    for (uint32_t i = 0; i < config->n_headers; i++)
        buf_printf(&key, "|%.*s=%.*s", STR_ARG(config->headers[i].name),
                   STR_ARG(config->headers[i].value));
    text = arena_str(&c->scratch, buf_str(&key));
    buf_deinit(&key);
    return text;
}

struct exporter *compile_collector(struct compile *c, const struct collector_draft *d)
{
    struct exporter_config config = {.signal = d->signal, .name = d->owner->label};
    struct exporter *e = NULL;

    if (!collector_find(c, d, &config))
        return NULL;
    if (collector_headers(c, d, &config)) {
        config.resource = collector_resource(c, d);
        collector_settings(c, d, &config);
        if (c->exporters)
            e = exporter_get(c->exporters, collector_key(c, &config), &config);
    }
    cluster_unref(config.cluster);
    return e;
}
