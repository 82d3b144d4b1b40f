/* The gateway as a whole, on control's thread: workers, ports, the current snapshot and what
 * outlives snapshots (clusters, key feeds, metrics, log writer). `app` drives it, `admin` reads it.
 */
#pragma once

#include "gateway/account/metric_push.h"
#include "gateway/overload/overload.h"
#include "gateway/server_options.h"
#include "gateway/snapshot.h"
#include "gateway/worker.h"
#include "policy/limit_memory.h"
#include "upstream/breaker/guest.h"
#include "upstream/names.h"
#include "upstream/otlp/exporter.h"

enum { SERVER_WORKERS_MAX = 64, SERVER_PRIVILEGED_SHIFT = 10000 };

struct server {
    struct loop *loop; /* control's */
    struct server_options options;
    struct worker **workers;
    uint32_t n_workers;
    struct snapshot *current;
    struct list old_snapshots; /* still held by some worker */
    struct list ports;
    struct cluster_registry clusters;
    struct guest guest; /* what a process that we have taken over from holds of them */
    struct key_feed_registry feeds;
    struct exporter_registry exporters; /* of spans and metrics */
    struct metric_push push;
    struct limit_memory limits;     /* counts of rate limits */
    struct model_averages averages; /* of answers' lengths */
    struct hash_pool hash_pool;
    struct names names;
    struct overload overload;
    struct health_registry health;
    struct upstreams upstreams; /* control's own, for key fetches and exports */
    struct outbox_pool outboxes;
    char *scratch;
    struct metrics metrics;
    struct metrics_shard *control_metrics;
    struct log_writer log_writer;
    struct tls_tickets *tickets; /* keys of session tickets, for every snapshot's listeners */
    struct wake snapshots_done;  /* a worker let go of a snapshot */
    struct wake worker_idle;     /* a draining worker has no connection left */
    struct timer sweep;
    bool is_draining;
    _Atomic bool is_leaving; /* shared: the first signal to end has come, health checks say so */
    bool is_handed_over;     /* set before the order to drain; workers read it then */
    bool has_drained;        /* on_drained has been called */
    uint64_t n_reloads_ok;   /* counted by whoever reloads */
    uint64_t n_reloads_failed;
    bool has_refused_reload; /* the last one */
    int64_t swapped_wall_us; /* when `current` was taken */
    uint64_t generation;
    int64_t started_wall_us;
    void (*on_drained)(struct server *g); /* once: no worker accepts any more */
    void (*on_idle)(struct server *g);    /* draining, no connection left, and spans are exported */
};

enum server_result {
    SERVER_PORT_IN_USE = 1, /* *ret_why says which */
};

/* `l` is control's loop. 0 or negative. */
MUST_USE int server_init(struct server *g, struct loop *l, const struct server_options *options);
/* Opens the ports of `s`; nobody accepts yet on new ones. 0, negative, or SERVER_PORT_IN_USE with a
 * sentence in `ret_why`. */
MUST_USE int server_open(struct server *g, struct snapshot *s, struct buf *ret_why);
/* Starts the workers on `first` (taken over), whose ports are open. 0 or negative. */
MUST_USE int server_start(struct server *g, struct snapshot *first);
/* Opens new ports, hands the snapshot (taken over on success) to the workers. */
MUST_USE int server_swap(struct server *g, struct snapshot *next, struct buf *ret_why);
/* What answers for the gateway's health says no from now on; everything is still served. */
void server_leave(struct server *g);
/* No new connections; idle ones close, running exchanges finish. Connections that wait to be
 * accepted are served too, unless `is_handed_over`: another process has the same sockets. */
void server_drain(struct server *g, bool is_handed_over);
/* Draining, and nothing is left to wait for. */
bool server_is_idle(struct server *g);
uint32_t server_n_connections(const struct server *g);
uint32_t server_n_exchanges(const struct server *g);
/* measure.c: lets the metrics read the server's own state. */
void server_measure(struct server *server);
/* Ends the workers at once and frees everything. */
void server_deinit(struct server *g);

/* port.c. The port of a plan: the open one, or a new one with one listening socket per worker. */
MUST_USE int port_open(struct server *g, const struct port_plan *plan, struct port **ret_port,
                       struct buf *ret_why);
/* A worker lets go of a socket of its own, which is closed. Worker's thread. */
void port_release(struct port *port, uint32_t fd_index);
/* After a snapshot was adopted (port_open was called for it), or refused: its new ports stay or go,
 * and ports that no snapshot serves any more are on their way out. Control. */
void port_settle(struct server *g, bool is_accepted);
/* Frees ports that nothing uses any more. Control. */
void port_sweep(struct server *g);
void port_free_all(struct server *g);
/* Where a Gateway's port listens: mapped, shifted, or as it is. */
uint16_t port_bound_number(const struct server_options *o, uint16_t number);
