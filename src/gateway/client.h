/* A connection of a client. Of HTTP/1: bytes to exchanges, one at a time and in order (RFC
 * 9112 9.3.2), and their answers to bytes; it is the downstream of its exchanges. Of HTTP/2, by
 * ALPN or by its first bytes: all but socket, outbox and the worker's lists is h2/client_h2.h's.
 *
 *     OPEN --last answer sent, "Connection: close"--> LINGER --peer closed, or time--> CLOSED
 *       +-----------------------peer left, broken, idle------------------------------> CLOSED
 *
 * Worker-local; retired, never freed in its own callback. */
#pragma once

#include "gateway/downstream.h"
#include "gateway/plan.h"
#include "http/h1.h"
#include "net/outbox.h"

struct client_h2;
struct worker;
struct port;
struct port_plan;

enum client_state { CLIENT_OPEN, CLIENT_LINGER, CLIENT_CLOSED };

/* What the timer of a connection guards now. */
enum client_phase {
    CLIENT_IDLE,   /* between requests */
    CLIENT_HEAD,   /* inside a head */
    CLIENT_BODY,   /* content is wanted: time from one piece to the next */
    CLIENT_BUSY,   /* the exchange has timers of its own */
    CLIENT_TAKING, /* the exchange has ended, its answer is not taken yet: time between pieces */
};

struct client {
    struct stream stream;
    struct downstream down;
    struct h1 codec;
    struct client_h2 *h2; /* the connection speaks HTTP/2; NULL: HTTP/1, or it is not known yet */
    struct client_h2_plan h2_plan; /* if it comes to speak it */
    struct outbox out;             /* its mark bounds `in` too, but for heads */
    uint32_t read_bytes;           /* at once at most */
    struct buf in; /* unread bytes: part of a head, of paused content, or pipelined requests */
    struct worker *worker;
    struct port *port;
    enum client_state state;
    enum client_phase phase;
    bool is_message_open; /* the current request's content is not fully read */
    bool wants_body;
    bool must_close; /* after the current answer */
    bool is_head_sent;
    bool is_chunked_out;
    bool is_answer_bodiless; /* HEAD, 204, 304 */
    bool is_raw;
    bool was_full;
    bool is_processing;
    bool is_read_paused;
    bool has_trailers;
    bool omits_trailers;
    bool has_served;              /* a request came by this connection */
    bool is_mute;                 /* what comes is not HTTP: no answer either, the end alone */
    bool is_aborted;              /* close with a reset */
    struct http_headers trailers; /* of the current request, in its arena */
    uint64_t discarded_bytes;
    uint64_t idle_us; /* timeouts in force, from the port's ClientTrafficPolicy */
    uint64_t head_us;
    uint64_t silence_us; /* inside content, and of answers that are not taken */
    uint64_t opened_us;
    uint64_t n_received; /* bytes, ever */
    uint64_t received_us;
    uint64_t end_us;          /* of the connection (maxConnectionDuration) */
    uint64_t last_us;         /* and until when it waits for a request */
    uint32_t n_requests_left; /* of it, the current one not counted */
    uint64_t due_us;  /* when the current request must have come in; before, the handshake */
    uint64_t busy_us; /* since when its content is not wanted: that time does not count */
    struct timer timer;
    struct list_node node; /* worker's list by idleness */
    struct deferred again; /* process what `in` holds */
    struct deferred flush; /* at the end of the turn */
    struct deferred gone;  /* the stream broke while sending */
    struct deferred retire;
    char peer_text[64];
    char peer_ip_text[46];
    char local_text[64];
};

/* Where a connection comes from, for policies and logs. */
struct client_origin {
    const struct sockaddr *peer;
    const struct sockaddr *local; /* NULL: as the socket says */
    struct str first_bytes;       /* read before it was known to be a client's */
};
/* Takes over an accepted descriptor, which has its place on the port. False: it stays the
 * caller's. */
MUST_USE bool client_accept(struct worker *w, struct port *port, const struct port_plan *plan,
                            int fd, const struct client_origin *from);
/* Drain: closes if idle, else after the current answer. */
void client_drain(struct client *c);
/* At once. A running exchange is cancelled as if the client had left. */
void client_close(struct client *c);
