/* One compiled configuration: the ports with their listeners, and the load it came from. Immutable;
 * owned by control; each worker holds one and tells control when it has let go of an older one. */
#pragma once

#include "base/bounded_count.h"
#include "base/map.h"
#include "gateway/account/series.h"
#include "gateway/plan.h"
#include "manifest/manifest.h"
#include "upstream/breaker/bounds.h"
#include "upstream/health/monitor.h"

struct tls_server;

/* A listening port as the Gateways state it. Lives as long as the process wants the port, across
 * snapshots. Shared: immutable after open but for the connection count. */
struct port {
    uint16_t number; /* as in the Gateway */
    uint16_t bound;  /* where it listens: mapped or shifted */
    bool is_tls;
    bool is_new;                 /* control only: opened for a snapshot that does not serve yet */
    bool is_wanted;              /* control only: the current snapshot serves it */
    char address[64];            /* "" wildcard, else the Gateway's address */
    int *fds;                    /* one per worker, or more: worker i has i, i + n_shares... */
    const struct broker *broker; /* whose they are, too; NULL: ours alone */
    uint32_t n_fds;
    uint32_t n_shares;        /* workers */
    _Atomic uint32_t n_users; /* sockets that a worker has */
    struct bounded_count n_connections;
    struct list_node node; /* gateway's list */
};

struct port_plan {
    struct port *port;
    uint16_t number;
    struct str address; /* empty: wildcard */
    bool is_tls;
    struct tls_server *tls;           /* one reference; NULL: plain */
    struct listener_plan **listeners; /* one reference each */
    uint32_t n_listeners;
    struct map by_host;        /* exact hostname -> listener_plan */
    struct client_plan client; /* of the port: timeouts and head limits before a host is known */
};

struct exporter; /* upstream/otlp/exporter.h */

/* A collector that gets the gateway's metrics. */
struct metric_sink_plan {
    struct exporter *exporter; /* one reference */
    bool counters_as_deltas;
    bool histograms_as_deltas;
};

/* Endpoints that a cluster gets when the snapshot is adopted. */
struct publication {
    struct cluster *cluster;        /* one reference */
    struct endpoint_set *endpoints; /* one reference; NULL once published */
};

/* A certificate of a listener's or backend's Secret. */
struct certificate_fact {
    const struct object *secret;
    int64_t until_s; /* unix: the earliest end of its chain */
};

struct snapshot {
    struct arena arena;
    uint64_t generation;
    struct manifest *manifest; /* owned: conditions, sources for status */
    struct port_plan *ports;
    uint32_t n_ports;
    struct cluster **clusters; /* one reference each, for status */
    uint32_t n_clusters;
    struct publication *publications;
    uint32_t n_publications;
    struct key_feed **feeds; /* one reference each */
    uint32_t n_feeds;
    struct bounds_wish *bounds; /* one reference each; those of rules */
    uint32_t n_bounds;
    struct health_wish *health; /* what policies ask of backends' health */
    uint32_t n_health;
    VEC(struct metric_sink_plan) metric_sinks;
    VEC(struct certificate_fact) certificates; /* the next to end first */
    bool has_global_limits;                    /* that replicas of the gateway would multiply */
    uint32_t n_numbers;                        /* given to rule plans and backend plans */
    _Atomic uint32_t n_workers;                /* that still hold it */
    struct list_node node;
    struct deferred retire;
};

/* A snapshot as one worker holds it; its exchanges count here until they end or are pinned. */
struct snapshot_hold {
    struct snapshot *snapshot;
    uint32_t n_exchanges;
    bool is_current;
    struct list_node node;
    struct series_memo memos[]; /* by number of rule_plan and backend_plan */
};

struct snapshot *snapshot_new(void);
/* Frees everything, manifest included. No worker may hold it. */
void snapshot_free(struct snapshot *s);
/* Gives the clusters their endpoints. Control, once, when the snapshot begins to serve. */
void snapshot_publish(struct snapshot *s);
/* NULL when the snapshot does not serve that port. */
const struct port_plan *snapshot_find_port(const struct snapshot *s, const struct port *port);
/* The listener that serves `host`: exact, then the longest wildcard, then none. NULL: no listener.
 */
const struct listener_plan *port_plan_find_listener(const struct port_plan *p, struct str host);
