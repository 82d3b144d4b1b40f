/* Upstream connections of one worker: a pool per cluster, which leases streams. State is a place: a
 * connection sits on exactly one of its pool's lists, and conn_move() is the only function that
 * changes it. HTTP/1.1 has one stream, so that such a connection is idle while it is OPEN.
 *
 *     (new) --> CONNECTING --> OPEN <--> FULL     OPEN: a stream is free; FULL: none is
 *                   |          |   \     |  |
 *                   |          |    v    v  |
 *                   |          |   DRAINING |     the backend takes no new streams, those that run
 *                   |          |      |     |     are finished (HTTP/2 only)
 *                   +----------+------+-----+--> CLOSED (retired, freed at the end of the loop
 * turn)
 *
 * Worker-local. */
#pragma once

#include "base/random.h"
#include "http/h1.h"
#include "net/outbox.h"
#include "upstream/cluster.h"

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_FULL, CONN_DRAINING, CONN_CLOSED };

enum {
    UPSTREAM_IDLE_US = 60 * 1000000,  /* an unused connection is closed after this */
    UPSTREAM_IDLE_PER_CLUSTER = 1024, /* idle connections kept per cluster and worker */
    UPSTREAM_CONNECT_TIMEOUT_US = 10 * 1000000,
};

struct attempt;
struct conn_h2;  /* upstream/conn_h2.h */
struct balancer; /* policy/balancer.h */
struct upstreams;

struct pool {
    struct upstreams *upstreams;
    struct cluster *cluster;        /* one reference */
    struct endpoint_set *endpoints; /* one reference; the worker's cached view */
    uint32_t version;
    struct balancer *balancer;
    struct list lists[CONN_CLOSED]; /* by state */
    bool speaks_http1;              /* what was negotiated last: of CLUSTER_NEGOTIATED */
    uint32_t n_streams;             /* that one connection of HTTP/2 took last */
};

struct conn {
    struct stream stream;
    struct h1 codec;
    struct conn_h2 *h2; /* NULL: HTTP/1.1, or not known yet */
    struct outbox out;
    struct buf in; /* an incomplete head or chunk line */
    struct pool *pool;
    struct endpoint_set *endpoints; /* keeps `endpoint` alive */
    struct endpoint *endpoint;
    char local_text[64]; /* our address and port */
    enum conn_state state;
    bool is_abort;    /* how to close */
    bool ends_output; /* shut down our side when everything is sent */
    uint32_t n_served;
    uint64_t idle_since_us;
    uint64_t idle_us;        /* how long it may be unused, as its last attempt said */
    struct attempt *attempt; /* HTTP/1.1: that leases it, or NULL */
    struct list waiting; /* attempts, while CONNECTING to what may speak HTTP/2: they share it */
    struct timer timer;  /* connect timeout */
    struct list_node node;
    struct deferred flush;
    struct deferred retire;
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
    struct wake endpoints_changed;
    struct timer sweep;
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
/* Connections in all pools that are in `state`. */
size_t upstreams_count(const struct upstreams *u, enum conn_state state);

/* The endpoint that the balancer chooses; NULL when there is none. `avoid` (NULL: none) is the text
 * of one that has just failed: taken only when there is no other. Refreshes the cached view first.
 */
struct endpoint *pool_pick(struct pool *p, const char *avoid);
/* An open connection to `e` with a free stream, or NULL. Of HTTP/1.1 it is leased to `a` then
 * (CONN_FULL); of HTTP/2 conn_h2_open does that. */
struct conn *pool_take(struct pool *p, struct endpoint *e, struct attempt *a);
/* A connection to `e` for `a`, CONN_CONNECTING: a new one, or one of HTTP/2 that others wait for
 * already. 0 or negative. */
MUST_USE int conn_open(struct pool *p, struct endpoint *e, struct attempt *a,
                       uint64_t connect_timeout_us, struct conn **ret_conn);
/* The attempt is done with it (HTTP/2: is not going to wait for it): back to the pool if it may
 * serve again, else closed. */
void conn_put(struct conn *c, bool is_reusable);
/* Sends what is queued; watches for room when something stays. */
void conn_flush(struct conn *c);
/* At the end of this loop turn at the latest. */
void conn_flush_later(struct conn *c);

/* For conn_h2.c. */
void conn_move(struct conn *c, enum conn_state to);
/* Whoever waits for it or has streams on it must be told besides. */
void conn_close(struct conn *c);
