/* See metric_sink.h. Metrics are the whole gateway's: Gateways that name the same collector share
 * it, and none of them gives the service its name. */
#include "gateway/compile/telemetry/metric_sink.h"

#include "gateway/compile/telemetry/collector.h"
#include "manifest/envoy_proxy.h"

static bool metric_sink_is_known(const struct snapshot *s, const struct metric_sink_plan *plan)
{
    VEC_FOREACH (&s->metric_sinks, other) {
        if (other->exporter == plan->exporter)
            return true;
    }
    return false;
}

static void metric_sink_add(struct compile *c, struct envoy_proxy *proxy,
                            const struct otel_sink *sink)
{
    struct collector_draft draft = {
        .owner = &proxy->object,
        .signal = EXPORTER_METRICS,
        .backend = &sink->backend,
        .options = sink,
        .service_name = STR("tollgate"),
    };
    struct metric_sink_plan plan = {
        .exporter = compile_collector(c, &draft),
        .counters_as_deltas = sink->counters_as_deltas.value,
        .histograms_as_deltas = sink->histograms_as_deltas.value,
    };

    if (!plan.exporter)
        return;
    if (metric_sink_is_known(c->snapshot, &plan))
        exporter_unref(plan.exporter);
    else
        VEC_PUSH(&c->snapshot->arena, &c->snapshot->metric_sinks, plan);
}

void compile_metric_sinks(struct compile *c, struct envoy_proxy *proxy)
{
    const struct telemetry_spec *t = proxy->spec.telemetry;

    for (size_t i = 0; t && t->metrics && i < t->metrics->sinks.n; i++) {
        if (t->metrics->sinks.items[i].open_telemetry)
            metric_sink_add(c, proxy, t->metrics->sinks.items[i].open_telemetry);
    }
}
