/* Ports of the admin server. */
#include "admin/admin.h"

#include "admin/connection.h"
#include "base/log.h"
#include "base/mem.h"

void admin_init(struct admin *a, struct server *server)
{
    *a = (struct admin){.server = server, .facts.last_reload = "none"};
    live_init(&a->live, a);
}

static void admin_on_accept(struct listener *l, int fd, const struct sockaddr *peer UNUSED,
                            socklen_t peer_len UNUSED)
{
    admin_connection_accept(CONTAINER_OF(l, struct admin_port, listener), fd);
}

static void admin_on_listener_end(struct listener *l)
{
    log_error("the socket of %.*s listens no more: it accepts nothing",
              STR_ARG(CONTAINER_OF(l, struct admin_port, listener)->text));
}

int admin_listen(struct admin *a, const struct socket_address *address, struct str text,
                 bool is_probe)
{
    struct admin_port *p = MEM_NEW(struct admin_port);
    const struct broker *broker = a->server->options.broker;
    int r = 0;

    p->fd = inheritance_take(a->server->options.inheritance, address);
    if (p->fd >= 0)
        broker_adopt(broker, p->fd);
    if (p->fd < 0 && !broker)
        r = socket_probe(address);
    if (p->fd < 0 && r == 0)
        r = broker_listen(broker, address, &p->fd);
    if (r == 0)
        r = listener_open(&p->listener, a->server->loop, p->fd, admin_on_accept);
    if (r != 0) {
        broker_close_socket(broker, p->fd);
        mem_free(p);
        return r;
    }
    p->listener.on_end = admin_on_listener_end;
    p->admin = a;
    p->text = text;
    p->is_probe = is_probe;
    list_append(&a->ports, &p->node);
    return 0;
}

void admin_unlisten(struct admin *a)
{
    LIST_FOREACH (&a->ports, node) {
        struct admin_port *p = CONTAINER_OF(node, struct admin_port, node);

        listener_close(&p->listener, false);
        broker_close_socket(a->server->options.broker, p->fd);
        p->fd = -1;
    }
}

void admin_deinit(struct admin *a)
{
    if (a->server)
        admin_unlisten(a);
    LIST_FOREACH (&a->ports, node) {
        struct admin_port *p = CONTAINER_OF(node, struct admin_port, node);

        list_remove(node);
        admin_connections_close(p);
        mem_free(p);
    }
    live_deinit(&a->live);
}
