/* An HTTP/2 connection of a client: many exchanges at once, each the downstream of one stream
 * (client_stream.h). Hangs on its struct client, which keeps the socket, the outbox and the
 * worker's lists; what differs from HTTP/1 stands here. Worker-local.
 *
 *     STAYING --drain, idle--> LEAVING --the peer knows it, or time--> LEFT --no stream--> closed
 */
#pragma once

#include "http/h2.h"
#include "net/loop.h"

struct client;

enum client_h2_state {
    CLIENT_H2_STAYING,
    CLIENT_H2_LEAVING, /* the peer is told; what it sends meanwhile is served (RFC 9113 6.8) */
    CLIENT_H2_LEFT,    /* what it sends now is not; what runs is finished */
};

struct client_h2 {
    struct h2 codec;
    struct client *client;
    struct list streams;
    struct list heads; /* of them, whose requests have not begun */
    uint64_t begun_us; /* the turn of the loop in which some have */
    uint32_t n_begun;  /* how many in that */
    enum client_h2_state state;
    bool is_processing; /* inside the codec: output waits until it is out of it */
    bool wants_output;
    bool is_over;         /* nothing follows what is in the outbox */
    uint64_t idle_end_us; /* while no stream is open: when to leave */
    uint64_t left_us;     /* when LEAVING began */
    uint64_t heard_us;    /* the peer's last bytes */
    uint64_t pinged_us;   /* 0: it owes no answer */
    uint32_t jitter_us;   /* of the next PING */
    uint64_t stuck_us;    /* since when the peer takes nothing of the outbox; 0: nothing is in it */
    uint64_t forgiven_us; /* see h2_forgive */
    struct deferred again; /* begin more */
    struct deferred retire;
};

/* What every HTTP/2 client sends first (RFC 9113 3.4). */
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* The connection speaks HTTP/2 from its first byte on. False: no memory for it; close. */
MUST_USE bool client_h2_begin(struct client *c);
void client_h2_on_bytes(struct client *c, struct str input);
/* The outbox was flushed; `is_progress`: the peer has taken some of it. */
void client_h2_on_flushed(struct client *c, bool is_progress);
/* The outbox has room. */
void client_h2_on_room(struct client *c);
/* The connection's own timer. */
void client_h2_on_timer(struct client *c);
/* Finish what runs, take nothing new. */
void client_h2_drain(struct client *c);
/* The time of a drain is over: what still runs is told to its clients. The connection is to be
 * closed next. */
void client_h2_drain_end(struct client *c);
/* The connection has closed: its exchanges end as if their client had left. */
void client_h2_end(struct client *c);

/* For client_stream.c: frames are to be put out, now or when the codec is left. */
void client_h2_output(struct client_h2 *h);
/* The head of a request is whole: the last one that the connection serves, perhaps. */
void client_h2_on_request(struct client_h2 *h);
/* A stream was opened, or freed. */
void client_h2_on_stream_count(struct client_h2 *h);
