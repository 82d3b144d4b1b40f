/* Monitors and their targets. A target is found again by its endpoint's state, so that it stays
 * with the address while sets and clusters change. Targets are freed at the end of the loop's turn,
 * monitors with their last target before them. */
#include "upstream/health/monitor.h"

#include "base/mem.h"

enum { MONITOR_ARENA_BYTES = 1024, JITTER_SHARE = 10, SPREAD_US = 1000 };

static void target_set_timer(struct health_target *t, uint64_t us);

/* ---- targets ---- */

static struct loop *monitor_loop(const struct health_monitor *m)
{
    return m->registry->upstreams.loop;
}

static struct endpoint_health *target_health(const struct health_target *t)
{
    return &t->endpoint->state->health;
}

static uint64_t monitor_random_below(struct health_monitor *m, uint64_t bound)
{
    return bound > 0 ? random_u64(&m->registry->random) % bound : 0;
}

static void target_set_verdict(struct health_target *t, bool is_unhealthy)
{
    /* As Envoy, it is new again then (slow start); before anybody can see that it is well. */
    if (!is_unhealthy && atomic_load(&target_health(t)->bits) & HEALTH_FAILS_PROBES)
        atomic_store(&t->endpoint->state->new_since_us, monitor_loop(t->monitor)->now.mono_us);
    health_set_bit(&t->monitor->backend->health, target_health(t), HEALTH_FAILS_PROBES,
                   is_unhealthy);
}

static void target_on_done(struct probe *p, enum probe_result result)
{
    static const char *const words[] = {
#define X(name, word) word,
        PROBE_RESULTS(X)
#undef X
    };
    struct health_target *t = CONTAINER_OF(p, struct health_target, probe);
    struct health_monitor *m = t->monitor;
    const struct probe_plan *plan = &m->plan.probe;
    bool has_turned =
        probe_tally_note(&t->tally, plan->unhealthy_threshold, plan->healthy_threshold, result);

    m->n_probes[result]++;
    target_set_verdict(t, t->tally.is_unhealthy);
    /* As Envoy: what answers its probes is not kept out for what it has answered before. */
    if (result == PROBE_OK)
        health_set_bit(&m->backend->health, target_health(t), HEALTH_EJECTED, false);
    /* Many gateways that began together shall not go on together. */
    target_set_timer(t,
                     plan->interval_us + monitor_random_below(m, plan->interval_us / JITTER_SHARE));
    if (has_turned && m->registry->on_news)
        m->registry->on_news(m->registry->ctx, t, words[result]);
}

static void target_on_timer(struct timer *timer)
{
    struct health_target *t = CONTAINER_OF(timer, struct health_target, timer);

    probe_start(&t->probe, &t->monitor->plan.probe, t->cluster, t->endpoint);
}

static void target_set_timer(struct health_target *t, uint64_t us)
{
    struct loop *l = monitor_loop(t->monitor);

    t->timer.fn = target_on_timer;
    timer_set(l, &t->timer, l->now.mono_us + us);
}

/* Many endpoints are not asked all in one turn of the loop, which has other things to do. */
static uint64_t target_spread_us(const struct health_target *t)
{
    return MIN(t->monitor->targets.n_nodes * SPREAD_US, t->monitor->plan.probe.interval_us);
}

/* By the plan, from the beginning; what is known stays. */
static void target_begin(struct health_target *t)
{
    const struct health_plan *plan = &t->monitor->plan;

    t->tally.n_against = 0;
    if (plan->probe.kind == PROBE_KIND_NONE) {
        t->tally = (struct probe_tally){0};
        target_set_verdict(t, false);
    } else {
        target_set_timer(t, monitor_random_below(t->monitor, plan->probe.initial_jitter_us) +
                                monitor_random_below(t->monitor, target_spread_us(t)));
    }
    if (!plan->outlier.is_on)
        outlier_forget(&t->monitor->backend->health, target_health(t));
}

static void target_stop(struct health_target *t)
{
    timer_cancel(monitor_loop(t->monitor), &t->timer);
    probe_cancel(&t->probe);
}

/* How it is reached, by what is current. A probe under way ends by what was. */
static void target_place(struct health_target *t, struct cluster *c, struct endpoint_set *set,
                         struct endpoint *e)
{
    struct cluster *old_cluster = t->cluster;
    struct endpoint_set *old_set = t->set;
    bool is_interrupted = old_cluster != c && t->probe.is_running;

    if (is_interrupted)
        probe_cancel(&t->probe);
    t->cluster = cluster_observe(c);
    t->set = endpoint_set_ref(set);
    t->endpoint = e;
    endpoint_set_unref(old_set);
    if (old_cluster)
        cluster_unobserve(old_cluster);
    if (is_interrupted)
        target_set_timer(t, 0);
}

/* What another process has found, once. As long as our rule's longest ejection, at most. */
static void target_inherit(struct health_target *t)
{
    const struct health_plan *plan = &t->monitor->plan;
    struct endpoint_health *h = target_health(t);
    uint64_t end_us = monitor_loop(t->monitor)->now.mono_us +
                      outlier_ejection_us(plan->outlier.base_us, UINT32_MAX);

    if (plan->probe.kind != PROBE_KIND_NONE && h->inherited.is_probed) {
        t->tally =
            (struct probe_tally){.is_known = true, .is_unhealthy = h->inherited.fails_probes};
        target_set_verdict(t, t->tally.is_unhealthy);
    }
    if (plan->outlier.is_on && h->inherited.n_ejections > 0) {
        atomic_store(&h->n_ejections, h->inherited.n_ejections);
        atomic_store(&h->ejected_until_us, MIN(h->inherited.ejected_until_us, end_us));
        health_set_bit(&t->monitor->backend->health, h, HEALTH_EJECTED, h->inherited.is_ejected);
    }
    h->inherited = (struct health_inheritance){0};
}

static void target_new(struct health_monitor *m, struct cluster *c, struct endpoint_set *set,
                       struct endpoint *e)
{
    struct health_target *t = MEM_NEW(struct health_target);

    t->monitor = m;
    t->is_wanted = true;
    probe_init(&t->probe, &m->registry->upstreams, target_on_done);
    target_place(t, c, set, e);
    t->endpoint->state->health.target = t;
    target_inherit(t);
    list_append(&m->targets, &t->node);
    target_begin(t);
}

static void target_on_retire(struct deferred *d)
{
    mem_free(CONTAINER_OF(d, struct health_target, retire));
}

/* Nobody watches the endpoint any more: what was found holds no longer. */
static void target_free(struct health_target *t)
{
    struct loop *l = monitor_loop(t->monitor);

    target_stop(t);
    probe_deinit(&t->probe);
    target_set_verdict(t, false);
    outlier_forget(&t->monitor->backend->health, target_health(t));
    target_health(t)->target = NULL;
    endpoint_set_unref(t->set);
    cluster_unobserve(t->cluster);
    list_remove(&t->node);
    loop_retire(l, &t->retire, target_on_retire);
}

bool health_target_is_well(const struct health_target *t)
{
    return atomic_load_explicit(&target_health(t)->bits, memory_order_relaxed) == 0;
}

const char *health_target_text(const struct health_target *t)
{
    uint32_t bits = atomic_load_explicit(&target_health(t)->bits, memory_order_relaxed);

    if (bits & HEALTH_FAILS_PROBES)
        return "unhealthy";
    if (bits & HEALTH_EJECTED)
        return "ejected";
    return t->monitor->plan.probe.kind == PROBE_KIND_NONE || t->tally.is_known ? "healthy"
                                                                               : "unknown";
}

/* ---- monitors ---- */

/* As Envoy's failure percentage: judged only where enough endpoints have had enough requests. */
static void monitor_judge_shares(struct health_monitor *m, uint64_t now_us)
{
    uint32_t percent = m->plan.outlier.failure_percent;
    uint32_t n = 0;

    if (percent == 0)
        return;
    LIST_FOREACH (&m->targets, node) {
        struct health_target *t = CONTAINER_OF(node, struct health_target, node);

        t->share = outlier_take_share(target_health(t));
        n += t->share.n_answers >= OUTLIER_ANSWERS_MIN;
    }
    if (n < OUTLIER_ENDPOINTS_MIN)
        return;
    LIST_FOREACH (&m->targets, node) {
        struct health_target *t = CONTAINER_OF(node, struct health_target, node);

        if (outlier_share_is_bad(t->share, percent))
            outlier_eject(t->endpoint->state, t->set, now_us);
    }
}

static void monitor_on_sweep(struct timer *timer)
{
    struct health_monitor *m = CONTAINER_OF(timer, struct health_monitor, sweep);
    uint64_t now_us = monitor_loop(m)->now.mono_us;

    LIST_FOREACH (&m->targets, node)
        outlier_sweep(&m->backend->health,
                      target_health(CONTAINER_OF(node, struct health_target, node)), now_us);
    monitor_judge_shares(m, now_us);
    timer_set(monitor_loop(m), timer, now_us + m->plan.outlier.interval_us);
}

static void monitor_publish_rule(struct health_monitor *m)
{
    struct outlier_rule *r = &m->backend->health.outlier;
    const struct outlier_plan *p = &m->plan.outlier;

    atomic_store(&r->n_5xx, p->n_5xx);
    atomic_store(&r->n_gateway_errors, p->n_gateway_errors);
    atomic_store(&r->n_local_failures, p->n_local_failures);
    atomic_store(&r->splits_local, p->splits_local);
    atomic_store(&r->failure_percent, p->failure_percent);
    atomic_store(&r->percent, p->percent);
    atomic_store(&r->ejects_one, p->ejects_one);
    atomic_store(&r->base_us, p->base_us);
    outlier_switch(m->backend, p->is_on);
    atomic_store(&m->backend->health.panic_percent, m->plan.panic_percent);
}

/* The plan is new, or another than before. */
static void monitor_set_plan(struct health_monitor *m, const struct health_plan *plan)
{
    struct loop *l = monitor_loop(m);

    LIST_FOREACH (&m->targets, node)
        target_stop(CONTAINER_OF(node, struct health_target, node));
    arena_reset(&m->arena);
    m->plan = health_plan_copy(&m->arena, plan);
    monitor_publish_rule(m);
    LIST_FOREACH (&m->targets, node)
        target_begin(CONTAINER_OF(node, struct health_target, node));
    timer_cancel(l, &m->sweep);
    m->sweep.fn = monitor_on_sweep;
    if (plan->outlier.is_on)
        timer_set(l, &m->sweep, l->now.mono_us + plan->outlier.interval_us);
}

static struct health_monitor *monitor_new(struct health_registry *r, struct cluster *c)
{
    struct health_monitor *m = MEM_NEW(struct health_monitor);

    m->registry = r;
    m->backend = backend_state_ref(c->backend);
    m->backend->health.monitor = m;
    m->cluster = cluster_observe(c);
    arena_init(&m->arena, MONITOR_ARENA_BYTES);
    list_append(&r->monitors, &m->node);
    return m;
}

static void monitor_set_cluster(struct health_monitor *m, struct cluster *c)
{
    struct cluster *old = m->cluster;

    m->cluster = cluster_observe(c);
    cluster_unobserve(old);
}

static void monitor_free(struct health_monitor *m)
{
    outlier_switch(m->backend, false);
    LIST_FOREACH (&m->targets, node)
        target_free(CONTAINER_OF(node, struct health_target, node));
    timer_cancel(monitor_loop(m), &m->sweep);
    cluster_unobserve(m->cluster);
    m->backend->health.monitor = NULL;
    backend_state_unref(m->backend);
    arena_deinit(&m->arena);
    list_remove(&m->node);
    mem_free(m);
}

/* ---- the registry ---- */

void health_registry_init(struct health_registry *r, struct loop *l,
                          struct cluster_registry *clusters, struct outbox_pool *outboxes,
                          char *scratch, size_t scratch_bytes)
{
    *r = (struct health_registry){.clusters = clusters};
    random_init(&r->random);
    upstreams_init(&r->upstreams, l, outboxes, scratch, scratch_bytes);
    r->upstreams.is_uncounted = true;
}

void health_registry_deinit(struct health_registry *r)
{
    LIST_FOREACH (&r->monitors, node)
        monitor_free(CONTAINER_OF(node, struct health_monitor, node));
    upstreams_deinit(&r->upstreams);
}

static void monitor_watch(struct health_monitor *m, struct cluster *c)
{
    struct endpoint_set *set = cluster_endpoints(c);

    for (uint32_t i = 0; i < set->n; i++) {
        struct endpoint *e = &set->items[i];
        struct health_target *t = e->state->health.target;

        if (!t) {
            target_new(m, c, set, e);
        } else if (!t->is_wanted) { /* else a cluster that comes first has it, too */
            t->is_wanted = true;
            target_place(t, c, set, e);
        }
    }
    endpoint_set_unref(set);
}

/* Before all others: a stream that has begun keeps the cluster that it came by in use, and an
 * endpoint that is still asked as it was spoken to once (in clear, by the authority of then) is
 * judged by what no request does any more. */
static void monitor_watch_current(struct health_monitor *m)
{
    if (cluster_is_in_use(m->cluster))
        monitor_watch(m, m->cluster);
}

/* The clusters in use that are watched, from the oldest on, each with an observing reference: the
 * registry's lock is not held while references to endpoints go. */
static struct cluster **registry_collect(struct health_registry *r, size_t *ret_n)
{
    struct cluster **clusters;
    size_t n = 0;

    pthread_mutex_lock(&r->clusters->lock);
    clusters = mem_alloc((r->clusters->clusters.n_nodes + 1) * sizeof clusters[0]);
    LIST_FOREACH (&r->clusters->clusters, node) {
        struct cluster *c = CONTAINER_OF(node, struct cluster, node);

        if (c->backend->health.monitor && cluster_is_in_use(c))
            clusters[n++] = cluster_observe(c);
    }
    pthread_mutex_unlock(&r->clusters->lock);
    *ret_n = n;
    return clusters;
}

static void monitor_mark(struct health_monitor *m)
{
    LIST_FOREACH (&m->targets, node)
        CONTAINER_OF(node, struct health_target, node)->is_wanted = false;
}

static void monitor_sweep(struct health_monitor *m)
{
    LIST_FOREACH (&m->targets, node) {
        struct health_target *t = CONTAINER_OF(node, struct health_target, node);

        if (!t->is_wanted)
            target_free(t);
    }
}

void health_registry_refresh(struct health_registry *r)
{
    struct cluster **clusters;
    size_t n;

    if (!r->monitors.first)
        return;
    clusters = registry_collect(r, &n);
    LIST_FOREACH (&r->monitors, node)
        monitor_mark(CONTAINER_OF(node, struct health_monitor, node));
    LIST_FOREACH (&r->monitors, node)
        monitor_watch_current(CONTAINER_OF(node, struct health_monitor, node));
    /* Then the newer ones first. */
    while (n > 0) {
        struct cluster *c = clusters[--n];

        monitor_watch(c->backend->health.monitor, c);
        cluster_unobserve(c);
    }
    mem_free(clusters);
    LIST_FOREACH (&r->monitors, node)
        monitor_sweep(CONTAINER_OF(node, struct health_monitor, node));
}

void health_registry_adopt(struct health_registry *r, const struct health_wish *wishes, size_t n)
{
    LIST_FOREACH (&r->monitors, node)
        CONTAINER_OF(node, struct health_monitor, node)->is_wanted = false;
    for (size_t i = 0; i < n; i++) {
        struct health_monitor *m = wishes[i].cluster->backend->health.monitor;

        if (!m)
            m = monitor_new(r, wishes[i].cluster);
        else
            monitor_set_cluster(m, wishes[i].cluster);
        m->is_wanted = true;
        if (!str_eq(m->plan.key, wishes[i].plan->key))
            monitor_set_plan(m, wishes[i].plan);
    }
    LIST_FOREACH (&r->monitors, node) {
        struct health_monitor *m = CONTAINER_OF(node, struct health_monitor, node);

        if (!m->is_wanted)
            monitor_free(m);
    }
    health_registry_refresh(r);
}
