/* The message model: what a request and a response are, whatever codec they came by (RFC 9110). All
 * strings borrow from the arena of the exchange. Names in header lists are always lower-case. */
#pragma once

#include "base/arena.h"
#include "http/header_name.h"

enum http_method {
    HTTP_METHOD_OTHER,
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_CONNECT,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_TRACE,
    HTTP_METHOD_PATCH,
};

struct http_header {
    struct str name;   /* lower-case */
    struct str value;  /* without surrounding white space */
    enum header_id id; /* HEADER_OTHER when not in the table */
};

/* Ordered; those of one name stay separate (RFC 9110 5.3). Growing allocates in the arena. */
struct http_headers {
    struct http_header *items;
    struct arena *arena;
    uint64_t may_have; /* a bit for each header_id (modulo 64) that was ever in it */
    const struct http_spelling *spelling; /* http/h1_spelling.h; NULL: nothing is kept of it */
    uint16_t n;
    uint16_t cap;
};

/* How the end of a message's content is found (RFC 9112 6.3). */
enum http_body {
    HTTP_BODY_NONE,        /* no content */
    HTTP_BODY_LENGTH,      /* content_length bytes */
    HTTP_BODY_CHUNKED,     /* chunked; HTTP/2: until END_STREAM */
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

struct http_request {
    enum http_method method;
    enum http_body body;
    uint64_t content_length; /* with HTTP_BODY_LENGTH */
    struct str method_text;
    struct str scheme;    /* "http" or "https": of the connection, or of an absolute-form target */
    struct str authority; /* host[:port] as sent: of an absolute target, else Host; may be empty */
    struct str host;      /* lower-case, without port, IPv6 brackets kept; may be empty */
    struct str target;    /* raw request target */
    struct str path;      /* normalized by http/path.h; "*" for asterisk-form */
    bool has_escaped_slash; /* it had %2F, which is a slash in `path` (where that is asked for) */
    bool has_empty_segment; /* it had `//` that stayed (where that is asked for) */
    struct str query;       /* after '?', raw; ptr NULL when there was none */
    struct http_headers headers; /* without Host and framing (Content-Length, Transfer-Encoding) */
    struct str upgrade;          /* "websocket", of a GET of HTTP/1.1 without content */
    struct str
        other_upgrade; /* of any request without content: nothing follows from it by itself */
    /* All Connection values, lower-case, a list (grammar_list_has); headers named here are gone. */
    struct str connection;
    uint8_t minor_version; /* HTTP/1.x; with is_http2 1 */
    bool is_http2;
    bool is_tunnel; /* an extended CONNECT (RFC 8441), told as an upgrade of HTTP/1 */
    bool is_keep_alive;
    bool expects_continue; /* the Expect header itself is gone */
    bool has_te_trailers;
    bool wants_spelling; /* header names of the answer are kept as its backend spells them */
};

struct http_response {
    uint16_t status;
    uint8_t minor_version; /* as received; of one to send: what its reader speaks */
    enum http_body body;
    uint64_t content_length; /* with HTTP_BODY_LENGTH; also what HEAD and 304 announced */
    bool has_content_length; /* announced, also where there is no content (HEAD, 304) */
    bool is_keep_alive;
    struct str reason;
    struct http_headers headers; /* without framing */
    struct str upgrade;          /* with status 101 */
};

enum { HTTP_METHOD_BYTES = 32 };

enum http_method http_method_parse(struct str text);
/* How many bytes at its beginning may be a method's. */
size_t http_method_span(struct str s);
struct str http_method_text(enum http_method method);
/* The registered reason phrase, "" when unknown. */
struct str http_status_reason(uint16_t status);

void http_headers_init(struct http_headers *h, struct arena *a);
/* Room for `extra` more without growing. */
void http_headers_reserve(struct http_headers *h, unsigned extra);
/* A header of this id has been written behind the last item, in what was reserved. */
static inline void http_headers_took(struct http_headers *h, enum header_id id)
{
    h->may_have |= UINT64_C(1) << (id % 64);
    h->n++;
}
/* Appends; `name` must be lower-case, both must live in the arena or be static. */
void http_headers_add(struct http_headers *h, struct str name, struct str value);
void http_headers_add_id(struct http_headers *h, enum header_id id, struct str value);
/* First of that name, NULL when absent. */
const struct http_header *http_headers_find(const struct http_headers *h, struct str name);
const struct http_header *http_headers_find_id(const struct http_headers *h, enum header_id id);
/* Value of the first of that name or STR_NULL. */
struct str http_headers_value(const struct http_headers *h, struct str name);
/* All values of that name joined with ", " (allocates only when there are several); STR_NULL if
 * none. */
struct str http_headers_joined(const struct http_headers *h, struct str name);
/* Replaces all of that name by one. */
void http_headers_set(struct http_headers *h, struct str name, struct str value);
/* Returns how many went. */
unsigned http_headers_remove(struct http_headers *h, struct str name);
unsigned http_headers_remove_id(struct http_headers *h, enum header_id id);
/* A deep-enough copy: own item array in `a`, strings shared. */
struct http_headers http_headers_copy(const struct http_headers *h, struct arena *a);
