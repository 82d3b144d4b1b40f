/* See arrival.h. A refused connection is neither read nor watched: its descriptor and a timer are
 * all that it costs, and LIMIT_REFUSED_CONNECTIONS bounds those. */
#include "gateway/arrival/arrival.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "gateway/client.h"
#include "gateway/worker.h"
#include "net/socket.h"

struct arrival {
    struct worker *worker;
    int fd;
    struct timer timer;
    struct list_node node; /* of worker->refused */
    struct deferred retire;
};

static void arrival_free(struct deferred *d)
{
    mem_free(CONTAINER_OF(d, struct arrival, retire));
}

static void arrival_close(struct arrival *a)
{
    struct loop *l = &a->worker->loop;

    timer_cancel(l, &a->timer);
    list_remove(&a->node);
    socket_close(a->fd);
    loop_retire(l, &a->retire, arrival_free);
}

static void arrival_on_delay_end(struct timer *t)
{
    arrival_close(CONTAINER_OF(t, struct arrival, timer));
}

/* Whoever comes back at once after each refusal costs more than one who is kept waiting. */
static void arrival_refuse(struct worker *w, int fd, uint64_t delay_us)
{
    struct arrival *a;

    if (delay_us == 0 || w->is_draining || w->refused.n_nodes >= LIMIT_REFUSED_CONNECTIONS) {
        socket_close(fd);
        return;
    }
    a = MEM_NEW(struct arrival);
    a->worker = w;
    a->fd = fd;
    a->timer.fn = arrival_on_delay_end;
    list_append(&w->refused, &a->node);
    timer_set(&w->loop, &a->timer, w->loop.now.mono_us + delay_us);
}

static void arrival_count(struct worker *w, const struct port *port)
{
    char room[8];
    int n = snprintf(room, sizeof room, "%u", port->number);

    metric_add(METRICS_SERIES(w->metrics, METRIC_CONNECTIONS_ACCEPTED, str_make(room, (size_t)n)),
               1);
}

static bool arrival_take_place(struct worker *w, struct port *port, uint32_t limit)
{
    if (!bounded_count_take(&port->n_connections, limit))
        return false;
    arrival_count(w, port);
    return true;
}

void arrival_give_place(struct worker *w, struct port *port)
{
    bounded_count_put(&port->n_connections);
    worker_note_connections(w);
}

void arrival_take(struct worker *w, struct port *port, int fd, const struct sockaddr *peer)
{
    const struct port_plan *plan = worker_port_plan(w, port);

    if (!plan) {
        socket_close(fd);
    } else if (!arrival_take_place(w, port, plan->client.connection_limit)) {
        arrival_refuse(w, fd, plan->client.close_delay_us);
    } else if (!client_accept(w, port, plan, fd, peer)) {
        socket_close(fd);
        arrival_give_place(w, port);
    }
}

void arrival_close_refused(struct worker *w)
{
    while (w->refused.first)
        arrival_close(CONTAINER_OF(w->refused.first, struct arrival, node));
}
