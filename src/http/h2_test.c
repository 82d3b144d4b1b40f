/* Two codecs talk to each other in memory; what the events say is written down as text. */
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

static struct side_stream *side_of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct side_stream, h2);
}

static void say_headers(struct buf *text, const struct http_headers *headers)
{
    for (unsigned i = 0; i < headers->n; i++)
        buf_printf(text, " [%.*s: %.*s]", STR_ARG(headers->items[i].name),
                   STR_ARG(headers->items[i].value));
}

static struct side_stream *side_stream_new(struct side *side)
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

static struct h2_stream *on_open(struct h2 *h)
{
    struct side *side = CONTAINER_OF(h, struct side, h2);
    struct side_stream *t = side->takes_none ? NULL : side_stream_new(side);

    return t ? &t->h2 : NULL;
}

static const char *const bodies[] = {[HTTP_BODY_NONE] = "none",
                                     [HTTP_BODY_LENGTH] = "length",
                                     [HTTP_BODY_CHUNKED] = "open",
                                     [HTTP_BODY_UNTIL_CLOSE] = "?"};

static void on_head(struct h2_stream *s)
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

static void on_data(struct h2_stream *s, struct str span)
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

static void on_end(struct h2_stream *s, const struct http_headers *trailers)
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

static void on_room(struct h2_stream *s)
{
    buf_printf(&side_of(s)->side->text, "ROOM | ");
}

static void on_close(struct h2_stream *s, uint32_t code)
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
static void talk(size_t cut)
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

static void begin(const struct h2_options *server_options)
{
    struct h2_options of_client = {.is_client = true, .scheme = STR("http")};
    struct h2_options of_server = {.scheme = STR("http")};

    client = server = (struct side){0};
    CHECK_INT(h2_init(&client.h2, &of_client, &events), 0);
    CHECK_INT(h2_init(&server.h2, server_options ? server_options : &of_server, &events), 0);
}

static void finish(void)
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
static struct side_stream *ask(const char *method, const char *path, enum http_body body,
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

TEST(a_request_and_its_answer_at_every_cut)
{
    static const char *const headers[] = {"accept",        "*/*", "cookie", "a=1",
                                          "x-long-name-1", "v",   NULL};

    for (size_t cut = 1; cut < 200; cut++) {
        begin(NULL);
        server.answers_at_end = true;
        struct side_stream *t = ask("POST", "/a", HTTP_BODY_CHUNKED, headers);

        h2_send(&t->h2, STR("hello"));
        h2_send_end(&t->h2, NULL);
        talk(cut);
        CHECK_SAID(server, "POST http://A.test:80(a.test)/a body=open [accept: */*] "
                           "[x-long-name-1: v] [cookie: a=1] | DATA hello | END | ");
        CHECK_SAID(client, "200 body=length | DATA ok | END | ");
        CHECK_INT(server.h2.n_streams, 0);
        CHECK_INT(client.h2.n_streams, 0);
        finish();
    }
}

/* ---- by hand: what no well-behaved codec sends ---- */

static struct buf raw;

static void raw_frame(unsigned type, unsigned flags, uint32_t id, struct str payload)
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

static void raw_begin(void)
{
    buf_deinit(&raw);
    begin(NULL);
    buf_append_str(&raw, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    raw_frame(NGHTTP2_SETTINGS, 0, 0, STR(""));
}

static void put_text(struct buf *block, const char *text)
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
static void put_fields(struct buf *block, const char *const *fields)
{
    for (; *fields; fields += 2) {
        buf_append_char(block, 0);
        put_text(block, fields[0]);
        put_text(block, fields[1]);
    }
}

/* As a literal that is remembered (RFC 7541 6.2.1). */
static void put_new(struct buf *block, const char *name, const char *value)
{
    buf_append_char(block, 0x40);
    put_text(block, name);
    put_text(block, value);
}

/* So many times what was remembered last, by its index (RFC 7541 6.1). */
static void put_newest(struct buf *block, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_append_char(block, (char)(0x80 | 62));
}

static void raw_headers(uint32_t id, unsigned flags, const char *const *fields)
{
    struct buf block = {0};

    put_fields(&block, fields);
    raw_frame(NGHTTP2_HEADERS, flags | NGHTTP2_FLAG_END_HEADERS, id, buf_str(&block));
    buf_deinit(&block);
}

/* What the server said to the bytes so far; false: the connection ended. */
static bool raw_send(void)
{
    bool is_on = h2_input(&server.h2, buf_str(&raw));

    is_on &= h2_output(&server.h2, &server.out, SIZE_MAX);
    buf_clear(&raw);
    return is_on;
}

/* The code of the GOAWAY that the server sent, or -1. */
static int64_t raw_goaway(void)
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

static void raw_end(void)
{
    finish();
    buf_deinit(&raw);
}

#define PSEUDO ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/"

TEST(heads_are_judged_as_those_of_http_1)
{
    static const struct {
        const char *fields[16];
        const char *said;
    } cases[] = {
        {{PSEUDO}, "GET http://a(a)/ body=none | END | "},
        {{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/x/../%7Ey?q"},
         "GET http://a(a)/~y?q body=none | END | "},
        {{":method", "OPTIONS", ":scheme", "http", ":authority", "a", ":path", "*"},
         "OPTIONS http://a(a)* body=none | END | "},
        {{":method", "GET", ":scheme", "http", ":path", "/", "host", "b"},
         "GET http://b(b)/ body=none | END | "},
        {{PSEUDO, "host", "A"}, "GET http://a(a)/ body=none | END | "},
        {{PSEUDO, "host", "b"}, "BAD "},
        {{PSEUDO, "host", "a", "host", "a"}, ""},
        {{PSEUDO, "cookie", "a=1", "cookie", "b=2", "x", "1"},
         "GET http://a(a)/ body=none [x: 1] [cookie: a=1; b=2] | END | "},
        {{":method", "PATCH", ":scheme", "http", ":authority", "a", ":path", "/"},
         "PATCH http://a(a)/ body=none | END | "},
        {{":method", "get", ":scheme", "http", ":authority", "a", ":path", "/"}, "BAD "},
        {{":method", "G!T", ":scheme", "http", ":authority", "a", ":path", "/"}, "BAD "},
        {{PSEUDO, "cookie", "", "cookie", "a=1", "cookie", ""},
         "GET http://a(a)/ body=none [cookie: a=1] | END | "},
        {{PSEUDO, "te", "trailers", "trailer", "x"}, "GET http://a(a)/ body=none te | END | "},
        {{PSEUDO, "x_y", "1"}, "BAD "},
        {{PSEUDO, "x", "a\nb"}, "BAD "},
        {{PSEUDO, "x y", "1"}, "BAD "},
        {{PSEUDO, "expect", "something"}, "BAD "},
        {{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/%2f"}, "BAD "},
        {{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/a b"}, ""},
        {{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "x"}, ""},
        {{":method", "GET", ":scheme", "http", ":authority", "a:b", ":path", "/"}, "BAD "},
        {{":method", "GET", ":scheme", "http", ":authority", "u@a", ":path", "/"}, "BAD "},
        {{":method", "CONNECT", ":authority", "a:1"}, "BAD "},
        /* Malformed (RFC 9113 8): reset, nothing is told. */
        {{":method", "GET", ":scheme", "http", ":authority", "a"}, ""},
        {{":method", "GET", ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/"},
         ""},
        {{"x", "1", PSEUDO}, ""},
        {{PSEUDO, ":path", "/b"}, ""},
        {{PSEUDO, ":other", "b"}, ""},
        {{PSEUDO, "X", "1"}, ""},
        {{PSEUDO, "connection", "close"}, ""},
        {{PSEUDO, "transfer-encoding", "chunked"}, ""},
        {{PSEUDO, "upgrade", "h2c"}, ""},
        {{PSEUDO, "te", "gzip"}, ""},
        {{PSEUDO, "content-length", "-1"}, ""},
        {{PSEUDO, "content-length", "1", "content-length", "1"}, ""},
        {{PSEUDO, "content-length", "5"}, ""}, /* and no content */
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        raw_begin();
        raw_headers(1, NGHTTP2_FLAG_END_STREAM, cases[i].fields);
        CHECK(raw_send());
        struct str said = buf_str(&server.text);
        ssize_t close = str_find(said, STR("CLOSE"));

        if (close >= 0) /* that of a reset */
            said = str_slice(said, 0, (size_t)close);
        CHECK_MSG(cases[i].said[0] == 'B' ? str_starts_with(said, STR("BAD "))
                                          : str_eq(said, str_of(cases[i].said)),
                  "case %zu: %.*s", i, STR_ARG(buf_str(&server.text)));
        raw_end();
    }
}

TEST(crumbs_of_a_cookie_take_room_by_their_length_alone)
{
    static const char crumb[] = "crumb=1234567890";
    static const char *const pseudo[] = {PSEUDO, NULL};
    enum { N = 1000 };
    struct str want = STR("; crumb=1234567890; crumb=1234567890");
    struct buf block = {0};

    raw_begin();
    put_fields(&block, pseudo);
    put_new(&block, "cookie", crumb);
    put_newest(&block, N - 1);
    raw_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
              buf_str(&block));
    buf_deinit(&block);
    CHECK(raw_send());
    struct str cookie = server.streams[0].request.headers.items[0].value;

    CHECK_INT(cookie.len, N * (sizeof crumb + 1) - 2);
    CHECK(str_eq(str_slice(cookie, cookie.len - want.len, cookie.len), want));
    CHECK_MSG(server.streams[0].arena.used_bytes < 6 * cookie.len, "%zu bytes",
              server.streams[0].arena.used_bytes);
    raw_end();
}

TEST(malformed_trailers_make_the_message_malformed)
{
    static const char *const head[] = {":method", "POST",  ":scheme", "http", ":authority",
                                       "a",       ":path", "/",       NULL};
    static const struct {
        const char *fields[8];
        bool is_right;
    } cases[] = {
        {{"x", "1", "y", "2"}, true},
        {{"x", "1", "content-length", "7"}, true},
        {{"x", "1", "y", "a\r\nb"}, false},
        {{"x y", "1"}, false},
        {{"x_y", "1"}, false},
        {{"x", " 1"}, false},
        {{"X", "1"}, false},
        {{":path", "/"}, false},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        raw_begin();
        raw_headers(1, 0, head);
        raw_frame(NGHTTP2_DATA, 0, 1, STR("content"));
        raw_headers(1, NGHTTP2_FLAG_END_STREAM, cases[i].fields);
        CHECK(raw_send());
        CHECK_MSG((str_find(buf_str(&server.text), STR("END")) >= 0) == cases[i].is_right,
                  "case %zu: %.*s", i, STR_ARG(buf_str(&server.text)));
        raw_end();
    }
}

TEST(a_head_that_is_too_large_is_told_and_not_kept)
{
    static char value[20000];
    const char *fields[] = {PSEUDO, "a", value, "b", value, "c", value, "d", value, NULL};

    memset(value, 'v', sizeof value - 1);
    raw_begin();
    struct buf block = {0};

    put_fields(&block, fields);
    for (size_t at = 0; at < block.len; at += 16384) {
        struct str part = str_slice(buf_str(&block), at, at + 16384);
        bool is_last = at + part.len == block.len;

        raw_frame(at == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION,
                  (is_last ? NGHTTP2_FLAG_END_HEADERS : 0U) |
                      (at == 0 ? NGHTTP2_FLAG_END_STREAM : 0U),
                  1, part);
    }
    buf_deinit(&block);
    CHECK(raw_send());
    CHECK(str_starts_with(buf_str(&server.text), STR("BAD ")));
    CHECK(server.streams[0].request.headers.n <= 3);
    raw_end();
}

/* A head of so many fields that are a byte each, and name one long entry of the table. */
static bool bomb(uint32_t id, size_t n_fields)
{
    static const char *const pseudo[] = {PSEUDO, NULL};
    static char value[3900];
    struct buf block = {0};

    put_fields(&block, pseudo);
    if (id == 1) {
        memset(value, 'v', sizeof value - 1);
        put_new(&block, "bomb", value);
    }
    put_newest(&block, n_fields);
    raw_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
              buf_str(&block));
    buf_deinit(&block);
    return raw_send();
}

TEST(an_entry_that_is_named_again_and_again_ends_the_connection)
{
    raw_begin();
    CHECK(bomb(1, 0) && bomb(3, 15));
    CHECK(str_find(buf_str(&server.text), STR("BAD ")) < 0);
    buf_clear(&server.text);
    CHECK(bomb(5, 20));
    CHECK(str_starts_with(buf_str(&server.text), STR("BAD ")));
    buf_clear(&server.text);
    CHECK(!bomb(7, 80));
    CHECK_INT(raw_goaway(), H2_ENHANCE_YOUR_CALM);
    raw_end();

    raw_begin();
    CHECK(bomb(1, 0));
    uint32_t id = 3;

    while (bomb(id, 20) && id < 1000)
        id += 2;
    CHECK_MSG(id < 2 * LIMIT_H2_GLITCHES / 4 + 5, "%u too large heads", id / 2);
    CHECK_INT(raw_goaway(), H2_ENHANCE_YOUR_CALM);
    raw_end();
}

static int64_t goaway_of_ids(const uint32_t *ids)
{
    static const char *const fields[] = {PSEUDO, NULL};
    int64_t code;

    raw_begin();
    for (; *ids; ids++)
        raw_headers(*ids, 0, fields);
    CHECK_INT(raw_send(), raw_goaway() < 0);
    code = raw_goaway();
    raw_end();
    return code;
}

TEST(a_stream_that_was_passed_over_cannot_be_opened)
{
    CHECK_INT(goaway_of_ids((uint32_t[]){1, 3, 5, 0}), -1);
    CHECK_INT(goaway_of_ids((uint32_t[]){5, 7, 0}), -1);
    CHECK_INT(goaway_of_ids((uint32_t[]){5, 3, 0}), H2_PROTOCOL_ERROR);
    CHECK_INT(goaway_of_ids((uint32_t[]){1, 3, 9, 5, 0}), H2_PROTOCOL_ERROR);
}

/* Trailers, say, of a stream that was reset here while they were under way. */
TEST(a_head_for_a_stream_that_has_ended_is_overlooked)
{
    static const char *const fields[] = {PSEUDO, NULL};

    raw_begin();
    server.takes_none = true;
    raw_headers(1, 0, fields);
    raw_headers(3, 0, fields);
    CHECK(raw_send());
    raw_headers(1, NGHTTP2_FLAG_END_STREAM, (const char *const[]){"x-sum", "1", NULL});
    CHECK(raw_send());
    CHECK_INT(raw_goaway(), -1);
    raw_end();
}

TEST(a_head_that_was_given_up_is_answered_and_the_rest_is_not_kept)
{
    struct http_response r = {.status = 408, .body = HTTP_BODY_LENGTH};
    struct side_stream *t = &server.streams[0];

    raw_begin();
    raw_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1,
              STR("\x82\x86\x84\x41\x01"
                  "a"));
    CHECK(raw_send());
    h2_give_up_head(&t->h2);
    http_headers_init(&r.headers, &t->arena);
    h2_respond(&t->h2, &r);
    h2_finish(&t->h2);
    CHECK(raw_send());
    CHECK_INT(server.h2.n_streams, 0);
    CHECK(!t->is_used);
    raw_frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, STR("\x00\x01x\x01y"));
    CHECK(raw_send());
    CHECK_SAID(server, "");
    /* The compression of both sides is as it was. */
    raw_headers(3, NGHTTP2_FLAG_END_STREAM, (const char *const[]){PSEUDO, NULL});
    CHECK(raw_send());
    CHECK_SAID(server, "GET http://a(a)/ body=none | END | ");
    raw_end();
}

TEST(a_malformed_message_may_end_the_connection)
{
    static const char *const fields[] = {PSEUDO, "connection", "close", NULL};

    for (int ends = 0; ends < 2; ends++) {
        raw_begin();
        server.h2.options.ends_on_invalid = ends;
        raw_headers(1, NGHTTP2_FLAG_END_STREAM, fields);
        CHECK_INT(raw_send(), !ends);
        CHECK_INT(raw_goaway(), ends ? H2_PROTOCOL_ERROR : -1);
        raw_end();
    }
}

static void connect_said(const char *const *fields, bool takes_websockets, const char *want)
{
    struct h2_options options = {.scheme = STR("http"), .takes_websockets = takes_websockets};

    buf_deinit(&raw);
    begin(&options);
    buf_append_str(&raw, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    raw_frame(NGHTTP2_SETTINGS, 0, 0, STR(""));
    raw_headers(1, 0, fields);
    raw_frame(NGHTTP2_DATA, 0, 1, STR("bytes"));
    CHECK(raw_send());
    CHECK_MSG(str_starts_with(buf_str(&server.text), str_of(want)), "%.*s",
              STR_ARG(buf_str(&server.text)));
    raw_end();
}

TEST(an_extended_connect_is_told_as_an_upgrade)
{
    static const char *const websocket[] = {":method",    "CONNECT",   ":scheme", "http",
                                            ":authority", "a",         ":path",   "/w",
                                            ":protocol",  "websocket", NULL};
    static const char *const other[] = {":method",    "CONNECT", ":scheme", "http",
                                        ":authority", "a",       ":path",   "/w",
                                        ":protocol",  "other",   NULL};
    static const char *const get[] = {PSEUDO, ":protocol", "websocket", NULL};

    connect_said(websocket, true, "GET http://a(a)/w upgrade=websocket body=none | DATA bytes | ");
    connect_said(websocket, false, "CLOSE 1 | "); /* it was not announced */
    connect_said(other, true, "BAD ");
    connect_said(get, true, "CLOSE 1 | ");
}

/* ---- floods ---- */

typedef void flood_fn(unsigned i);

static void flood_ping(unsigned i UNUSED)
{
    raw_frame(NGHTTP2_PING, 0, 0, STR("12345678"));
}

static void flood_settings(unsigned i UNUSED)
{
    raw_frame(NGHTTP2_SETTINGS, 0, 0, STR(""));
}

static void flood_reset(unsigned i)
{
    static const char *const fields[] = {PSEUDO, NULL};

    raw_headers(2 * i + 1, 0, fields);
    raw_frame(NGHTTP2_RST_STREAM, 0, 2 * i + 1, STR("\0\0\0\x08"));
}

static void flood_quiet_reset(unsigned i)
{
    static const char *const fields[] = {PSEUDO, NULL};

    raw_headers(2 * i + 1, NGHTTP2_FLAG_END_STREAM, fields);
    raw_frame(NGHTTP2_RST_STREAM, 0, 2 * i + 1, STR("\0\0\0\0"));
}

/* MadeYouReset (CVE-2025-8671): the server is made to reset. */
static void flood_made_reset(unsigned i)
{
    static const char *const fields[] = {PSEUDO, NULL};

    raw_headers(2 * i + 1, 0, fields);
    raw_frame(NGHTTP2_WINDOW_UPDATE, 0, 2 * i + 1, STR("\x7f\xff\xff\xff"));
}

static void open_first(unsigned i)
{
    static const char *const fields[] = {":method", "POST",  ":scheme", "http", ":authority",
                                         "a",       ":path", "/",       NULL};

    if (i == 0)
        raw_headers(1, 0, fields);
}

static void flood_empty(unsigned i)
{
    open_first(i);
    raw_frame(NGHTTP2_DATA, 0, 1, STR(""));
}

static void flood_padding(unsigned i)
{
    open_first(i);
    raw_frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, STR("\4\0\0\0\0"));
}

static void flood_window(unsigned i UNUSED)
{
    raw_frame(NGHTTP2_WINDOW_UPDATE, 0, 0, STR("\0\0\0\x01"));
}

static void flood_priority(unsigned i)
{
    raw_frame(NGHTTP2_PRIORITY, 0, 2 * i + 1, STR("\0\0\0\0\x10"));
}

TEST(a_flood_ends_the_connection)
{
    static flood_fn *const floods[] = {flood_ping,       flood_settings,    flood_reset,
                                       flood_made_reset, flood_empty,       flood_window,
                                       flood_priority,   flood_quiet_reset, flood_padding};

    for (size_t k = 0; k < N_ELEMENTS(floods); k++) {
        bool is_on = true;
        unsigned n = 0;

        raw_begin();
        for (; is_on && n < 5000; n++) {
            floods[k](n);
            is_on = raw_send();
            if (n % 50 == 0)
                buf_clear(&server.text);
            if (is_on)
                buf_clear(&server.out);
        }
        CHECK_MSG(!is_on && n <= LIMIT_H2_GLITCHES + 1, "flood %zu: %u", k, n);
        CHECK_MSG(raw_goaway() == H2_ENHANCE_YOUR_CALM, "flood %zu", k);
        raw_end();
    }
}

/* A stream whose answer has begun, and is not wanted any more. */
static void cancel_answer(unsigned i)
{
    struct http_response r = {.status = 200, .body = HTTP_BODY_CHUNKED};
    struct side_stream *t = &server.streams[0];

    raw_headers(2 * i + 1, NGHTTP2_FLAG_END_STREAM, (const char *const[]){PSEUDO, NULL});
    CHECK(raw_send());
    CHECK(t->is_used);
    http_headers_init(&r.headers, &t->arena);
    h2_respond(&t->h2, &r);
    raw_frame(NGHTTP2_RST_STREAM, 0, 2 * i + 1, STR("\0\0\0\x08"));
}

TEST(who_leaves_answers_has_more_room_than_who_leaves_requests)
{
    unsigned n = 0;

    raw_begin();
    for (bool is_on = true; is_on && n < 5000; n++) {
        cancel_answer(n);
        is_on = raw_send();
        buf_clear(&server.text);
        if (is_on)
            buf_clear(&server.out);
    }
    CHECK_MSG(n > LIMIT_H2_GLITCHES / 2 && n <= LIMIT_H2_GLITCHES + 1, "%u", n);
    CHECK_INT(raw_goaway(), H2_ENHANCE_YOUR_CALM);
    raw_end();
    raw_begin();
    for (unsigned i = 0; i < 5000; i++) {
        cancel_answer(i);
        CHECK_MSG(raw_send(), "%u", i);
        buf_clear(&server.text);
        buf_clear(&server.out);
        if (i % 100 == 99)
            h2_forgive(&server.h2);
    }
    raw_end();
}

TEST(what_comes_slowly_is_no_flood)
{
    raw_begin();
    for (unsigned n = 0; n < 5000; n++) {
        flood_ping(n);
        CHECK(raw_send());
        buf_clear(&server.out);
        if (n % 100 == 99)
            h2_forgive(&server.h2);
    }
    raw_end();
}

TEST(a_continuation_flood_ends_the_connection)
{
    bool is_on = true;
    unsigned n = 0;

    raw_begin();
    raw_frame(NGHTTP2_HEADERS, 0, 1, STR(""));
    for (; is_on && n < 1000; n++) {
        raw_frame(NGHTTP2_CONTINUATION, 0, 1, STR(""));
        is_on = raw_send();
    }
    CHECK(!is_on && n < 50);
    CHECK_INT(raw_goaway(), H2_ENHANCE_YOUR_CALM);
    raw_end();
}

/* ---- windows ---- */

TEST(who_does_not_read_is_not_sent_to)
{
    struct buf big = {0};

    memset(buf_reserve(&big, 1 << 20), 'x', 1 << 20);
    big.len = 1 << 20;
    begin(NULL);
    server.keeps_windows = true;
    struct side_stream *t = ask("POST", "/", HTTP_BODY_CHUNKED, NULL);

    h2_send(&t->h2, buf_str(&big));
    CHECK(h2_is_full(&t->h2));
    talk(SIZE_MAX);
    CHECK_INT(server.n_data, LIMIT_PIPE_HIGH_BYTES);
    CHECK_INT(h2_n_pending(&t->h2), big.len - LIMIT_PIPE_HIGH_BYTES);
    /* The window opens as content is used. */
    h2_consume(&server.streams[0].h2, LIMIT_PIPE_HIGH_BYTES);
    talk(SIZE_MAX);
    CHECK_INT(server.n_data, 2 * LIMIT_PIPE_HIGH_BYTES);
    /* Another stream is not held up by it. */
    struct side_stream *other = ask("POST", "/b", HTTP_BODY_CHUNKED, NULL);

    h2_send(&other->h2, STR("short"));
    h2_send_end(&other->h2, NULL);
    talk(SIZE_MAX);
    CHECK(str_find(buf_str(&server.text), STR("DATA short | END | ")) >= 0);
    server.keeps_windows = false;
    h2_consume(&server.streams[0].h2, LIMIT_PIPE_HIGH_BYTES);
    talk(SIZE_MAX);
    CHECK_INT(server.n_data, big.len + 5);
    CHECK(str_find(buf_str(&client.text), STR("ROOM | ")) >= 0);
    CHECK_INT(h2_n_pending(&t->h2), 0);
    buf_deinit(&big);
    finish();
}

TEST(output_stops_at_its_limit_and_goes_on)
{
    struct buf big = {0};
    struct buf all = {0};

    memset(buf_reserve(&big, 60000), 'x', 60000);
    big.len = 60000;
    begin(NULL);
    talk(SIZE_MAX);
    struct side_stream *t = ask("POST", "/", HTTP_BODY_CHUNKED, NULL);

    h2_send(&t->h2, buf_str(&big));
    h2_send_end(&t->h2, NULL);
    for (int i = 0; i < 100; i++) {
        struct buf some = {0};
        bool unused UNUSED = h2_output(&client.h2, &some, 4096);

        CHECK(some.len <= 4096 + 16384 + 9);
        buf_append_str(&all, buf_str(&some));
        buf_deinit(&some);
    }
    CHECK(h2_input(&server.h2, buf_str(&all)));
    CHECK_INT(server.n_data, 60000);
    CHECK(str_find(buf_str(&server.text), STR("END | ")) >= 0);
    buf_deinit(&all);
    buf_deinit(&big);
    finish();
}

/* ---- the rest of a stream's life ---- */

TEST(trailers_pass_both_ways)
{
    struct http_headers trailers;
    struct http_response r = {.status = 200, .body = HTTP_BODY_CHUNKED};

    begin(NULL);
    struct side_stream *t = ask("POST", "/", HTTP_BODY_CHUNKED, NULL);

    http_headers_init(&trailers, &t->arena);
    http_headers_add(&trailers, STR("x-sum"), STR("1"));
    http_headers_add(&trailers, STR("authorization"), STR("no"));
    h2_send(&t->h2, STR("hello"));
    h2_send_end(&t->h2, &trailers);
    talk(7);
    CHECK_SAID(server, "POST http://A.test:80(a.test)/ body=open | DATA hello | "
                       "TRAILERS [x-sum: 1] | END | ");
    struct side_stream *answer = &server.streams[0];
    struct http_headers last;

    http_headers_init(&r.headers, &answer->arena);
    http_headers_init(&last, &answer->arena);
    http_headers_add(&last, STR("grpc-status"), STR("0"));
    h2_respond(&answer->h2, &(struct http_response){
                                .status = 100, .body = HTTP_BODY_NONE, .headers = r.headers});
    h2_respond(&answer->h2, &r);
    h2_send_end(&answer->h2, &last); /* no content before them */
    talk(5);
    CHECK_SAID(client, "100 body=open | 200 body=open | TRAILERS [grpc-status: 0] | END | ");
    finish();
}

TEST(streams_beyond_the_bound_are_refused)
{
    static const struct h2_options two = {.scheme = STR("http"), .n_streams_max = 2};

    begin(&two);
    for (int i = 0; i < 3; i++)
        ask("GET", "/", HTTP_BODY_NONE, NULL);
    talk(SIZE_MAX);
    CHECK_INT(server.h2.n_streams, 2);
    finish();

    begin(NULL);
    server.takes_none = true;
    ask("GET", "/", HTTP_BODY_NONE, NULL);
    talk(SIZE_MAX);
    CHECK_SAID(client, "CLOSE 7 | ");
    finish();
}

TEST(a_reset_reaches_the_other_side)
{
    begin(NULL);
    struct side_stream *t = ask("POST", "/", HTTP_BODY_CHUNKED, NULL);

    h2_send(&t->h2, STR("abc"));
    talk(SIZE_MAX);
    h2_reset(&t->h2, H2_CANCEL);
    talk(SIZE_MAX);
    CHECK_SAID(server, "POST http://A.test:80(a.test)/ body=open | DATA abc | CLOSE 8 | ");
    CHECK_SAID(client, "CLOSE 8 | ");
    finish();
}

TEST(who_goes_away_finishes_what_it_took)
{
    begin(NULL);
    struct side_stream *t = ask("POST", "/", HTTP_BODY_CHUNKED, NULL);

    talk(SIZE_MAX);
    h2_go_away(&server.h2, false);
    talk(SIZE_MAX);
    h2_go_away(&server.h2, true);
    talk(SIZE_MAX);
    struct side_stream *late = side_stream_new(&client);
    struct http_request q = {
        .method_text = STR("GET"), .scheme = STR("http"), .authority = STR("a"), .path = STR("/")};

    http_headers_init(&q.headers, &late->arena);
    CHECK(h2_request(&client.h2, &late->h2, &q) < 0);
    server.answers_at_end = true;
    h2_send_end(&t->h2, NULL);
    talk(SIZE_MAX);
    CHECK_SAID(client, "200 body=length | DATA ok | END | ");
    CHECK(h2_is_over(&server.h2));
    finish();
}
