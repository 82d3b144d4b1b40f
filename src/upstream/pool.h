/* Upstream connections of one worker: a pool per cluster, which leases streams (conn.h).
 * Worker-local.
 */
#pragma once

#include "base/random.h"
#include "upstream/cluster.h"
#include "upstream/conn.h"
#include "upstream/conn_limit.h"

enum {
    UPSTREAM_IDLE_US = 60 * 1000000,  /* an unused connection is closed after this */
    UPSTREAM_IDLE_PER_CLUSTER = 1024, /* idle connections kept per cluster and worker */
    UPSTREAM_CONNECT_TIMEOUT_US = 10 * 1000000,
};

struct pick; /* upstream/balance/pick.h */

struct pool {
    struct upstreams *upstreams;
    struct cluster *cluster;        /* one reference */
    struct endpoint_set *endpoints; /* one reference; the worker's cached view */
    uint32_t version;
    struct pick *pick;
    struct list lists[CONN_CLOSED]; /* by state */
    bool speaks_http1;              /* what was negotiated last: of CLUSTER_NEGOTIATED */
    uint32_t n_streams;             /* that one connection of HTTP/2 took last */
    struct pending_member member;   /* shared: for the pools of other workers */
    struct deferred serve;
    bool forbids_panic; /* of the attempt that is choosing an endpoint */
};

/* What a worker's upstream side needs; embedded in the worker (and in control, for key fetches). */
struct upstreams {
    struct loop *loop;
    struct outbox_pool *outboxes;
    char *scratch; /* shared with the worker's other readers; valid within one callback */
    size_t scratch_bytes;
    struct random random;
    struct pool **pools; /* by cluster id */
    uint32_t n_pools;
    struct list waiting; /* attempts that wait for a name */
    struct list crowded; /* attempts that wait until there may be one more connection */
    struct conn_limit_member limit;
    struct wake endpoints_changed;
    struct wake pending_news; /* for some pool's attempts that wait, or of other workers' */
    struct timer sweep;
    bool is_uncounted;  /* what is done by it is nothing that circuit breakers bound: probes */
    bool keeps_no_idle; /* unused connections are for another process, which has taken over */
};

/* `scratch` and `outboxes` stay the caller's. Arms the idle sweep. */
void upstreams_init(struct upstreams *u, struct loop *l, struct outbox_pool *outboxes,
                    char *scratch, size_t scratch_bytes);
/* Closes every connection. No attempt may be under way. */
void upstreams_deinit(struct upstreams *u);
/* The pool of a cluster, made at first use. */
struct pool *upstreams_pool(struct upstreams *u, struct cluster *b);
/* One of `part` unused connections of each pool is closed, at least one: those unused the longest.
 */
void upstreams_close_idle(struct upstreams *u, size_t part);
/* From now on a connection that nobody uses is closed at once. */
void upstreams_keep_no_idle(struct upstreams *u);
/* Connections in all pools that are in `state`. */
size_t upstreams_count(const struct upstreams *u, enum conn_state state);

/* The view of the endpoints becomes the current one. */
void pool_refresh(struct pool *p);
/* That of `c` as the pool has it now; NULL: it has gone. */
struct endpoint *pool_endpoint_of(const struct pool *p, const struct conn *c);
/* May it be a stream of a connection of HTTP/2? */
bool pool_may_share(const struct pool *p, const struct attempt *a);
static inline struct breaker *pool_breaker(const struct pool *p)
{
    return &p->cluster->backend->breaker;
}
/* An open connection to `e` (NULL: to any) with a free stream, or NULL. Of HTTP/1.1 it is leased to
 * `a` then (CONN_FULL); of HTTP/2 conn_h2_open does that. */
struct conn *pool_take(struct pool *p, struct endpoint *e, struct attempt *a);
