/* Upstream connections of one worker: a pool per cluster. State is a place: a connection sits on
 * exactly one of its pool's lists, and conn_move() is the only function that changes it.
 *
 *     (new) --> CONNECTING --> FULL <--> OPEN          FULL: leased to an attempt (no free stream
 * slot) |           |          |           OPEN: idle, a free stream slot
 *                   +-----------+----------+--> CLOSED (retired, freed at the end of the loop turn)
 *
 * Worker-local. */
#pragma once

#include "base/random.h"
#include "http/h1.h"
#include "net/outbox.h"
#include "upstream/cluster.h"

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_FULL, CONN_CLOSED };

enum {
    UPSTREAM_IDLE_US = 60 * 1000000,  /* an unused connection is closed after this */
    UPSTREAM_IDLE_PER_CLUSTER = 1024, /* idle connections kept per cluster and worker */
    UPSTREAM_CONNECT_TIMEOUT_US = 10 * 1000000,
};

struct attempt;
struct balancer; /* policy/balancer.h */
struct upstreams;

struct pool {
    struct upstreams *upstreams;
    struct cluster *cluster;        /* one reference */
    struct endpoint_set *endpoints; /* one reference; the worker's cached view */
    uint32_t version;
    struct balancer *balancer;
    struct list lists[CONN_CLOSED]; /* by state */
};

struct conn {
    struct stream stream;
    struct h1 codec;
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
    uint64_t idle_us; /* how long it may be unused, as its last attempt said */
    struct attempt *attempt;
    struct timer timer; /* connect timeout */
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
/* Connections in all pools that are in `state`. */
size_t upstreams_count(const struct upstreams *u, enum conn_state state);

/* The endpoint that the balancer chooses; NULL when there is none. `avoid` (NULL: none) is the text
 * of one that has just failed: taken only when there is no other. Refreshes the cached view first.
 */
struct endpoint *pool_pick(struct pool *p, const char *avoid);
/* An idle connection to `e`, leased to `a` (CONN_FULL), or NULL. */
struct conn *pool_take(struct pool *p, struct endpoint *e, struct attempt *a);
/* A new connection to `e`, leased to `a`; CONN_CONNECTING. 0 or negative. */
MUST_USE int conn_open(struct pool *p, struct endpoint *e, struct attempt *a,
                       uint64_t connect_timeout_us, struct conn **ret_conn);
/* The attempt is done with it: back to the pool if it may serve again, else closed. */
void conn_put(struct conn *c, bool is_reusable);
/* Sends what is queued; watches for room when something stays. */
void conn_flush(struct conn *c);
/* At the end of this loop turn at the latest. */
void conn_flush_later(struct conn *c);
