/* A request that somebody asks about, as the explanation wants it: read from the words of a command
 * line or of an admin request. Strings borrow from those, or stand in the arena. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "policy/cidr.h"

enum { QUESTION_HEADERS_MAX = 128 };

struct question_header {
    struct str name;
    struct str value;
};

struct question {
    struct str method;
    bool is_tls;
    struct str authority; /* host[:port] */
    uint16_t port;        /* of the URL, or its scheme's own */
    bool has_port;        /* the URL names it */
    struct str target;    /* path and query; "/" where the URL has none */
    struct question_header headers[QUESTION_HEADERS_MAX];
    uint32_t n_headers;
    struct str body;
    bool has_body;
    struct ip_address from; /* the client; not valid: the loopback address */
    bool is_json;
};

enum question_result {
    QUESTION_BAD = 1, /* `ret_why` says what is wrong with it */
};

/* "POST http://host[:port]/path?query"; the method may be left out for GET. 0 or QUESTION_BAD. What
 * a gateway would refuse of a target is its to say: only what makes no request is refused here. */
MUST_USE int question_read(struct question *q, struct str request, struct buf *ret_why);
/* "Name: value". Content-Length and Transfer-Encoding are not the asker's to write. The words of
 * `ret_why` hold nothing of a value. */
MUST_USE int question_add_header(struct question *q, struct str line, struct buf *ret_why);
/* As `Authorization: Bearer TOKEN`. */
MUST_USE int question_add_token(struct question *q, struct str token, struct arena *a,
                                struct buf *ret_why);
/* The head as a client would send it, by HTTP/1.1. Holds credentials. */
void question_format(const struct question *q, struct buf *out);
