/* The admin server, on control's loop: readiness, metrics, status, configuration. It changes
 * nothing. It answers only GET and HEAD, only for its own address or a loopback name in Host (a
 * page in a browser must not reach it through a name of its own), and reads no content. */
#pragma once

#include "admin/live/live.h"
#include "gateway/server.h"
#include "net/listener.h"
#include "net/socket.h"

/* What app tells: the last reload, and whether the process is on its way out. */
struct admin_facts {
    const char *last_reload;
    bool is_draining;
};

struct admin {
    struct server *server;
    struct admin_facts facts;
    struct outbox_pool outboxes;
    struct list ports;
    struct live live;
};

/* Each port has its own connections: a crowd on the probe port must not shut out the operator. */
struct admin_port {
    struct admin *admin;
    struct listener listener;
    int fd;
    struct str text; /* ADDR:PORT as given */
    bool is_probe;   /* /ready, /healthz and /metrics only */
    struct list connections;
    struct list_node node;
};

void admin_init(struct admin *a, struct server *server);
/* Opens one port. 0, negative, or an enum socket_condition. `text` outlives the port. */
MUST_USE int admin_listen(struct admin *a, const struct socket_address *address, struct str text,
                          bool is_probe);
/* No new connections any more; those that are open go on. */
void admin_unlisten(struct admin *a);
/* Closes ports and connections; their memory goes at the end of the loop's turn. Safe on zeroed
 * memory and repeated. */
void admin_deinit(struct admin *a);
