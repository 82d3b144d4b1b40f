/* One stream of a client's HTTP/2 connection: the downstream of one exchange. Worker-local.
 *
 *     OPEN --peer or we reset, or both sides are done--> CLOSED --exchange over--> freed */
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
    struct buf held; /* content that is not wanted yet: at most the stream's window */
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

/* The connection has closed: every stream's exchange ends as if its client had left. */
void client_stream_end_all(struct client_h2 *h);
