/* HTTP/2 codec (RFC 9113) over nghttp2: bytes in, events out; messages to frames. No sockets, no
 * clock. One struct h2 per connection, one struct h2_stream per message pair, embedded in its
 * owner. The events speak the message model, as those of HTTP/1 do: nobody behind them knows the
 * frames.
 *
 *     h2_stream:  FREE --on_open / h2_request--> OPEN --on_close--> FREE
 *
 * Strict: what RFC 9113 calls malformed resets the stream without an event but on_close. What
 * floods without moving a request (resets, empty frames, settings, priorities, and pings and small
 * window updates beyond those that go with content) is counted against LIMIT_H2_GLITCHES; time and
 * requests that were served forgive some. Beyond, the connection ends with ENHANCE_YOUR_CALM.
 * Worker-local. */
#pragma once

#include "base/buf.h"
#include "http/h1.h" /* enum h1_error: the same judgement of target, host and headers */

struct h2;
struct h2_stream;
struct nghttp2_session;

/* Of RFC 9113 7, those that the gateway says. */
enum h2_code {
    H2_NO_ERROR = 0x0,
    H2_PROTOCOL_ERROR = 0x1,
    H2_INTERNAL_ERROR = 0x2,
    H2_REFUSED_STREAM = 0x7,
    H2_CANCEL = 0x8,
    H2_ENHANCE_YOUR_CALM = 0xb,
};

struct h2_events {
    /* Server: a head begins. Its strings go to the arena of the stream that is answered, zeroed but
     * for `arena`, `tail` and `request`; NULL: refused, to be repeated elsewhere. */
    struct h2_stream *(*on_open)(struct h2 *h);
    /* The head is complete, in s->request or s->response. Of a request s->error says what is wrong
     * with it: it wants an answer, and has no content that anybody should read. Interim answers
     * come as heads too. */
    void (*on_head)(struct h2_stream *s);
    /* Content, borrowed for the call. It stays counted against the sender's window until
     * h2_consume: of the stream, and where the peer is a client, of the connection. */
    void (*on_data)(struct h2_stream *s, struct str span);
    /* The peer's side is complete; `trailers` NULL: none. */
    void (*on_end)(struct h2_stream *s, const struct http_headers *trailers);
    /* There was no room (h2_is_full), and there is again; after h2_finish: something was taken. */
    void (*on_room)(struct h2_stream *s);
    /* The last of a stream, whoever ended it; `code` as in the reset, or H2_NO_ERROR. */
    void (*on_close)(struct h2_stream *s, uint32_t code);
};

struct h2_options {
    bool is_client;
    bool allows_underscore;     /* header names with '_' */
    uint8_t path_reading;       /* enum path_reading, as flags */
    bool takes_websockets;      /* server: by extended CONNECT (RFC 8441) */
    bool ends_on_invalid;       /* a malformed message ends the connection, not its stream alone */
    uint32_t head_bytes_limit;  /* 0: LIMIT_HEAD_BYTES */
    uint32_t n_streams_max;     /* at once, whoever opens them; 0: LIMIT_H2_STREAMS */
    uint32_t stream_window;     /* bytes; 0: LIMIT_PIPE_HIGH_BYTES */
    uint32_t connection_window; /* bytes; 0: 16 times that */
    struct str scheme;          /* of the connection: "http" or "https" (static) */
};

struct h2_stream {
    struct h2 *h2; /* NULL: FREE */
    int32_t id;
    struct arena *arena;            /* of the head's strings */
    struct arena *tail;             /* of the trailers', which come when `arena` may be sealed */
    struct http_request *request;   /* server: the peer's */
    struct http_response *response; /* client: the peer's */
    struct http_headers trailers;
    enum h1_error error;
    struct buf pending; /* content that waits for the peer's window, behind the first n_gone */
    size_t n_gone;
    uint64_t n_unconsumed; /* bytes of content that were told and not consumed */
    uint32_t n_head_bytes;
    bool has_head; /* the final one */
    bool has_trailers;
    bool is_peer_done;
    bool is_done;     /* our side: nothing follows `pending` */
    bool is_answered; /* the final head of ours has been given */
    bool is_end_sent;
    bool is_reset;                           /* by us: nothing follows but on_close */
    bool is_excused;                         /* its reset is not the peer's doing: h2_abort */
    bool is_finished;                        /* see h2_finish */
    bool was_full;                           /* somebody waits for room */
    const struct http_headers *last_headers; /* trailers to send behind `pending` */
    /* While a head comes: */
    struct str host;
    struct str cookie;  /* crumbs joined (RFC 9113 8.2.3) */
    size_t cookie_room; /* for more of them */
    uint8_t n_host;
    bool has_content_length;
    bool expects_continue;
};

struct h2 {
    struct h2_options options;
    const struct h2_events *events;
    struct nghttp2_session *session;
    struct arena scratch; /* fields on their way into the session, which copies them */
    struct buf *out;      /* while h2_output runs */
    size_t out_limit;
    uint32_t n_streams;
    uint32_t n_moved;       /* PINGs and small WINDOW_UPDATEs that go with content that has moved */
    uint32_t n_glitches;    /* see h2_forgive */
    uint32_t n_pings;       /* of ours, not answered yet */
    size_t n_section_bytes; /* of the head or trailers that come, uncompressed, kept or not */
    uint32_t n_continuations;
    int32_t last_id;   /* server: the highest that the peer has used */
    int32_t gap_first; /* and the last range that it has passed over; 0: none */
    int32_t gap_last;
    bool is_settled;    /* the peer's settings have come */
    bool has_left;      /* a client said GOAWAY, and had no stream under way: the end */
    bool is_going_away; /* the peer takes no new streams */
    bool is_failed;
    bool is_flooded; /* failed for what it flooded with */
};

/* 0 or negative. The preface and settings are ready to be put out. */
MUST_USE int h2_init(struct h2 *h, const struct h2_options *options,
                     const struct h2_events *events);
/* Streams that are open are told by on_close before. Safe on zeroed memory. */
void h2_deinit(struct h2 *h);
/* All of it is used. False: the connection is over when h2_output has put out the reason. */
MUST_USE bool h2_input(struct h2 *h, struct str input);
/* Appends frames until there are none, or `out` holds `limit` bytes. False as above. */
MUST_USE bool h2_output(struct h2 *h, struct buf *out, size_t limit);
/* Neither side has anything more to say. */
bool h2_is_over(const struct h2 *h);
/* Once a second: glitches are forgiven at the rate at which ordinary clients make them. */
void h2_forgive(struct h2 *h);
/* Tells the peer to open no further streams, in two steps (RFC 9113 6.8): `is_final` false at
 * first, true a round trip later. */
void h2_go_away(struct h2 *h, bool is_final);
/* Client: false: there will be no further streams, the peer goes away or the numbers are used up.
 */
bool h2_may_open(const struct h2 *h);
/* Client: how many streams may be opened now; before is_settled as many as we allow. */
uint32_t h2_n_free(const struct h2 *h);
/* Client: may a request ask for an upgrade (RFC 8441)? It is told as an extended CONNECT then,
 * whose yes is a 2xx. */
bool h2_takes_tunnels(const struct h2 *h);
/* Is there anything to put out, windows permitting? */
bool h2_has_output(const struct h2 *h);
/* Asks the peer for a sign of life: n_pings falls when it comes. */
void h2_ping(struct h2 *h);
/* Client: opens a stream with this request. 0; or negative when the peer takes no more. */
MUST_USE int h2_request(struct h2 *h, struct h2_stream *s, const struct http_request *request);
/* Client: has the request's head been put out? Of one that has not a reset leaves nothing to put
 * out but on_close. */
bool h2_is_begun(const struct h2_stream *s);
/* Server: an interim or the final head; HTTP_BODY_NONE, or a length of 0, completes the answer.
 * Answers its bytes before compression. */
size_t h2_respond(struct h2_stream *s, const struct http_response *response);
/* Copied. */
void h2_send(struct h2_stream *s, struct str span);
/* `trailers` NULL: none; they stay until on_close. */
void h2_send_end(struct h2_stream *s, const struct http_headers *trailers);
static inline size_t h2_n_pending(const struct h2_stream *s)
{
    return s->pending.len - s->n_gone;
}
/* True, and on_room follows: LIMIT_PIPE_HIGH_BYTES wait for the peer's window. */
bool h2_is_full(struct h2_stream *s);
/* The sender may send so much more of what on_data told. */
void h2_consume(struct h2_stream *s, uint64_t n_bytes);
void h2_reset(struct h2_stream *s, enum h2_code code);
/* The same, and the peer is not to blame: it does not count against it. */
void h2_abort(struct h2_stream *s, enum h2_code code);
/* Server: the head took too long. The stream may be answered as if it had been faulty, and what
 * still comes of the head is not kept. */
void h2_give_up_head(struct h2_stream *s);
/* Server: nothing more of the request is wanted; when our side has been put out, the stream ends
 * (RFC 9113 8.1). */
void h2_finish(struct h2_stream *s);
