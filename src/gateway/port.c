/* Listening ports: opened by control with one SO_REUSEPORT socket per worker, after a probe bind
 * without it so that a port in use is noticed. They live as long as the configuration wants them,
 * across reloads; a worker closes its own socket, and control frees the port when no worker and no
 * connection uses it.
 *
 * Of another process that is taken over from all sockets of a port are kept, for connections wait
 * in each of them: where they are more than our workers, some workers have several, and where they
 * are fewer, the others get new ones. */
#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/server.h"
#include "net/socket.h"

uint16_t port_bound_number(const struct server_options *o, uint16_t number)
{
    for (uint32_t i = 0; i < o->n_port_maps; i++) {
        if (o->port_maps[i].from == number)
            return o->port_maps[i].to;
    }
    if (number < 1024 && !broker_may_bind_privileged(o->broker))
        return (uint16_t)(number + SERVER_PRIVILEGED_SHIFT);
    return number;
}

static struct port *port_find(struct server *g, const struct port_plan *plan)
{
    LIST_FOREACH (&g->ports, node) {
        struct port *p = CONTAINER_OF(node, struct port, node);

        if (p->number == plan->number && p->is_tls == plan->is_tls && p->is_wanted &&
            str_eq(str_of(p->address), plan->address))
            return p;
    }
    return NULL;
}

/* Do we listen there ourselves (a port that is on its way out, or of the other protocol)? */
static bool port_is_ours(struct server *g, uint16_t bound)
{
    LIST_FOREACH (&g->ports, node) {
        if (CONTAINER_OF(node, struct port, node)->bound == bound)
            return true;
    }
    return false;
}

static void port_close_fds(struct port *p)
{
    for (uint32_t i = 0; i < p->n_fds; i++) {
        if (p->fds[i] >= 0)
            broker_close_socket(p->broker, p->fds[i]);
        p->fds[i] = -1;
    }
}

static void port_free(struct port *p)
{
    list_remove(&p->node);
    port_close_fds(p);
    mem_free(p->fds);
    mem_free(p);
}

static void port_add_fd(struct port *p, int fd)
{
    p->fds = mem_realloc(p->fds, (p->n_fds + 1) * sizeof p->fds[0]);
    p->fds[p->n_fds++] = fd;
}

static int port_listen(struct server *g, struct port *p)
{
    struct socket_address address;
    int r = socket_address_parse_ip(str_of(p->address), p->bound, &address);
    int fd = r == 0 ? inheritance_take(g->options.inheritance, &address) : -1;

    if (r == 0 && fd < 0 && !p->broker && !port_is_ours(g, p->bound))
        r = socket_probe(&address);
    for (; r == 0 && fd >= 0; fd = inheritance_take(g->options.inheritance, &address)) {
        broker_adopt(p->broker, fd);
        port_add_fd(p, fd);
    }
    while (r == 0 && p->n_fds < p->n_shares) {
        r = broker_listen(p->broker, &address, &fd);
        if (r == 0)
            port_add_fd(p, fd);
    }
    return r;
}

int port_open(struct server *g, const struct port_plan *plan, struct port **ret_port,
              struct buf *ret_why)
{
    struct port *p = port_find(g, plan);
    int r;

    *ret_port = p;
    if (p)
        return 0;
    p = MEM_NEW(struct port);
    p->number = plan->number;
    p->bound = port_bound_number(&g->options, plan->number);
    p->is_tls = plan->is_tls;
    p->broker = g->options.broker;
    p->is_wanted = true;
    p->is_new = true;
    snprintf(p->address, sizeof p->address, "%.*s", STR_ARG(plan->address));
    p->n_shares = MAX(1U, MIN(g->options.n_workers, (uint32_t)SERVER_WORKERS_MAX));
    r = port_listen(g, p);
    if (r != 0) {
        buf_printf(ret_why, "port %u%s%s (listener port %u): %s", p->bound,
                   p->address[0] ? " on " : "", p->address, p->number, socket_listen_error(r));
        if (r == SOCKET_IN_USE || r == SOCKET_DENIED)
            buf_printf(ret_why, " (--port-map %u=PORT serves it elsewhere)", p->number);
        list_append(&g->ports, &p->node);
        port_free(p);
        return SERVER_PORT_IN_USE;
    }
    /* At start the report of the listeners says so. */
    if (g->current && p->bound != p->number)
        log_info("listener port %u is served on port %u", p->number, p->bound);
    atomic_store(&p->n_users, p->n_fds);
    list_append(&g->ports, &p->node);
    *ret_port = p;
    return 0;
}

void port_release(struct port *port, uint32_t fd_index)
{
    ASSERT(fd_index < port->n_fds);
    broker_close_socket(port->broker, port->fds[fd_index]);
    port->fds[fd_index] = -1;
    atomic_fetch_sub(&port->n_users, 1);
}

void port_settle(struct server *g, bool is_accepted)
{
    LIST_FOREACH (&g->ports, node) {
        struct port *p = CONTAINER_OF(node, struct port, node);

        /* No worker has seen the new ones of a refused snapshot. */
        if (p->is_new && !is_accepted) {
            port_free(p);
            continue;
        }
        p->is_new = false;
        /* A port that leaves is not taken up again: its workers are closing it. One that comes back
         * is opened anew. */
        p->is_wanted = p->is_wanted && snapshot_find_port(g->current, p);
    }
}

void port_sweep(struct server *g)
{
    LIST_FOREACH (&g->ports, node) {
        struct port *p = CONTAINER_OF(node, struct port, node);

        if (!p->is_wanted && atomic_load(&p->n_users) == 0 &&
            bounded_count_get(&p->n_connections) == 0)
            port_free(p);
    }
}

void port_free_all(struct server *g)
{
    LIST_FOREACH (&g->ports, node) {
        port_free(CONTAINER_OF(node, struct port, node));
    }
}
