/* HTTP/1.1 codec (RFC 9112): bytes in, events out; messages to bytes. No sockets, no clock. Strict:
 * what RFC 9112 forbids is an error, never repaired. One struct h1 per connection and direction.
 *
 * Pull style: the owner calls h1_next() with the bytes it has until it answers H1_MORE. Head and
 * trailer strings are copied into `arena` (the exchange's); DATA spans borrow from the input. */
#pragma once

#include "base/buf.h"
#include "http/message.h"

enum h1_result {
    H1_EVENT = 0,
    H1_MORE = 1,  /* input is used up (or holds an incomplete head): bring more bytes */
    H1_ERROR = 2, /* see h1.error; the connection must be closed after the answer */
};

enum h1_event_type {
    H1_EVENT_HEAD,     /* request or response head, in the struct passed to h1_next */
    H1_EVENT_DATA,     /* event.data: a span of content */
    H1_EVENT_TRAILERS, /* event.trailers; only when there are any */
    H1_EVENT_END,      /* the message is complete; the next bytes belong to the next one */
    H1_EVENT_RAW,      /* event.data: bytes of an upgraded connection (after h1_set_raw) */
};

struct h1_event {
    enum h1_event_type type;
    uint32_t stream_id;
    struct str data;
    struct http_headers trailers;
};

/* Maps to a refusal (requests) or a 502 (responses). */
enum h1_error {
    H1_ERROR_NONE,
    H1_ERROR_BAD_REQUEST_LINE,
    H1_ERROR_NOT_HTTP, /* a whole line of another protocol, or of a broken preface */
    H1_ERROR_BAD_STATUS_LINE,
    H1_ERROR_BAD_VERSION,       /* not HTTP/1.0 or 1.1: 505 */
    H1_ERROR_BAD_HEADER,        /* name, value, obs-fold, bare CR or LF, NUL */
    H1_ERROR_UNDERSCORE_HEADER, /* a name with '_' where not allowed */
    H1_ERROR_HEAD_TOO_LARGE,    /* 431 */
    H1_ERROR_TOO_MANY_HEADERS,  /* 431 */
    H1_ERROR_TARGET_TOO_LONG,   /* 414 */
    H1_ERROR_BAD_TARGET,
    H1_ERROR_BAD_PATH, /* %2F, %5C, %00, backslash, malformed % (http/path.h) */
    H1_ERROR_BAD_HOST, /* missing, several, malformed, or contradicting an absolute target */
    H1_ERROR_BAD_CONTENT_LENGTH,    /* malformed, conflicting, duplicated */
    H1_ERROR_BAD_TRANSFER_ENCODING, /* not one "chunked", with a length, in 1.0 */
    H1_ERROR_BAD_CONNECTION,        /* Connection names Host, Content-Length, Authorization, ... */
    H1_ERROR_BAD_CHUNK,
    H1_ERROR_BAD_TRAILER,
    H1_ERROR_BAD_EXPECT,     /* 417 */
    H1_ERROR_CONNECT_METHOD, /* CONNECT is not for a reverse proxy: 405 */
    H1_ERROR_TRUNCATED,      /* the peer closed inside a message */
};

struct h1_options {
    bool is_client;         /* parses responses */
    bool allows_underscore; /* header names with '_' */
    uint8_t path_reading;   /* enum path_reading, as flags */
    bool keeps_case;        /* of header names (http/h1_spelling.h); may change between messages */
    uint32_t head_bytes_limit; /* 0: LIMIT_HEAD_BYTES */
    struct str scheme;         /* of the connection: "http" or "https" (static) */
};

enum h1_state {
    H1_STATE_HEAD,
    H1_STATE_BODY,
    H1_STATE_TRAILERS,
    H1_STATE_END,
    H1_STATE_RAW,
    H1_STATE_FAILED, /* for good */
};

/* Worker-local; embedded in its connection. Holds no memory of its own. */
struct h1 {
    struct h1_options options;
    enum h1_state state;
    enum http_body body;
    enum h1_error error;
    uint64_t body_left; /* of the content or of the current chunk */
    uint32_t scanned;   /* bytes of an incomplete head already searched for its end */
    uint32_t n_lines;   /* line ends among them */
    uint8_t chunk_state;
    bool has_skipped_crlf; /* the one empty line before a request line (RFC 9112 2.2) */
    bool is_head_answer;   /* the next response answers HEAD */
    bool is_last_answer;   /* an interim response said "close": none comes behind the next one */
};

void h1_init(struct h1 *c, const struct h1_options *options);
/* For clients: the method of the next response (HEAD's has no content, RFC 9112 6.3). */
void h1_expect_response_to(struct h1 *c, enum http_method method);
void h1_set_raw(struct h1 *c); /* after 101: only H1_EVENT_RAW; a client's codec does it itself */
/* Takes the next event out of *input (advancing it). With H1_EVENT_HEAD the head is in *ret_request
 * (server) or *ret_response (client); the other may be NULL. 1xx responses other than 101 come as
 * HEAD followed by END. H1_MORE leaves in *input what is incomplete: call again with it and more.
 * On H1_ERROR in a head the request holds what was read before. */
MUST_USE int h1_next(struct h1 *c, struct str *input, struct arena *arena,
                     struct http_request *ret_request, struct http_response *ret_response,
                     struct h1_event *ret_event);
/* The peer closed: END (content until close, or nothing was under way) or H1_ERROR. */
MUST_USE int h1_eof(struct h1 *c, struct h1_event *ret_event);
/* True between messages: an EOF here is clean. */
static inline bool h1_is_idle(const struct h1 *c)
{
    return c->state == H1_STATE_HEAD && c->scanned == 0;
}

/* Messages to bytes, appended to `out`. Framing headers come from body/content_length alone; parsed
 * messages hold no hop-by-hop headers any more. Request: Host from request->authority, target from
 * path and query; upgrade and has_te_trailers are passed on when still set. */
void h1_format_request(struct buf *out, const struct http_request *request);
/* `keep_alive` false adds "connection: close". An answer without content is HTTP_BODY_LENGTH with
 * 0; HTTP_BODY_NONE is for HEAD, 1xx, 204 and 304 (Content-Length if has_content_length). */
void h1_format_response(struct buf *out, const struct http_response *response, bool keep_alive);
/* "<hex>\r\n" before a chunk of `n` bytes, to which the caller adds data and "\r\n"; at the end
 * "0\r\n" [trailers] "\r\n", where `trailers` may be NULL. */
void h1_format_chunk_size(struct buf *out, size_t n);
void h1_format_last_chunk(struct buf *out, const struct http_headers *trailers);
const char *h1_error_text(enum h1_error error);
