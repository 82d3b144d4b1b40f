/* One stream of a client's HTTP/2 connection: the downstream of one exchange. Worker-local.
 *
 *     OPEN --peer or we reset, or both sides are done--> CLOSED --exchange over--> freed
 *
 * Its request begins after the read that brought its head, and with few others in one turn of the
 * loop: one that is cancelled in the same breath never begins, and a connection full of heads keeps
 * nobody else waiting (CVE-2023-44487 and its kind). */
#pragma once

#include "gateway/downstream.h"
#include "http/h2.h"
#include "net/loop.h"

struct client_h2;

struct client_stream {
    struct h2_stream stream;
    struct downstream down;
    struct client_h2 *owner;
    struct list_node node;
    struct arena tail; /* the answer's trailers outlive the exchange */
    struct http_headers trailers;
    struct buf held;            /* content that is not wanted yet: at most the stream's window */
    struct list_node head_node; /* on the owner's heads, until it has begun */
    bool has_begun;             /* its exchange has started; before, it is nobody's but ours */
    bool wants_body;
    bool is_end_held;
    bool is_end_told;
    bool is_raw;      /* a tunnel (RFC 8441) that is open */
    bool is_bodiless; /* HEAD, 204, 304 */
    bool is_closed;
    uint64_t due_us;  /* when the request must have come in */
    uint64_t busy_us; /* since when its content is not wanted: that time does not count; 0: it is */
    struct timer timer;
    struct deferred again; /* deliver what is held */
    struct deferred gone;  /* the stream ended under its exchange */
    struct deferred retire;
};

extern const struct h2_events client_stream_events;

/* Begins what has come of the connection's heads, as many as one turn has time for. The rest waits
 * for another call. */
void client_stream_begin_some(struct client_h2 *h);

/* The time of a drain is over: every exchange that still runs is told, and answers as it can. */
void client_stream_drain_all(struct client_h2 *h);
/* The connection has closed: every stream's exchange ends as if its client had left. */
void client_stream_end_all(struct client_h2 *h);
