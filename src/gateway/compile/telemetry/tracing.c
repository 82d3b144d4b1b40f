/* See tracing.h. Shares of requests become thresholds of one drawn number: what is traced "after
 * all else" is a share of the others' shares. */
#include "gateway/compile/telemetry/tracing.h"

#include <stdlib.h>

#include "base/limits.h"
#include "gateway/compile/telemetry/collector.h"
#include "gateway/trace/trace_plan.h"
#include "manifest/envoy_proxy.h"
#include "telemetry/log_format.h"
#include "telemetry/log_redact.h"

enum { PERCENT = 100 };

struct tracing_draft {
    struct compile *c;
    struct envoy_proxy *proxy;
    const struct tracing_spec *spec;
    struct arena *a; /* the listener's */
    struct trace_plan *plan;
};

/* ---- sampling ---- */

static double tracing_share(const struct fraction *f, double otherwise)
{
    double denominator;

    if (!f)
        return otherwise;
    denominator = f->denominator.is_set ? (double)f->denominator.value : PERCENT;
    return denominator > 0 ? (double)f->numerator.value / denominator : 0;
}

static uint64_t tracing_threshold(double share)
{
    static const double all = 18446744073709551616.0; /* of 64 bits */

    if (share >= 1)
        return TRACE_ALWAYS;
    return share > 0 ? (uint64_t)(share * all) : 0;
}

/* Unless it says what share clients may ask for, theirs is everybody's (decision 26). */
static void tracing_sampling(const struct tracing_spec *spec, struct trace_plan *plan)
{
    double rate = spec->sampling_rate.is_set ? (double)spec->sampling_rate.value / PERCENT : 1;
    double usual = tracing_share(spec->sampling_fraction, rate);
    double asked = tracing_share(spec->client_sampling_fraction, usual);
    double overall = tracing_share(spec->overall_sampling_fraction, 1);

    plan->usual_threshold = tracing_threshold(usual * overall);
    plan->asked_threshold = tracing_threshold(asked * overall);
    plan->hears_client_id = spec->client_sampling_fraction != NULL;
}

/* ---- names and tags ---- */

/* NULL: none is given, or it has an error, which is reported where `o` is given. */
static const struct log_format *tracing_format(struct compile *c, struct object *o, struct arena *a,
                                               const struct marked_text *text)
{
    const struct log_format *format = NULL;
    struct log_format_error error;

    if (text->text.len > 0 && log_format_new_text(a, text->text, &format, &error) != 0 && o)
        manifest_object_error(c->manifest, o, DIAG_INVALID_VALUE,
                              marked_text_at(text, error.column), "tracing: %s", error.text);
    return format;
}

static struct marked_text tracing_tag_text(const struct text_pair *tag)
{
    return (struct marked_text){tag->value_mark, tag->value_quote, tag->value};
}

void compile_check_tracing(struct compile *c)
{
    VEC_FOREACH (manifest_kind(c->manifest, KIND_ENVOY_PROXY), at) {
        struct envoy_proxy *proxy = (struct envoy_proxy *)*at;
        const struct telemetry_spec *t = proxy->spec.telemetry;
        const struct tracing_spec *spec = t ? t->tracing : NULL;

        if (!spec)
            continue;
        for (size_t i = 0; i < spec->tags.n; i++) {
            const struct marked_text text = tracing_tag_text(&spec->tags.items[i]);

            tracing_format(c, &proxy->object, &c->scratch, &text);
        }
        if (!spec->span_name)
            continue;
        tracing_format(c, &proxy->object, &c->scratch, &spec->span_name->server);
        tracing_format(c, &proxy->object, &c->scratch, &spec->span_name->client);
    }
}

/* One that is named as a credential is none of a collector's. */
static struct str tracing_environment(const struct tag_source *s, struct arena *a)
{
    const char *value = getenv(arena_text(a, s->name));

    if (!value)
        return arena_str(a, s->default_value);
    if (log_redact_is_secret_variable(s->name) || log_redact_has_token(str_of(value)))
        return STR("redacted");
    return arena_str(a, str_of(value));
}

static void tracing_custom_tag(struct tracing_draft *d, const struct custom_tag *from,
                               struct trace_tag *tag)
{
    struct arena *a = d->a;

    tag->key = arena_str(a, from->key);
    if (from->literal) {
        tag->value = arena_str(a, from->literal->value);
    } else if (from->environment) {
        tag->value = tracing_environment(from->environment, a);
    } else if (from->request_header) {
        tag->header = arena_lower(a, from->request_header->name);
        tag->value = arena_str(a, from->request_header->default_value);
    }
}

static void tracing_tags(struct tracing_draft *d)
{
    const struct tracing_spec *spec = d->spec;
    size_t n_all = spec->custom_tags.n + spec->tags.n;
    size_t n_max = MIN(n_all, (size_t)LIMIT_SPAN_TAGS);
    struct trace_tag *tags = ARENA_ARRAY(d->a, struct trace_tag, n_max + 1);
    size_t n = 0;

    for (size_t i = 0; i < spec->custom_tags.n && n < n_max; i++)
        tracing_custom_tag(d, &spec->custom_tags.items[i], &tags[n++]);
    for (size_t i = 0; i < spec->tags.n && n < n_max; i++) {
        const struct text_pair *pair = &spec->tags.items[i];
        const struct marked_text text = tracing_tag_text(pair);

        tags[n].key = arena_str(d->a, pair->key);
        tags[n++].format = tracing_format(d->c, NULL, d->a, &text);
    }
    if (n_all > n_max && compile_tells(d->c, arena_printf(&d->c->scratch, "%.*s: tags of spans",
                                                          STR_ARG(d->proxy->object.label))))
        diag_add(&d->c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, spec->mark,
                 d->proxy->object.label, "spans have the first %d of %zu tags", LIMIT_SPAN_TAGS,
                 n_all);
    d->plan->tags = tags;
    d->plan->n_tags = (uint32_t)n;
}

/* ---- the whole ---- */

static void tracing_cleanup(void *exporter)
{
    exporter_unref(exporter);
}

/* NULL: nothing is traced. */
static struct exporter *tracing_exporter(struct tracing_draft *d, const struct gateway *g)
{
    const struct tracing_provider *p = d->spec->provider;
    struct str usual_name = arena_printf(&d->c->scratch, "%.*s.%.*s", STR_ARG(g->object.name),
                                         STR_ARG(g->object.namespace));
    struct collector_draft draft = {
        .owner = &d->proxy->object,
        .signal = EXPORTER_TRACES,
        .service_name = usual_name,
    };

    if (!p || p->type != TRACING_OTEL)
        return NULL;
    draft.backend = &p->backend;
    draft.options = p->open_telemetry;
    if (p->service_name.len > 0)
        draft.service_name = p->service_name;
    return compile_collector(d->c, &draft);
}

void compile_tracing(struct compile *c, const struct gateway *g, struct envoy_proxy *proxy,
                     struct listener_plan *plan)
{
    const struct telemetry_spec *t = proxy->spec.telemetry;
    struct tracing_draft d = {.c = c, .proxy = proxy, .spec = t ? t->tracing : NULL};
    const struct span_name *names = d.spec ? d.spec->span_name : NULL;

    if (!d.spec)
        return;
    d.a = &plan->arena;
    d.plan = ARENA_NEW(d.a, struct trace_plan);
    tracing_sampling(d.spec, d.plan);
    tracing_tags(&d);
    if (names) {
        d.plan->server_name = tracing_format(c, NULL, d.a, &names->server);
        d.plan->client_name = tracing_format(c, NULL, d.a, &names->client);
    }
    d.plan->exporter = tracing_exporter(&d, g);
    if (!d.plan->exporter)
        return;
    arena_on_cleanup(d.a, tracing_cleanup, d.plan->exporter);
    plan->trace = d.plan;
}
