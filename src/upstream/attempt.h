/* One try of a request at one endpoint: take or open a connection, send head and body, receive the
 * answer, over a connection of its own (HTTP/1.1) or a stream of one (HTTP/2): its owner does not
 * know. Exactly one completion (on_end or on_fail) unless cancelled.
 *
 *   IDLE --start--> WAITING_NAME --> PENDING --> CROWDED --> CONNECTING --> STREAMING --> DONE
 *                        |              |           |            |              |
 *                        +--------------+-----------+------------+--------------+--> FAILED | IDLE
 * (cancelled)
 *
 * PENDING, where the backend is at its bound of connections: it waits for one (pending.h). CROWDED,
 * where the gateway is: it waits a moment until others close unused ones (conn_limit.h).
 *
 * What the owner reads meanwhile are fields; worker-local, embedded in its owner. */
#pragma once

#include "upstream/attempt_failure.h"
#include "upstream/pool.h"

enum attempt_state {
    ATTEMPT_IDLE,
    ATTEMPT_WAITING_NAME,
    ATTEMPT_PENDING,
    ATTEMPT_CROWDED,
    ATTEMPT_CONNECTING,
    ATTEMPT_STREAMING,
    ATTEMPT_DONE,
    ATTEMPT_FAILED,
};

/* Called from the loop, never from within attempt_start. Any of them may cancel the attempt. */
struct attempt_events {
    void (*on_ready)(struct attempt *a);    /* connected: the head is queued, the body may follow */
    void (*on_writable)(struct attempt *a); /* room again after attempt_is_full */
    void (*on_head)(struct attempt *a);     /* final head (or 101) in a->response */
    void (*on_data)(struct attempt *a, struct str span); /* borrowed until the batch ends */
    void (*on_trailers)(struct attempt *a, const struct http_headers *trailers);
    void (*on_end)(struct attempt *a);
    void (*on_batch_end)(struct attempt *a); /* all spans of one read were told: flush */
    void (*on_fail)(struct attempt *a, enum attempt_failure why);
};

struct pick_rule; /* upstream/balance/pick.h */

struct attempt {
    enum attempt_state state;
    const struct attempt_events *events;
    struct upstreams *upstreams;
    struct pool *pool;
    struct conn *conn;
    struct conn_h2_stream *stream; /* of `conn`; NULL: HTTP/1.1, or not yet */
    struct arena *arena;
    struct arena *tail; /* of trailers, which may begin before attempt_set_arena and go on after */
    const struct http_request *request;
    struct http_response response;
    uint64_t connect_timeout_us;
    const struct breaker_limits *limits; /* NULL: none; the caller's to set, and to keep */
    struct str tenant;                   /* whose share it has of waiting; the caller's too */
    const struct pick_rule *pick;        /* how its endpoint is chosen; NULL: as ever; so too */
    bool has_key;                        /* that it sticks to an endpoint by; so too */
    uint64_t key;
    struct str proxy_header; /* what its connection begins with, where its cluster has
                                that; empty: nobody's; the caller's too */
    enum h1_error bad_answer;
    uint32_t n_interim; /* 1xx heads of this try */
    uint64_t idle_us; /* for its connection afterwards; 0: UPSTREAM_IDLE_US; the caller's to set */
    bool forbids_panic;   /* only endpoints that are well; the caller's to set */
    bool is_fresh_wanted; /* no pooled connection (second try after a stale one) */
    bool was_reused;
    bool was_stale;   /* it has ended with a connection that may just have been unused too long */
    bool stays;       /* for that, its next try goes to the same endpoint, where it has a key */
    uint32_t n_tried; /* endpoints that it has failed on, where it has a key */
    bool was_refused; /* the try before: there is nothing wrong with its connection */
    bool is_counted;  /* has a place among the backend's requests */
    bool has_head;    /* final head received */
    bool is_request_done;
    bool has_sent_body; /* some request content was handed to the connection */
    bool is_raw;        /* upgraded */
    bool is_tunnel;     /* to be upgraded: the 101 stands for the yes to an extended CONNECT */
    bool is_paused, was_full;
    char endpoint_text[64]; /* for the log, after the connection went */
    char local_text[64];    /* our end of it */
    int transport_error;    /* of the last failure: errno, 0 unknown; as stream.error for TLS */
    uint64_t started_us;
    uint64_t crowded_until_us; /* 0: there was room so far */
    uint64_t connected_us;     /* it has a connection, and the head is queued; 0: not yet */
    uint64_t sent_us;          /* the request's end was handed to that; 0: not yet */
    bool is_h2;                /* what that spoke */
    const char *tls_version;   /* NULL: clear text, or not yet */
    const char *tls_cipher;
    struct endpoint_set *endpoints; /* keeps `endpoint` alive while in flight */
    struct endpoint *endpoint;
    struct timer wait_timer; /* for a name, or for room */
    struct pending_waiter waiter;
    struct list_node node; /* on upstreams.waiting or crowded, then on its connection's */
};

void attempt_init(struct attempt *a, struct upstreams *u, const struct attempt_events *events,
                  struct arena *arena);
/* Starts. 0: under way (STREAMING already when a pooled connection was free), or a positive
 * attempt_failure at once. `request` must stay until the end. */
MUST_USE int attempt_start(struct attempt *a, struct cluster *b, const struct http_request *request,
                           uint64_t connect_timeout_us);
/* Would it find an endpoint? 0, also where the name is not resolved yet, or ATTEMPT_NO_ENDPOINT.
 * Nothing is counted or opened. */
MUST_USE int attempt_foresee(struct attempt *a, struct cluster *b);
/* Where what comes from now on is kept: after the head, when the first arena may be sealed. */
void attempt_set_arena(struct attempt *a, struct arena *arena);
/* Request content; only while STREAMING. The span is borrowed until attempt_flush, which must come
 * in the same callback. */
void attempt_send(struct attempt *a, struct str span);
void attempt_send_end(struct attempt *a, const struct http_headers *trailers);
void attempt_flush(struct attempt *a);
bool attempt_is_full(struct attempt *a);
/* Bytes that were given to it, and which its backend has not taken yet. */
size_t attempt_n_untaken(const struct attempt *a);
/* Stops and resumes reading the answer (back-pressure). */
void attempt_pause(struct attempt *a);
void attempt_resume(struct attempt *a);
/* After 101; then, once: our side of the connection ends behind what was sent, reading goes on. */
void attempt_set_raw(struct attempt *a);
void attempt_shutdown(struct attempt *a);
/* No completion follows. Connection or stream is closed. Safe in every state. */
void attempt_cancel(struct attempt *a);
