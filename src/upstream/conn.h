/* A connection to an endpoint. State is a place: it sits on exactly one of its pool's lists, and
 * conn_move() is the only function that changes it. HTTP/1.1 has one stream, so that such a
 * connection is idle while it is OPEN.
 *
 *     (new) --> CONNECTING --> OPEN <--> FULL     OPEN: a stream is free; FULL: none is
 *                   |         |  ^ \     |  |
 *                   |         v  |  v    v  |
 *                   |        DRAINING <--+  |     it takes no new streams, those that run are
 *                   |            |          |     finished (HTTP/2 only); if only for the sake of
 *                   |            |          |     others and they do not end, it serves again
 *                   +------------+----------+--> CLOSED (retired, freed at the turn's end)
 *
 * Open ones count at the backend, of all workers together (breaker.h).
 *
 * Worker-local. */
#pragma once

#include "http/h1.h"
#include "net/outbox.h"

enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_FULL, CONN_DRAINING, CONN_CLOSED };

struct attempt;
struct conn_proxy; /* upstream/conn_proxy.h */
struct conn_h2;    /* upstream/conn_h2.h */
struct endpoint;
struct endpoint_set;
struct pool; /* upstream/pool.h */

struct conn {
    struct stream stream;
    struct h1 codec;
    struct conn_proxy *proxy; /* NULL: it began without a PROXY header */
    struct conn_h2 *h2;       /* NULL: HTTP/1.1, or not known yet */
    struct outbox out;
    struct buf in; /* an incomplete head or chunk line */
    struct pool *pool;
    struct endpoint_set *endpoints; /* keeps `endpoint` alive */
    struct endpoint *endpoint;
    char local_text[64]; /* our address and port */
    enum conn_state state;
    bool is_abort;    /* how to close */
    bool ends_output; /* shut down our side when everything is sent */
    bool is_unsent; /* leased once more, and nothing sent yet: what comes is not for its attempt */
    uint32_t n_served;
    bool is_yielding;     /* it ends for the sake of another worker's attempts, if it does soon */
    bool is_leaving;      /* it ends because bounds have become narrower */
    bool is_spent;        /* it has served as many as its last attempt's bounds allow */
    uint64_t yielding_us; /* since when; or when it has last tried to */
    uint64_t opened_us;
    uint64_t idle_since_us;
    uint64_t idle_us;        /* how long it may be unused, as its last attempt said */
    struct attempt *attempt; /* HTTP/1.1: that leases it, or NULL */
    struct list waiting; /* attempts, while CONNECTING to what may speak HTTP/2: they share it */
    struct timer timer;  /* connect timeout */
    struct list_node node;
    struct deferred flush;
    struct deferred retire;
};

enum conn_open_result {
    CONN_NO_PLACE = 1, /* the bounds of `a` allow no further connection to `e` */
    CONN_NO_ROOM,      /* there may be no further connection at all, or there is no descriptor */
};

/* A connection to `e` for `a`, CONN_CONNECTING: a new one, or one of HTTP/2 that others wait for
 * already. 0, negative, or a conn_open_result. */
MUST_USE int conn_open(struct pool *p, struct endpoint *e, struct attempt *a,
                       uint64_t connect_timeout_us, struct conn **ret_conn);
/* The same, new in any case, for `a` that was granted the place. 0, negative or
 * CONN_NO_ROOM: it is gone then. */
MUST_USE int conn_open_placed(struct pool *p, struct endpoint *e, struct attempt *a,
                              uint64_t connect_timeout_us, struct conn **ret_conn);
/* One that nobody waits for, to the endpoint of `a`, as `a` would have it. 0, negative or
 * CONN_NO_PLACE. */
MUST_USE int conn_open_spare(struct pool *p, struct endpoint *e, const struct attempt *a);
/* It is CONN_OPEN; of HTTP/1.1 it is `a`'s now. */
void conn_lease(struct conn *c, struct attempt *a);
/* The attempt is done with it (HTTP/2: is not going to wait for it): back to the pool if it may
 * serve again, else closed. */
void conn_put(struct conn *c, bool is_reusable);
/* Sends what is queued; watches for room when something stays. */
void conn_flush(struct conn *c);
/* At the end of this loop turn at the latest. */
void conn_flush_later(struct conn *c);

/* For conn_h2.c. */
/* Has it lived as long as its cluster allows? It takes no further request then. */
bool conn_is_old(const struct conn *c, uint64_t now_us);
/* One more attempt: whether it was the last one. */
void conn_count_served(struct conn *c, const struct attempt *a);
/* It takes no further streams if there are more connections than the attempt's bounds allow. */
void conn_leave_if_beyond(struct conn *c, const struct attempt *a);
void conn_move(struct conn *c, enum conn_state to);
/* Whoever waits for it or has streams on it must be told besides. */
void conn_close(struct conn *c);
