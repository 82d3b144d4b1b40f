/* For the codec's tests: two codecs talk to each other in memory, or a server is told frames that
 * no well-behaved codec sends; what the events say is written down as text. */
#pragma once

#include "http/h2.h"

#include <nghttp2/nghttp2.h>

#include "base/limits.h"
#include "base/mem.h"
#include "test/harness/test.h"

enum { SIDE_STREAMS = 128 };

struct side;

struct side_stream {
    struct h2_stream h2;
    struct side *side;
    struct arena arena, tail;
    struct http_request request;
    struct http_response response;
    bool is_used;
};

struct side {
    struct h2 h2;
    struct buf out; /* on its way to the other side */
    struct buf text;
    struct side_stream streams[SIDE_STREAMS];
    bool takes_none;     /* refuses every stream */
    bool keeps_windows;  /* consumes nothing */
    bool answers_at_end; /* a server: 200 with what came, when it has come */
    size_t n_data;
    size_t data_end; /* of `text`, when content was said last: what follows at once continues it */
};

static struct side client, server;

static inline struct side_stream *side_of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct side_stream, h2);
}

static inline void say_headers(struct buf *text, const struct http_headers *headers)
{
    for (unsigned i = 0; i < headers->n; i++)
        buf_printf(text, " [%.*s: %.*s]", STR_ARG(headers->items[i].name),
                   STR_ARG(headers->items[i].value));
}

static inline struct side_stream *side_stream_new(struct side *side)
{
    for (size_t i = 0; i < SIDE_STREAMS; i++) {
        struct side_stream *t = &side->streams[i];

        if (t->is_used)
            continue;
        *t = (struct side_stream){.side = side, .is_used = true};
        arena_init(&t->arena, 4096);
        arena_init(&t->tail, 256);
        t->h2.arena = &t->arena;
        t->h2.tail = &t->tail;
        t->h2.request = &t->request;
        t->h2.response = &t->response;
        return t;
    }
    return NULL;
}

static inline struct h2_stream *on_open(struct h2 *h)
{
    struct side *side = CONTAINER_OF(h, struct side, h2);
    struct side_stream *t = side->takes_none ? NULL : side_stream_new(side);

    return t ? &t->h2 : NULL;
}

static const char *const bodies[] = {[HTTP_BODY_NONE] = "none",
                                     [HTTP_BODY_LENGTH] = "length",
                                     [HTTP_BODY_CHUNKED] = "open",
                                     [HTTP_BODY_UNTIL_CLOSE] = "?"};

static inline void on_head(struct h2_stream *s)
{
    struct side_stream *t = side_of(s);
    struct buf *text = &t->side->text;

    if (s->error != H1_ERROR_NONE) {
        buf_printf(text, "BAD %s | ", h1_error_text(s->error));
        return;
    }
    if (t->side->h2.options.is_client) {
        buf_printf(text, "%d body=%s", t->response.status, bodies[t->response.body]);
        say_headers(text, &t->response.headers);
    } else {
        buf_printf(text, "%.*s %.*s://%.*s(%.*s)%.*s", STR_ARG(t->request.method_text),
                   STR_ARG(t->request.scheme), STR_ARG(t->request.authority),
                   STR_ARG(t->request.host), STR_ARG(t->request.path));
        if (t->request.query.ptr)
            buf_printf(text, "?%.*s", STR_ARG(t->request.query));
        if (t->request.upgrade.len > 0)
            buf_printf(text, " upgrade=%.*s", STR_ARG(t->request.upgrade));
        buf_printf(text, " body=%s", bodies[t->request.body]);
        if (t->request.expects_continue)
            buf_printf(text, " continue");
        if (t->request.has_te_trailers)
            buf_printf(text, " te");
        say_headers(text, &t->request.headers);
    }
    buf_printf(text, " | ");
}

static inline void on_data(struct h2_stream *s, struct str span)
{
    struct side *side = side_of(s)->side;

    side->n_data += span.len;
    if (span.len <= 32) {
        bool continues = side->data_end > 0 && side->text.len == side->data_end;

        if (continues)
            side->text.len -= STR(" | ").len;
        buf_printf(&side->text, "%s%.*s | ", continues ? "" : "DATA ", STR_ARG(span));
        side->data_end = side->text.len;
    }
    if (!side->keeps_windows)
        h2_consume(s, span.len);
}

static inline void on_end(struct h2_stream *s, const struct http_headers *trailers)
{
    struct side_stream *t = side_of(s);

    if (trailers) {
        buf_printf(&t->side->text, "TRAILERS");
        say_headers(&t->side->text, trailers);
        buf_printf(&t->side->text, " | ");
    }
    buf_printf(&t->side->text, "END | ");
    if (t->side->answers_at_end) {
        struct http_response r = {.status = 200, .body = HTTP_BODY_LENGTH, .content_length = 2};

        http_headers_init(&r.headers, &t->arena);
        h2_respond(s, &r);
        h2_send(s, STR("ok"));
        h2_send_end(s, NULL);
    }
}

static inline void on_room(struct h2_stream *s)
{
    buf_printf(&side_of(s)->side->text, "ROOM | ");
}

static inline void on_close(struct h2_stream *s, uint32_t code)
{
    struct side_stream *t = side_of(s);

    if (code != H2_NO_ERROR)
        buf_printf(&t->side->text, "CLOSE %u | ", code);
    arena_deinit(&t->arena);
    arena_deinit(&t->tail);
    t->is_used = false;
}

static const struct h2_events events = {.on_open = on_open,
                                        .on_head = on_head,
                                        .on_data = on_data,
                                        .on_end = on_end,
                                        .on_room = on_room,
                                        .on_close = on_close};

/* Bytes in pieces of `cut`, both ways, until nobody says anything. */
static inline void talk(size_t cut)
{
    for (bool is_moving = true; is_moving;) {
        struct side *sides[] = {&client, &server};

        is_moving = false;
        for (int i = 0; i < 2; i++) {
            struct side *from = sides[i], *to = sides[1 - i];
            bool unused UNUSED = h2_output(&from->h2, &from->out, 65536);

            is_moving |= from->out.len > 0;
            while (from->out.len > 0) {
                size_t n = MIN(cut, from->out.len);
                bool unused_too UNUSED = h2_input(&to->h2, str_make(from->out.ptr, n));

                buf_consume(&from->out, n);
            }
        }
    }
}

static inline void begin(const struct h2_options *server_options)
{
    struct h2_options of_client = {.is_client = true, .scheme = STR("http")};
    struct h2_options of_server = {.scheme = STR("http")};

    client = server = (struct side){0};
    CHECK_INT(h2_init(&client.h2, &of_client, &events), 0);
    CHECK_INT(h2_init(&server.h2, server_options ? server_options : &of_server, &events), 0);
}

static inline void finish(void)
{
    struct side *sides[] = {&client, &server};

    for (int i = 0; i < 2; i++) {
        h2_deinit(&sides[i]->h2);
        buf_deinit(&sides[i]->out);
        buf_deinit(&sides[i]->text);
        for (size_t k = 0; k < SIDE_STREAMS; k++) {
            struct side_stream *t = &sides[i]->streams[k];

            if (!t->is_used)
                continue;
            buf_deinit(&t->h2.pending);
            arena_deinit(&t->arena);
            arena_deinit(&t->tail);
        }
    }
}

/* From the client: "name", "value", ..., NULL. */
static inline struct side_stream *ask(const char *method, const char *path, enum http_body body,
                                      const char *const *headers)
{
    struct side_stream *t = side_stream_new(&client);
    struct http_request q = {.method_text = str_of(method),
                             .scheme = STR("http"),
                             .authority = STR("A.test:80"),
                             .path = str_of(path),
                             .body = body};

    http_headers_init(&q.headers, &t->arena);
    for (; headers && *headers; headers += 2)
        http_headers_add(&q.headers, str_of(headers[0]), str_of(headers[1]));
    CHECK_INT(h2_request(&client.h2, &t->h2, &q), 0);
    return t;
}

#define CHECK_SAID(side, want) CHECK_STR(buf_str(&(side).text), want)

/* ---- by hand: what no well-behaved codec sends ---- */

static struct buf raw;

static inline void raw_frame(unsigned type, unsigned flags, uint32_t id, struct str payload)
{
    char head[9] = {(char)(payload.len >> 16),
                    (char)(payload.len >> 8),
                    (char)payload.len,
                    (char)type,
                    (char)flags,
                    (char)(id >> 24),
                    (char)(id >> 16),
                    (char)(id >> 8),
                    (char)id};

    buf_append(&raw, head, sizeof head);
    buf_append_str(&raw, payload);
}

static inline void raw_begin(void)
{
    buf_deinit(&raw);
    begin(NULL);
    buf_append_str(&raw, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    raw_frame(NGHTTP2_SETTINGS, 0, 0, STR(""));
}

static inline void put_text(struct buf *block, const char *text)
{
    size_t n = strlen(text);

    /* An integer of a prefix of seven bits (RFC 7541 5.1), no Huffman code. */
    if (n < 127) {
        buf_append_char(block, (char)n);
    } else {
        buf_append_char(block, 127);
        for (n -= 127; n >= 128; n /= 128)
            buf_append_char(block, (char)(n % 128 + 128));
        buf_append_char(block, (char)n);
    }
    buf_append_str(block, str_of(text));
}

/* "name", "value", ..., NULL as literals that are not indexed (RFC 7541 6.2.2). */
static inline void put_fields(struct buf *block, const char *const *fields)
{
    for (; *fields; fields += 2) {
        buf_append_char(block, 0);
        put_text(block, fields[0]);
        put_text(block, fields[1]);
    }
}

/* As a literal that is remembered (RFC 7541 6.2.1). */
static inline void put_new(struct buf *block, const char *name, const char *value)
{
    buf_append_char(block, 0x40);
    put_text(block, name);
    put_text(block, value);
}

/* So many times what was remembered last, by its index (RFC 7541 6.1). */
static inline void put_newest(struct buf *block, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_append_char(block, (char)(0x80 | 62));
}

static inline void raw_headers(uint32_t id, unsigned flags, const char *const *fields)
{
    struct buf block = {0};

    put_fields(&block, fields);
    raw_frame(NGHTTP2_HEADERS, flags | NGHTTP2_FLAG_END_HEADERS, id, buf_str(&block));
    buf_deinit(&block);
}

/* What the server said to the bytes so far; false: the connection ended. */
static inline bool raw_send(void)
{
    bool is_on = h2_input(&server.h2, buf_str(&raw));

    is_on &= h2_output(&server.h2, &server.out, SIZE_MAX);
    buf_clear(&raw);
    return is_on;
}

/* The code of the GOAWAY that the server sent, or -1. */
static inline int64_t raw_goaway(void)
{
    const unsigned char *p = (const unsigned char *)server.out.ptr;

    for (size_t at = 0; at + 9 <= server.out.len;) {
        size_t n = (size_t)p[at] << 16 | (size_t)p[at + 1] << 8 | p[at + 2];

        if (p[at + 3] == NGHTTP2_GOAWAY)
            return (int64_t)p[at + 13] << 24 | p[at + 14] << 16 | p[at + 15] << 8 | p[at + 16];
        at += 9 + n;
    }
    return -1;
}

static inline void raw_end(void)
{
    finish();
    buf_deinit(&raw);
}

#define PSEUDO ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/"
