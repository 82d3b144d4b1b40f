/* Starts and ends the whole, and moves the workers from snapshot to snapshot: ports are open before
 * the first worker switches, and an old snapshot goes when the last worker has let go of it.
 * Control's thread. */
#include "gateway/server.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tls_tickets.h"

enum { SERVER_SWEEP_US = 2 * 1000000, CONTROL_SCRATCH_BYTES = 65536 };

static void server_on_snapshots_done(struct wake *w)
{
    struct server *g = CONTAINER_OF(w, struct server, snapshots_done);

    if (g->n_workers == 0)
        return; /* ending: server_deinit has freed what this would look at */
    LIST_FOREACH (&g->old_snapshots, node) {
        struct snapshot *s = CONTAINER_OF(node, struct snapshot, node);

        if (atomic_load(&s->n_workers) > 0)
            continue;
        list_remove(node);
        snapshot_free(s);
    }
    key_feed_registry_sweep(&g->feeds);
}

static void server_on_worker_idle(struct wake *w)
{
    struct server *g = CONTAINER_OF(w, struct server, worker_idle);

    if (!g->is_draining || g->n_workers == 0)
        return;
    /* First this, then the connections: a drained worker has taken its backlog and accepts no more.
     */
    for (uint32_t i = 0; i < g->n_workers; i++) {
        if (!atomic_load(&g->workers[i]->has_drained))
            return;
    }
    if (!g->has_drained && g->on_drained)
        g->on_drained(g);
    g->has_drained = true;
    if (g->on_idle && server_is_idle(g))
        g->on_idle(g);
}

static void server_on_exports_flushed(void *ctx)
{
    struct server *g = ctx;

    wake_post(&g->worker_idle);
}

bool server_is_idle(struct server *g)
{
    if (!g->has_drained || server_n_connections(g) > 0)
        return false;
    metric_push_end(&g->push);
    return exporter_registry_flush(&g->exporters, server_on_exports_flushed);
}

/* Key feeds have news: exchanges that wait for keys look again. */
static void server_on_key_news(void *ctx)
{
    struct server *g = ctx;

    for (uint32_t i = 0; i < g->n_workers; i++)
        wake_post(&g->workers[i]->keys_changed);
}

/* Some cluster has other endpoints: attempts that wait for a name look again. */
static void server_on_names_news(void *ctx)
{
    struct server *g = ctx;

    health_registry_refresh(&g->health);
    wake_post(&g->upstreams.endpoints_changed);
    for (uint32_t i = 0; i < g->n_workers; i++)
        wake_post(&g->workers[i]->upstreams.endpoints_changed);
}

static void server_on_health_news(void *ctx UNUSED, const struct health_target *t, const char *why)
{
    struct str backend = t->monitor->backend->name;

    if (t->tally.is_unhealthy)
        log_warn("health: %s of %.*s is unhealthy: %s", t->endpoint->text, STR_ARG(backend), why);
    else
        log_info("health: %s of %.*s is healthy", t->endpoint->text, STR_ARG(backend));
}

/* On the writer's thread. */
static void server_on_log_news(void *ctx UNUSED, const char *path, int error)
{
    const char *why = strerrordesc_np(error);

    if (error)
        log_warn("access log %s cannot be written under its name: %s; lines that are lost are "
                 "counted",
                 path, why ? why : "it failed");
    else
        log_info("access log %s is written again", path);
}

static void server_on_export_news(void *ctx UNUSED, const struct exporter *e, const char *error)
{
    static const char *const what[] = {[EXPORTER_TRACES] = "spans", [EXPORTER_METRICS] = "metrics"};

    if (error)
        log_warn("the %s of %.*s cannot be sent to %.*s: %s", what[e->config.signal],
                 STR_ARG(e->config.name), STR_ARG(e->config.cluster->name), error);
    else
        log_info("the %s of %.*s are sent again", what[e->config.signal], STR_ARG(e->config.name));
}

static void server_on_sweep(struct timer *t)
{
    struct server *g = CONTAINER_OF(t, struct server, sweep);

    port_sweep(g);
    names_sweep(&g->names);
    health_registry_refresh(&g->health);
    key_feed_registry_sweep(&g->feeds);
    tls_tickets_rotate(g->tickets, g->loop->now.mono_us);
    timer_set(g->loop, t, g->loop->now.mono_us + SERVER_SWEEP_US);
}

int server_init(struct server *g, struct loop *l, const struct server_options *options)
{
    int r;

    *g = (struct server){.loop = l, .options = *options};
    g->started_wall_us = clock_read().wall_unix_us;
    g->scratch = mem_alloc(CONTROL_SCRATCH_BYTES);
    cluster_registry_init(&g->clusters);
    guest_init(&g->guest, &g->clusters, l);
    limit_memory_init(&g->limits);
    model_averages_init(&g->averages);
    upstreams_init(&g->upstreams, l, &g->outboxes, g->scratch, CONTROL_SCRATCH_BYTES);
    key_feed_registry_init(&g->feeds, &g->upstreams, server_on_key_news, g);
    exporter_registry_init(&g->exporters, &g->upstreams, server_on_export_news, g);
    health_registry_init(&g->health, l, &g->clusters, &g->outboxes, g->scratch,
                         CONTROL_SCRATCH_BYTES);
    g->health.on_news = server_on_health_news;
    hash_pool_init(&g->hash_pool, options->n_workers);
    wake_init(&g->snapshots_done, l, server_on_snapshots_done);
    wake_init(&g->worker_idle, l, server_on_worker_idle);
    g->tickets = tls_tickets_new(l->now.mono_us);
    metrics_init(&g->metrics);
    metric_push_init(&g->push, g);
    g->control_metrics = metrics_shard_new(&g->metrics);
    server_measure(g);
    overload_init(&g->overload, g, options->memory_limit);
    r = log_writer_start(&g->log_writer);
    if (r < 0)
        return r;
    g->log_writer.on_news = server_on_log_news;
    g->sweep.fn = server_on_sweep;
    timer_set(l, &g->sweep, l->now.mono_us + SERVER_SWEEP_US);
    r = names_init(&g->names, l, &g->clusters, g->control_metrics, server_on_names_news, g);
    if (r == 0 && options->dns_servers)
        r = resolver_use_servers(&g->names.resolver, options->dns_servers, RESOLVER_TIMEOUT_MS);
    return r;
}

/* Two listening ports on one address would share its connections at random (SO_REUSEPORT), and with
 * them each other's routes and policies. */
static int server_check_bound(const struct server *g, const struct snapshot *s, uint32_t index,
                              struct buf *ret_why)
{
    const struct port_plan *p = &s->ports[index];
    uint16_t bound = port_bound_number(&g->options, p->number);

    for (uint32_t i = 0; i < index; i++) {
        const struct port_plan *other = &s->ports[i];

        if (!str_eq(other->address, p->address) ||
            port_bound_number(&g->options, other->number) != bound)
            continue;
        buf_printf(ret_why,
                   "port %u: listener port %u (%s) and listener port %u (%s) would both be served "
                   "there",
                   bound, other->number, other->is_tls ? "HTTPS" : "HTTP", p->number,
                   p->is_tls ? "HTTPS" : "HTTP");
        return SERVER_PORT_IN_USE;
    }
    return 0;
}

int server_open(struct server *g, struct snapshot *s, struct buf *ret_why)
{
    for (uint32_t i = 0; i < s->n_ports; i++) {
        int r = server_check_bound(g, s, i, ret_why);

        if (r == 0)
            r = port_open(g, &s->ports[i], &s->ports[i].port, ret_why);
        if (r != 0)
            return r;
    }
    return 0;
}

/* What the snapshot brings to control: keys to fetch, names to resolve. */
static void server_adopt(struct server *g, struct snapshot *s)
{
    g->current = s;
    s->generation = ++g->generation;
    g->swapped_wall_us = g->loop->now.wall_unix_us;
    port_settle(g, true);
    snapshot_publish(s);
    bounds_adopt(&g->clusters, s->bounds, s->n_bounds);
    names_sweep(&g->names);
    health_registry_adopt(&g->health, s->health, s->n_health);
    key_feed_registry_sweep(&g->feeds);
    exporter_registry_sweep(&g->exporters);
    metric_push_adopt(&g->push, s);
}

/* Ends the workers that run and frees all `n_all`; what is beyond those is bare memory. */
static void server_end_workers(struct server *g, uint32_t n_all)
{
    for (uint32_t i = 0; i < g->n_workers; i++)
        worker_order(g->workers[i], ORDER_STOP);
    for (uint32_t i = 0; i < n_all; i++) {
        if (i < g->n_workers)
            worker_join(g->workers[i]);
        mem_free(g->workers[i]);
    }
    g->n_workers = 0;
}

int server_start(struct server *g, struct snapshot *first)
{
    uint32_t n_wanted = MAX(1U, MIN(g->options.n_workers, (uint32_t)SERVER_WORKERS_MAX));
    int r;

    g->workers = mem_alloc_zero(n_wanted * sizeof(struct worker *));
    for (uint32_t i = 0; i < n_wanted; i++)
        g->workers[i] = MEM_NEW(struct worker);
    /* Before the first request: what is known of endpoints already holds for that one, too. */
    health_registry_adopt(&g->health, first->health, first->n_health);
    for (uint32_t i = 0; i < n_wanted; i++) {
        r = worker_start(g->workers[i], g, i, first);
        if (r < 0) {
            server_end_workers(g, n_wanted);
            return r;
        }
        g->n_workers++;
    }
    server_adopt(g, first);
    return 0;
}

int server_swap(struct server *g, struct snapshot *next, struct buf *ret_why)
{
    struct snapshot *old = g->current;
    int r = server_open(g, next, ret_why);

    if (r != 0) {
        port_settle(g, false);
        return r;
    }
    server_adopt(g, next);
    list_append(&g->old_snapshots, &old->node);
    for (uint32_t i = 0; i < g->n_workers; i++)
        worker_offer_snapshot(g->workers[i], next);
    return 0;
}

void server_leave(struct server *g)
{
    atomic_store(&g->is_leaving, true);
}

void server_drain(struct server *g, bool is_handed_over)
{
    if (!is_handed_over)
        server_leave(g);
    g->is_draining = true;
    g->is_handed_over = is_handed_over;
    if (is_handed_over)
        upstreams_keep_no_idle(&g->upstreams);
    for (uint32_t i = 0; i < g->n_workers; i++)
        worker_order(g->workers[i], ORDER_DRAIN);
}

uint32_t server_n_connections(const struct server *g)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->n_workers; i++)
        n += atomic_load_explicit(&g->workers[i]->n_open_connections, memory_order_relaxed);
    return n;
}

uint32_t server_n_exchanges(const struct server *g)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->n_workers; i++)
        n += atomic_load_explicit(&g->workers[i]->n_open_exchanges, memory_order_relaxed);
    return n;
}

static void server_free_snapshots(struct server *g)
{
    LIST_FOREACH (&g->old_snapshots, node) {
        list_remove(node);
        snapshot_free(CONTAINER_OF(node, struct snapshot, node));
    }
    snapshot_free(g->current);
    g->current = NULL;
}

void server_deinit(struct server *g)
{
    if (!g->loop)
        return;
    /* The last turn below still runs what they posted: it must find nobody to ask or to tell. */
    server_end_workers(g, g->n_workers);
    g->on_idle = NULL;
    mem_free(g->workers);
    hash_pool_deinit(&g->hash_pool);
    timer_cancel(g->loop, &g->sweep);
    metric_push_deinit(&g->push);
    server_free_snapshots(g);
    port_free_all(g);
    key_feed_registry_deinit(&g->feeds);
    exporter_registry_deinit(&g->exporters);
    health_registry_deinit(&g->health);
    names_deinit(&g->names);
    overload_deinit(&g->overload);
    upstreams_deinit(&g->upstreams);
    log_writer_stop(&g->log_writer);
    metrics_deinit(&g->metrics);
    if (loop_turn(g->loop, 0) < 0) /* what was retired above */
        log_warn("control: the last turn of the loop failed");
    outbox_pool_deinit(&g->outboxes);
    guest_deinit(&g->guest);
    cluster_registry_deinit(&g->clusters);
    limit_memory_deinit(&g->limits);
    tls_tickets_unref(g->tickets);
    model_averages_deinit(&g->averages);
    mem_free(g->scratch);
    g->loop = NULL;
}
