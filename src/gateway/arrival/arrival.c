/* See arrival.h. A refused connection is neither read nor watched: its descriptor and a timer are
 * all that it costs, and LIMIT_REFUSED_CONNECTIONS bounds those. It is among those that overload.h
 * counts, and the first to go.
 *
 * Of a PROXY header exactly its own bytes are taken from the socket, since what follows may be for
 * TLS to read: bytes are peeked at, and taken as soon as they are known to be the header's. What is
 * left is then never less than what made the decision, so that a socket is not reported without
 * news. */
#include "gateway/arrival/arrival.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "gateway/client.h"
#include "gateway/server.h"
#include "gateway/worker.h"
#include "net/proxy_protocol.h"
#include "net/socket.h"

/* For a header that is on its way when a drain begins. */
static const uint64_t ARRIVAL_DRAIN_US = 2000000;
/* Headers come with the connection: who is silent for longer is not about to say anything. */
static const uint64_t ARRIVAL_SILENT_US = 1000000;
enum { ARRIVAL_SHED_PART = 4 };

struct arrival {
    struct worker *worker;
    struct port *port;
    int fd;
    uint64_t since_us;
    struct loop_fd io; /* watched while the header is awaited */
    struct buf header; /* what has come of it */
    struct socket_address peer;
    enum proxy_mode mode; /* as it was at accept */
    struct timer timer;
    struct list_node node; /* of worker->arrivals or worker->refused */
    struct deferred retire;
};

static struct arrival *arrival_of_node(struct list_node *node)
{
    return CONTAINER_OF(node, struct arrival, node);
}

/* ---- its end ---- */

static void arrival_free(struct deferred *d)
{
    mem_free(CONTAINER_OF(d, struct arrival, retire));
}

/* The descriptor stays, closed or a client's. */
static void arrival_end(struct arrival *a)
{
    struct loop *l = &a->worker->loop;

    timer_cancel(l, &a->timer);
    loop_fd_remove(&a->io);
    list_remove(&a->node);
    buf_deinit(&a->header);
    loop_retire(l, &a->retire, arrival_free);
}

static void arrival_count(struct worker *w, const struct port *port, enum metric metric)
{
    char room[8];
    int n = snprintf(room, sizeof room, "%u", port->number);

    metric_add(METRICS_SERIES(w->metrics, metric, str_make(room, (size_t)n)), 1);
}

void arrival_give_place(struct worker *w, struct port *port)
{
    bounded_count_put(&port->n_connections);
    overload_count_client(&w->server->overload, -1);
    worker_note_connections(w);
}

static void arrival_close(struct arrival *a)
{
    struct worker *w = a->worker;
    struct port *port = a->node.owner == &w->arrivals ? a->port : NULL;

    arrival_end(a);
    socket_close(a->fd);
    if (port)
        arrival_give_place(w, port);
    else
        overload_count_client(&w->server->overload, -1);
}

static void arrival_on_timer(struct timer *t)
{
    struct arrival *a = CONTAINER_OF(t, struct arrival, timer);

    if (a->node.owner == &a->worker->arrivals)
        arrival_count(a->worker, a->port, METRIC_PROXY_HEADERS_REFUSED);
    arrival_close(a);
}

/* ---- refused ---- */

/* Whoever comes back at once after each refusal costs more than one who is kept waiting. */
static void arrival_refuse(struct worker *w, int fd, uint64_t delay_us)
{
    struct arrival *a;

    if (delay_us == 0 || w->is_draining || w->refused.n_nodes >= LIMIT_REFUSED_CONNECTIONS ||
        overload_is_tight(&w->server->overload)) {
        socket_close(fd);
        return;
    }
    a = MEM_NEW(struct arrival);
    a->worker = w;
    a->fd = fd;
    a->timer.fn = arrival_on_timer;
    list_append(&w->refused, &a->node);
    overload_count_client(&w->server->overload, +1);
    timer_set(&w->loop, &a->timer, w->loop.now.mono_us + delay_us);
}

/* ---- let in ---- */

static void arrival_let_in(struct worker *w, struct port *port, int fd,
                           const struct client_origin *from)
{
    const struct port_plan *plan = worker_port_plan(w, port);

    if (plan && client_accept(w, port, plan, fd, from))
        return;
    socket_close(fd);
    arrival_give_place(w, port);
}

static void arrival_become_client(struct arrival *a, const struct proxy_header *header)
{
    struct worker *w = a->worker;
    bool is_told = header->n > 0 && !header->is_local;
    struct buf kept = a->header;
    struct client_origin from = {
        .peer = (const struct sockaddr *)(is_told ? &header->source.address : &a->peer.address),
        .local = is_told ? (const struct sockaddr *)&header->destination.address : NULL,
        .first_bytes = header->n > 0 ? STR("") : buf_str(&kept),
    };

    a->header = (struct buf){0};
    arrival_end(a);
    arrival_let_in(w, a->port, a->fd, &from);
    buf_deinit(&kept);
}

/* ---- the PROXY header ---- */

static void arrival_refuse_header(struct arrival *a)
{
    arrival_count(a->worker, a->port, METRIC_PROXY_HEADERS_REFUSED);
    arrival_close(a);
}

/* The first `n` bytes of what was peeked at belong to the header. */
static bool arrival_consume(struct arrival *a, size_t n)
{
    return n == 0 || recv(a->fd, a->worker->scratch, n, 0) == (ssize_t)n;
}

static void arrival_judge(struct arrival *a, size_t n_before)
{
    struct proxy_header header;
    int r = proxy_header_parse(buf_str(&a->header), &header);

    if (r == PROXY_MORE && arrival_consume(a, a->header.len - n_before))
        return;
    if (r == 0 && arrival_consume(a, header.n - n_before)) {
        arrival_become_client(a, &header);
    } else if (r == PROXY_NONE && a->mode == PROXY_MODE_OPTIONAL) {
        a->header.len = n_before; /* the rest is still in the socket */
        arrival_become_client(a, &header);
    } else {
        arrival_refuse_header(a);
    }
}

static void arrival_on_ready(struct loop_fd *io, unsigned events UNUSED)
{
    struct arrival *a = CONTAINER_OF(io, struct arrival, io);
    size_t n_before = a->header.len;
    ssize_t n = recv(a->fd, a->worker->scratch, LIMIT_PROXY_HEADER_BYTES - n_before, MSG_PEEK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* left, as whoever only looks whether the port is open */
        arrival_close(a);
        return;
    }
    buf_append(&a->header, a->worker->scratch, (size_t)n);
    arrival_judge(a, n_before);
}

static void arrival_await_header(struct worker *w, struct port *port, int fd,
                                 const struct sockaddr *peer, const struct client_plan *plan)
{
    struct arrival *a = MEM_NEW(struct arrival);
    struct loop *l = &w->loop;

    a->worker = w;
    a->port = port;
    a->fd = fd;
    a->mode = plan->proxy_mode;
    a->since_us = l->now.mono_us;
    a->peer.len =
        peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    memcpy(&a->peer.address, peer, a->peer.len);
    a->timer.fn = arrival_on_timer;
    list_append(&w->arrivals, &a->node);
    timer_set(l, &a->timer,
              l->now.mono_us +
                  (w->is_draining ? MIN(plan->inspect_us, ARRIVAL_DRAIN_US) : plan->inspect_us));
    worker_note_connections(w);
    if (loop_fd_add(l, &a->io, fd, LOOP_READ, arrival_on_ready) < 0)
        arrival_close(a);
}

/* ---- beginning ---- */

void arrival_take(struct worker *w, struct port *port, int fd, const struct sockaddr *peer)
{
    const struct port_plan *plan = worker_port_plan(w, port);

    if (!plan) {
        socket_close(fd);
        return;
    }
    if (!bounded_count_take(&port->n_connections, plan->client.connection_limit)) {
        arrival_refuse(w, fd, plan->client.close_delay_us);
        return;
    }
    overload_count_client(&w->server->overload, +1);
    arrival_count(w, port, METRIC_CONNECTIONS_ACCEPTED);
    socket_set_options(fd, &plan->client.socket);
    if (plan->client.proxy_mode == PROXY_MODE_NONE)
        arrival_let_in(w, port, fd, &(struct client_origin){.peer = peer});
    else
        arrival_await_header(w, port, fd, peer, &plan->client);
}

static size_t arrival_close_refused(struct worker *w)
{
    size_t n = w->refused.n_nodes;

    while (w->refused.first)
        arrival_close(arrival_of_node(w->refused.first));
    return n;
}

/* They stand in the order in which they came. */
static size_t arrival_close_silent(struct worker *w)
{
    size_t most = (w->arrivals.n_nodes + ARRIVAL_SHED_PART - 1) / ARRIVAL_SHED_PART;
    size_t n = 0;

    while (n < most && w->loop.now.mono_us - arrival_of_node(w->arrivals.first)->since_us >=
                           ARRIVAL_SILENT_US) {
        arrival_close(arrival_of_node(w->arrivals.first));
        n++;
    }
    return n;
}

size_t arrival_shed(struct worker *w)
{
    size_t n = arrival_close_refused(w);

    if (n > 0) {
        metric_add(METRICS_SERIES(w->metrics, METRIC_SHED, STR("refused_connection")), n);
        return n;
    }
    n = arrival_close_silent(w);
    if (n > 0)
        metric_add(METRICS_SERIES(w->metrics, METRIC_SHED, STR("arriving_connection")), n);
    return n;
}

void arrival_drain(struct worker *w)
{
    uint64_t end_us = w->loop.now.mono_us + ARRIVAL_DRAIN_US;

    arrival_close_refused(w);
    LIST_FOREACH (&w->arrivals, node) {
        struct arrival *a = arrival_of_node(node);

        timer_set(&w->loop, &a->timer, MIN(a->timer.due_us, end_us));
    }
}

void arrival_close_all(struct worker *w)
{
    arrival_close_refused(w);
    while (w->arrivals.first)
        arrival_close(arrival_of_node(w->arrivals.first));
}
