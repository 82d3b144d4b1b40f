/* A target outlives a reload that keeps its exporter and how it is told. A collector that has not
 * taken what it was told before is not told more: values since the start are all in the next
 * ones, and differences add up until then. Very many series are told as the collector takes them,
 * with their values of the moment at which that began. */
#include "gateway/account/metric_push.h"

#include "base/mem.h"
#include "gateway/server.h"
#include "telemetry/otlp/otlp_metrics.h"

enum { PUSH_INTERVAL_US = 5 * 1000000 }; /* as Envoy flushes its own */

struct push_target {
    struct list_node node;
    struct exporter *exporter; /* one reference */
    struct otlp_metrics told;
    bool is_wanted;
    bool is_ending; /* no time to wait for room */
};

static bool push_on_item(void *ctx, struct str item, uint32_t n_points)
{
    struct push_target *t = ctx;

    exporter_add(t->exporter, item, n_points);
    return t->is_ending || exporter_has_room(t->exporter);
}

static void push_go_on(void *ctx)
{
    struct push_target *t = ctx;

    otlp_metrics_go_on(&t->told, push_on_item, t);
}

static void push_tell(struct metric_push *p, struct push_target *t)
{
    const struct server *g = p->server;

    otlp_metrics_begin(&t->told, &g->metrics, g->started_wall_us, g->loop->now.wall_unix_us);
    push_go_on(t);
}

/* What the queue does not take is dropped there, and counted. */
static void push_tell_last(struct metric_push *p, struct push_target *t)
{
    t->is_ending = true;
    push_go_on(t);
    push_tell(p, t);
}

static void push_tell_all(struct metric_push *p, bool is_last)
{
    LIST_FOREACH (&p->targets, node) {
        struct push_target *t = CONTAINER_OF(node, struct push_target, node);

        if (is_last)
            push_tell_last(p, t);
        else if (!t->told.telling && !exporter_is_busy(t->exporter))
            push_tell(p, t);
    }
    exporter_registry_sweep(&p->server->exporters);
}

static void push_set_timer(struct metric_push *p)
{
    struct loop *l = p->server->loop;

    if (p->targets.first)
        timer_set(l, &p->timer, l->now.mono_us + PUSH_INTERVAL_US);
    else
        timer_cancel(l, &p->timer);
}

static void push_on_timer(struct timer *t)
{
    struct metric_push *p = CONTAINER_OF(t, struct metric_push, timer);

    push_tell_all(p, false);
    push_set_timer(p);
}

void metric_push_init(struct metric_push *p, struct server *g)
{
    *p = (struct metric_push){.server = g};
    p->timer.fn = push_on_timer;
}

static void push_remove(struct push_target *t)
{
    list_remove(&t->node);
    if (t->exporter->room_ctx == t) /* not the next one's of the same exporter */
        exporter_watch(t->exporter, NULL, NULL);
    exporter_unref(t->exporter);
    otlp_metrics_deinit(&t->told);
    mem_free(t);
}

void metric_push_deinit(struct metric_push *p)
{
    if (!p->server)
        return;
    timer_cancel(p->server->loop, &p->timer);
    LIST_FOREACH (&p->targets, node)
        push_remove(CONTAINER_OF(node, struct push_target, node));
}

static bool push_is_of(const struct push_target *t, const struct metric_sink_plan *sink)
{
    return t->exporter == sink->exporter &&
           t->told.counters_as_deltas == sink->counters_as_deltas &&
           t->told.histograms_as_deltas == sink->histograms_as_deltas;
}

static void push_want(struct metric_push *p, const struct metric_sink_plan *sink)
{
    struct push_target *t;

    LIST_FOREACH (&p->targets, node) {
        t = CONTAINER_OF(node, struct push_target, node);
        if (push_is_of(t, sink)) {
            t->is_wanted = true;
            return;
        }
    }
    t = MEM_NEW(struct push_target);
    t->exporter = exporter_ref(sink->exporter);
    t->told.counters_as_deltas = sink->counters_as_deltas;
    t->told.histograms_as_deltas = sink->histograms_as_deltas;
    t->is_wanted = true;
    exporter_watch(t->exporter, push_go_on, t);
    list_append(&p->targets, &t->node);
}

void metric_push_adopt(struct metric_push *p, const struct snapshot *s)
{
    LIST_FOREACH (&p->targets, node)
        CONTAINER_OF(node, struct push_target, node)->is_wanted = false;
    VEC_FOREACH (&s->metric_sinks, sink)
        push_want(p, sink);
    LIST_FOREACH (&p->targets, node) {
        struct push_target *t = CONTAINER_OF(node, struct push_target, node);

        if (!t->is_wanted)
            push_remove(t);
    }
    if (!timer_is_set(&p->timer) || !p->targets.first)
        push_set_timer(p);
}

void metric_push_end(struct metric_push *p)
{
    if (!p->targets.first)
        return;
    push_tell_all(p, true);
    LIST_FOREACH (&p->targets, node)
        push_remove(CONTAINER_OF(node, struct push_target, node));
    push_set_timer(p);
}
