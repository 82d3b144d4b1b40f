/* The worker's thread: its loop, its share of the listening sockets, and how it changes from one
 * snapshot to the next. What control wants comes as orders behind one wake-up; the worker answers
 * by letting go. */
#include "gateway/worker.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/account/refusal_ring.h"
#include "gateway/arrival/arrival.h"
#include "gateway/h2/client_h2.h"
#include "gateway/mirror.h"
#include "gateway/server.h"

/* ---- snapshots ---- */

static void worker_drop_hold(struct worker *w, struct snapshot_hold *h)
{
    if (h->is_current || h->n_exchanges > 0)
        return;
    list_remove(&h->node);
    if (atomic_fetch_sub_explicit(&h->snapshot->n_workers, 1, memory_order_acq_rel) == 1)
        wake_post(&w->server->snapshots_done);
    mem_free(h);
}

static void worker_use_snapshot(struct worker *w, struct snapshot *s)
{
    struct snapshot_hold *old = w->current;
    struct snapshot_hold *h = mem_alloc_zero(sizeof *h + s->n_numbers * sizeof(struct series_memo));

    LIST_FOREACH (&w->exchanges, node) {
        struct exchange *x = CONTAINER_OF(node, struct exchange, node);

        if (x->hold && x->rule)
            exchange_pin(x);
    }
    h->snapshot = s;
    h->is_current = true;
    list_append(&w->holds, &h->node);
    w->current = h;
    if (old) {
        old->is_current = false;
        worker_drop_hold(w, old);
    }
}

struct snapshot_hold *worker_hold(struct worker *w)
{
    w->current->n_exchanges++;
    return w->current;
}

void worker_unhold(struct worker *w, struct snapshot_hold *h)
{
    ASSERT(h->n_exchanges > 0);
    h->n_exchanges--;
    if (UNLIKELY(!h->is_current))
        worker_drop_hold(w, h);
}

const struct port_plan *worker_port_plan(struct worker *w, const struct port *port)
{
    return snapshot_find_port(w->current->snapshot, port);
}

/* ---- listening ---- */

static bool worker_may_accept(struct listener *l)
{
    return overload_may_accept(CONTAINER_OF(l, struct worker_listener, listener)->worker, l->io.fd);
}

static void worker_on_accept(struct listener *l, int fd, const struct sockaddr *peer,
                             socklen_t peer_len UNUSED)
{
    struct worker_listener *wl = CONTAINER_OF(l, struct worker_listener, listener);

    arrival_take(wl->worker, wl->port, fd, peer);
}

static void worker_on_listener_end(struct listener *l)
{
    struct worker_listener *wl = CONTAINER_OF(l, struct worker_listener, listener);

    log_error("port %u: worker %u has a socket that listens no more: it accepts nothing there",
              wl->port->bound, wl->worker->index);
}

static bool worker_listens_on(const struct worker *w, const struct port *port)
{
    LIST_FOREACH (&w->listeners, node) {
        if (CONTAINER_OF(node, struct worker_listener, node)->port == port)
            return true;
    }
    return false;
}

static void worker_listen_by(struct worker *w, struct port *port, uint32_t fd_index)
{
    struct worker_listener *wl;

    if (w->is_draining) {
        port_release(port, fd_index);
        return;
    }
    wl = MEM_NEW(struct worker_listener);
    wl->worker = w;
    wl->port = port;
    wl->fd_index = fd_index;
    int r = listener_open(&wl->listener, &w->loop, port->fds[fd_index], worker_on_accept);

    if (r < 0) {
        log_error("port %u: cannot watch the listening socket: %s", port->bound, error_trace());
        mem_free(wl);
        port_release(port, fd_index);
        return;
    }
    wl->listener.on_end = worker_on_listener_end;
    wl->listener.may_accept = worker_may_accept;
    list_append(&w->listeners, &wl->node);
}

static void worker_listen(struct worker *w, struct port *port)
{
    if (worker_listens_on(w, port))
        return;
    for (uint32_t i = w->index; i < port->n_fds; i += port->n_shares) {
        if (port->fds[i] >= 0)
            worker_listen_by(w, port, i);
    }
}

static void worker_unlisten(struct worker_listener *wl, bool takes_backlog)
{
    listener_close(&wl->listener, takes_backlog);
    list_remove(&wl->node);
    port_release(wl->port, wl->fd_index);
    mem_free(wl);
}

/* Opens what the current snapshot has and closes what it has no more. */
static void worker_update_listeners(struct worker *w)
{
    const struct snapshot *s = w->current->snapshot;

    for (uint32_t i = 0; i < s->n_ports; i++) {
        if (s->ports[i].port)
            worker_listen(w, s->ports[i].port);
    }
    LIST_FOREACH (&w->listeners, node) {
        struct worker_listener *wl = CONTAINER_OF(node, struct worker_listener, node);
        const struct port_plan *plan = snapshot_find_port(s, wl->port);

        if (plan)
            wl->listener.batch =
                plan->client.n_accepts_max ? plan->client.n_accepts_max : LISTENER_BATCH;
        else
            worker_unlisten(wl, false);
    }
}

/* ---- orders ---- */

static void worker_drain(struct worker *w)
{
    if (w->is_draining)
        return;
    w->is_draining = true;
    LIST_FOREACH (&w->listeners, node) {
        worker_unlisten(CONTAINER_OF(node, struct worker_listener, node),
                        !w->server->is_handed_over);
    }
    if (w->server->is_handed_over)
        upstreams_keep_no_idle(&w->upstreams);
    arrival_drain(w);
    LIST_FOREACH (&w->clients, client_node) {
        client_drain(CONTAINER_OF(client_node, struct client, node));
    }
    atomic_store(&w->has_drained, true);
    wake_post(&w->server->worker_idle);
}

/* Whoever still waits for the head of an answer learns why there is none. */
static void worker_end_client(struct client *c)
{
    if (c->down.exchange)
        exchange_cancel(c->down.exchange, CANCEL_DRAIN);
    if (c->h2)
        client_h2_drain_end(c);
    client_close(c);
}

static void worker_stop(struct worker *w)
{
    LIST_FOREACH (&w->listeners, node) {
        worker_unlisten(CONTAINER_OF(node, struct worker_listener, node), false);
    }
    mirror_stop_all(w);
    arrival_close_all(w);
    while (w->clients.first)
        worker_end_client(CONTAINER_OF(w->clients.first, struct client, node));
    loop_stop(&w->loop);
}

static struct offer *worker_reverse_offers(struct offer *newest)
{
    struct offer *oldest = NULL;

    while (newest) {
        struct offer *before = newest->before;

        newest->before = oldest;
        oldest = newest;
        newest = before;
    }
    return oldest;
}

static void worker_take_offers(struct worker *w)
{
    struct offer *next;

    for (struct offer *o = worker_reverse_offers(atomic_exchange(&w->offers, NULL)); o; o = next) {
        next = o->before;
        worker_use_snapshot(w, o->snapshot);
        worker_update_listeners(w);
        mem_free(o);
    }
}

static void worker_on_news(struct wake *wake)
{
    struct worker *w = CONTAINER_OF(wake, struct worker, news);
    uint32_t orders = atomic_exchange(&w->orders, 0);

    worker_take_offers(w);
    if (orders & ORDER_SHED)
        overload_shed(w);
    if (orders & ORDER_ROOM)
        overload_make_room(w);
    if (orders & ORDER_DRAIN)
        worker_drain(w);
    if (orders & ORDER_STOP)
        worker_stop(w);
}

/* Keys changed or a first fetch ended: whoever waits looks again. */
static void worker_on_keys(struct wake *wake)
{
    struct worker *w = CONTAINER_OF(wake, struct worker, keys_changed);

    LIST_FOREACH (&w->exchanges, node) {
        struct exchange *x = CONTAINER_OF(node, struct exchange, node);

        if (x->wait & WAIT_KEYS)
            exchange_resume(x);
    }
}

void worker_order(struct worker *w, uint32_t orders)
{
    atomic_fetch_or(&w->orders, orders);
    wake_post(&w->news);
}

void worker_offer_snapshot(struct worker *w, struct snapshot *s)
{
    struct offer *o = MEM_NEW(struct offer);

    atomic_fetch_add(&s->n_workers, 1);
    o->snapshot = s;
    o->before = atomic_load(&w->offers);
    while (!atomic_compare_exchange_weak(&w->offers, &o->before, o)) {
    }
    wake_post(&w->news);
}

/* ---- counting and time ---- */

static uint32_t worker_n_connections(const struct worker *w)
{
    return (uint32_t)(w->clients.n_nodes + w->arrivals.n_nodes);
}

void worker_note_connections(struct worker *w)
{
    atomic_store_explicit(&w->n_open_connections, worker_n_connections(w), memory_order_relaxed);
    if (w->is_draining && worker_n_connections(w) == 0)
        wake_post(&w->server->worker_idle);
}

struct str worker_date(struct worker *w)
{
    int64_t now_s = clock_wall_s(w->loop.now);

    if (now_s != w->date_s) {
        w->date_s = now_s;
        clock_format_http(now_s, w->date_text);
    }
    return str_make(w->date_text, sizeof w->date_text - 1);
}

/* ---- life ---- */

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    char name[16];

    snprintf(name, sizeof name, "worker-%u", w->index % 1000);
    pthread_setname_np(pthread_self(), name);
    worker_update_listeners(w);
    if (loop_run(&w->loop) < 0)
        log_error("worker %u: the event loop failed: %s", w->index, error_trace());
    return NULL;
}

static void worker_free_exchanges(struct worker *w)
{
    LIST_FOREACH (&w->free_exchanges, node) {
        struct exchange *x = CONTAINER_OF(node, struct exchange, node);

        list_remove(node);
        arena_deinit(&x->arena);
        arena_deinit(&x->tail);
        mem_free(x);
    }
}

void worker_deinit(struct worker *w)
{
    ASSERT(w->exchanges.n_nodes == 0);
    upstreams_deinit(&w->upstreams);
    hash_desk_deinit(&w->passwords);
    if (loop_turn(&w->loop, 0) < 0) /* runs what was retired above */
        log_warn("worker %u: the last turn of the loop failed", w->index);
    worker_free_exchanges(w);
    w->current->is_current = false;
    worker_drop_hold(w, w->current);
    struct offer *before;

    for (struct offer *o = atomic_exchange(&w->offers, NULL); o; o = before) {
        before = o->before;
        atomic_fetch_sub(&o->snapshot->n_workers, 1);
        mem_free(o);
    }
    token_memory_deinit(&w->tokens);
    failure_limit_deinit(&w->failures);
    password_memory_deinit(&w->password_memory);
    arena_deinit(&w->spare_arena);
    outbox_pool_deinit(&w->outboxes);
    buf_deinit(&w->log_line);
    refusal_ring_free(w->refusals);
    buf_deinit(&w->span);
    loop_deinit(&w->loop);
}

int worker_init_apart(struct worker *w, struct server *g, struct metrics *metrics,
                      struct snapshot *s)
{
    int r = loop_init(&w->loop);

    if (r < 0)
        return r;
    w->server = g;
    arena_init(&w->spare_arena, 4096);
    random_init(&w->random);
    upstreams_init(&w->upstreams, &w->loop, &w->outboxes, w->scratch, sizeof w->scratch);
    token_memory_init(&w->tokens);
    failure_limit_init(&w->failures);
    hash_desk_init(&w->passwords, &g->hash_pool, &w->loop);
    w->metrics = metrics_shard_new(metrics);
    overload_show(w);
    wake_init(&w->news, &w->loop, worker_on_news);
    wake_init(&w->keys_changed, &w->loop, worker_on_keys);
    atomic_fetch_add(&s->n_workers, 1);
    worker_use_snapshot(w, s);
    return 0;
}

int worker_init(struct worker *w, struct server *g, uint32_t n, struct snapshot *first)
{
    int r = worker_init_apart(w, g, &g->metrics, first);

    if (r < 0)
        return r;
    w->index = n;
    conn_limit_add_member(&g->overload.upstreams, &w->upstreams.limit);
    w->refusals = refusal_ring_new();
    w->exports = exporter_registry_ring(&g->exporters);
    w->log = log_writer_ring(&g->log_writer);
    return 0;
}

int worker_start(struct worker *w, struct server *g, uint32_t n, struct snapshot *first)
{
    int r = worker_init(w, g, n, first);

    if (r < 0)
        return r;
    r = pthread_create(&w->thread, NULL, worker_main, w);
    if (r == 0) {
        if (pthread_getcpuclockid(w->thread, &w->cpu_clock) != 0)
            w->cpu_clock = 0; /* that of the wall: nobody's */
        return 0;
    }
    worker_deinit(w);
    return error_origin(-r);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    worker_deinit(w);
}
