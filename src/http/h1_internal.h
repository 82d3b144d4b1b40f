/* What the files of the HTTP/1 codec share; for h1*.c only. Functions that return int answer 0,
 * H1_MORE, or H1_ERROR with c->error set. */
#pragma once

#include "http/h1.h"

/* The header lines of a head or trailer section, and what the codec itself must know of them. */
struct h1_fields {
    char *cursor; /* writable copy: names are lowered in place */
    char *end;    /* behind the empty line */
    struct http_headers *headers;
    struct str content_length;
    struct str transfer_encoding;
    struct str host;
    struct str expect;
    struct str upgrade;
    struct str connection; /* lower-case, joined */
    uint8_t n_connection;
    uint8_t n_content_length;
    uint8_t n_transfer_encoding;
    uint8_t n_host;
    uint8_t n_expect;
    uint8_t n_upgrade;
    bool has_te_trailers;
    /* Told by h1_connection_apply: */
    bool is_close;
    bool is_keep_alive;
    bool is_upgrade;
};

enum h1_chunk_state {
    H1_CHUNK_SIZE, /* before a chunk-size line */
    H1_CHUNK_DATA,
    H1_CHUNK_END, /* before the CRLF behind the data */
};

static inline int h1_fail(struct h1 *c, enum h1_error error)
{
    c->error = error;
    c->state = H1_STATE_FAILED;
    return H1_ERROR;
}

/* Length of the head at the start of `input`, its empty line included. Remembers how far it has
 * looked. */
MUST_USE int h1_head_find(struct h1 *c, struct str input, size_t limit, size_t *ret_len);
/* The same for a trailer section, which may be an empty line alone. */
MUST_USE int h1_trailers_find(struct h1 *c, struct str input, size_t *ret_len);
/* Lines from f->cursor to f->end into f->headers (appending) and the fields above. */
MUST_USE int h1_fields_parse(struct h1 *c, struct h1_fields *f);
/* Same lines, trailer rules: forbidden names are dropped (RFC 9110 6.5.1). */
MUST_USE int h1_trailers_parse(struct h1 *c, struct str section, struct arena *arena,
                               struct http_headers *ret_trailers);
/* Reads the Connection options and removes the headers that they name (RFC 9110 7.6.1). */
MUST_USE int h1_connection_apply(struct h1 *c, struct h1_fields *f);
/* Content-Length and Transfer-Encoding, strictly (RFC 9112 6). HTTP_BODY_NONE when there is
 * neither. */
MUST_USE int h1_framing_parse(struct h1 *c, const struct h1_fields *f, unsigned minor_version,
                              enum http_body *ret_body, uint64_t *ret_content_length);
/* `HTTP/1.0` or `HTTP/1.1`; `bad_line` when it is no version at all. */
MUST_USE int h1_version_parse(struct h1 *c, struct str text, enum h1_error bad_line,
                              uint8_t *ret_minor);

/* Refuses what can be no head before it is complete: binary garbage, a TLS hello, an endless
 * method. */
MUST_USE int h1_request_check_start(struct h1 *c, struct str input);
MUST_USE int h1_response_check_start(struct h1 *c, struct str input);
/* A complete head, at `head`, writable, in the arena. */
MUST_USE int h1_request_parse(struct h1 *c, char *head, size_t len, struct arena *arena,
                              struct http_request *ret);
MUST_USE int h1_response_parse(struct h1 *c, char *head, size_t len, struct arena *arena,
                               struct http_response *ret);
/* The message is complete: answers H1_EVENT with END and makes ready for the next one. */
int h1_end(struct h1 *c, struct h1_event *ret_event);
/* The next event of the content in *input; H1_EVENT with DATA, TRAILERS or END. */
MUST_USE int h1_body_next(struct h1 *c, struct str *input, struct arena *arena,
                          struct h1_event *ret_event);
