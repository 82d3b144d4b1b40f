/* A connection to a backend that speaks HTTP/2: many attempts at once, each with a stream. Hangs on
 * its struct conn, which keeps socket, outbox and the place in the pool. Worker-local.
 *
 *     stream:  OPEN --answer complete, refused, reset by either side--> CLOSED (freed)
 *
 * An attempt that leaves before resets its stream, which stays until the codec is through with it.
 *
 * An upgrade (WebSocket) is an extended CONNECT where the backend takes such (RFC 8441), told to
 * the attempt as the 101 that it means; else there is none.
 *
 * The connection is usable once the backend's settings have come: until then nobody knows how many
 * streams it takes, nor whether it speaks HTTP/2 at all, and what was not sent can go elsewhere. */
#pragma once

#include "http/h2.h"
#include "upstream/attempt.h"

struct conn_h2_stream {
    struct h2_stream codec;
    struct http_response response;
    struct conn *conn;
    struct attempt *attempt; /* NULL: it has left */
    struct list_node node;   /* on conn_h2.streams */
    struct list_node work;   /* on conn_h2.todo */
    bool has_batch;          /* a head or spans were told */
    bool has_room;
    bool is_closed;
    bool is_unsent;           /* taken back before its head had gone out */
    enum attempt_failure why; /* what an attempt that still waits is told */
};

struct conn_h2 {
    struct h2 codec;
    struct conn *conn;
    struct list streams;
    struct list todo;  /* those with something to tell when the codec has returned */
    bool is_inside;    /* the codec */
    uint32_t n_resets; /* of ours, that went out */
    uint64_t heard_us;
    uint64_t ping_us;     /* when one went out that is not answered; 0: none */
    uint64_t forgiven_us; /* see h2_forgive */
    struct timer tick;
};

/* Connected: the preface is on its way, attempts wait on. False: no memory for it. */
MUST_USE bool conn_h2_begin(struct conn *c);
void conn_h2_on_event(struct conn *c, unsigned events);
/* Puts out what the codec has, and tells what came of it. */
void conn_h2_flush(struct conn *c);
/* The connection is being closed: a last word. */
void conn_h2_on_close(struct conn *c);
/* NULL is nothing. */
void conn_h2_free(struct conn_h2 *h);
/* Has it streams? */
bool conn_h2_is_busy(const struct conn *c);

/* A stream for `a` with its request's head; the connection is CONN_OPEN. */
void conn_h2_open(struct conn *c, struct attempt *a);
/* The attempt is done with its stream. */
void conn_h2_leave(struct attempt *a);
/* As the attempt has them. */
void conn_h2_set_arenas(struct conn_h2_stream *s, const struct attempt *a);
/* Copied. */
void conn_h2_send(struct conn_h2_stream *s, struct str span);
/* `trailers` stay until the attempt leaves. */
void conn_h2_send_end(struct conn_h2_stream *s, const struct http_headers *trailers);
bool conn_h2_is_full(struct conn_h2_stream *s);
/* The answer is read again: what was told meanwhile is taken. */
void conn_h2_resume(struct conn_h2_stream *s);
