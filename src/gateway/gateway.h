/* The gateway as a whole, on control's thread: workers, ports, the current snapshot and what
 * outlives snapshots (clusters, key feeds, metrics, log writer). `app` drives it, `admin` reads it.
 */
#pragma once

#include "gateway/snapshot.h"
#include "gateway/worker.h"
#include "upstream/names.h"

enum { GATEWAY_WORKERS_MAX = 64, GATEWAY_PRIVILEGED_SHIFT = 10000 };

/* --port-map 80=8080 */
struct port_mapping {
    uint16_t from;
    uint16_t to;
};

/* --resolve HOST:PORT=ADDR:PORT */
struct resolve_override {
    struct str host;
    uint16_t port;
    struct str ip;
    uint16_t to_port;
};

/* Set once before start; strings live as long as the process. */
struct gateway_options {
    uint32_t n_workers;
    struct port_mapping *port_maps;
    uint32_t n_port_maps;
    struct resolve_override *resolves;
    uint32_t n_resolves;
    struct str cluster_domain; /* "cluster.local" */
    struct str address_pool;   /* CIDR, empty: all Gateways share the wildcard address */
    uint16_t probe_port;       /* taken by probe and admin: not for listeners */
    bool is_strict;
};

struct gateway {
    struct loop *loop; /* control's */
    struct gateway_options options;
    struct worker **workers;
    uint32_t n_workers;
    struct snapshot *current;
    struct list old_snapshots; /* still held by some worker */
    struct list ports;
    struct cluster_registry clusters;
    struct key_feed_registry feeds;
    struct names names;
    struct upstreams upstreams; /* control's own, for key fetches */
    struct outbox_pool outboxes;
    char *scratch;
    struct metrics metrics;
    struct log_writer log_writer;
    struct wake snapshots_done; /* a worker let go of a snapshot */
    struct wake worker_idle;    /* a draining worker has no connection left */
    struct timer sweep;
    bool is_draining;
    uint64_t generation;
    int64_t started_wall_us;
    void (*on_idle)(struct gateway *g); /* draining and no connection left */
};

enum gateway_result {
    GATEWAY_PORT_IN_USE = 1, /* *ret_why says which */
};

/* `l` is control's loop. 0 or negative. */
MUST_USE int gateway_init(struct gateway *g, struct loop *l, const struct gateway_options *options);
/* Opens the ports of `first` (taken over) and starts the workers. 0, negative, or
 * GATEWAY_PORT_IN_USE with a sentence in `ret_why`. */
MUST_USE int gateway_start(struct gateway *g, struct snapshot *first, struct buf *ret_why);
/* Opens new ports, hands the snapshot (taken over on success) to the workers. */
MUST_USE int gateway_swap(struct gateway *g, struct snapshot *next, struct buf *ret_why);
/* No new connections; idle ones close, running exchanges finish. */
void gateway_drain(struct gateway *g);
uint32_t gateway_n_connections(const struct gateway *g);
uint32_t gateway_n_exchanges(const struct gateway *g);
/* Ends the workers at once and frees everything. */
void gateway_deinit(struct gateway *g);

/* port.c. The port of a plan: the open one, or a new one with one listening socket per worker. */
MUST_USE int port_open(struct gateway *g, const struct port_plan *plan, struct port **ret_port,
                       struct buf *ret_why);
/* A worker has closed its socket. Worker's thread. */
void port_release(struct gateway *g, struct port *port, uint32_t worker_index);
/* Frees ports that nothing uses any more. Control. */
void port_sweep(struct gateway *g);
void port_free_all(struct gateway *g);
/* Where a Gateway's port listens: mapped, shifted, or as it is. */
uint16_t port_bound_number(const struct gateway_options *o, uint16_t number);
