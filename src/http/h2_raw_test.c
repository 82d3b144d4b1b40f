/* Frames by hand: heads that are malformed, and floods. */
#include "http/h2_play.h"

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

/* By then the arena that they would be kept in is another exchange's. */
TEST(trailers_that_go_on_after_their_request_is_finished_are_not_kept)
{
    struct side_stream *t = &server.streams[0];
    struct http_response r = {.status = 200, .body = HTTP_BODY_CHUNKED};

    raw_begin();
    raw_headers(1, 0, (const char *const[]){PSEUDO, NULL});
    raw_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, STR("\x00\x01x\x01y"));
    CHECK(raw_send());
    CHECK_INT(t->h2.trailers.n, 1);
    http_headers_init(&r.headers, &t->arena);
    h2_respond(&t->h2, &r);
    h2_finish(&t->h2);
    raw_frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, STR("\x00\x01z\x01y"));
    CHECK(raw_send());
    CHECK(t->is_used); /* its answer is not complete */
    CHECK_INT(t->h2.trailers.n, 1);
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

TEST(a_framing_header_with_an_underscore_passes_nowhere)
{
    static const char *const names[] = {"x_y", "content_length", "transfer_encoding"};

    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        const char *const fields[] = {PSEUDO, names[i], "5", NULL};

        raw_begin();
        server.h2.options.allows_underscore = true;
        raw_headers(1, NGHTTP2_FLAG_END_STREAM, fields);
        CHECK(raw_send());
        CHECK_INT(str_starts_with(buf_str(&server.text), STR("BAD ")), i > 0);
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

/* Readers of small messages: gRPC asks with a PING for each, and opens both windows by its bytes.
 */
TEST(what_goes_with_content_is_no_flood)
{
    raw_begin();
    open_first(0);
    for (unsigned i = 0; i < 5000; i++) {
        raw_frame(NGHTTP2_DATA, 0, 1, STR("x"));
        raw_frame(NGHTTP2_PING, 0, 0, STR("12345678"));
        raw_frame(NGHTTP2_WINDOW_UPDATE, 0, 0, STR("\0\0\0\x07"));
        raw_frame(NGHTTP2_WINDOW_UPDATE, 0, 1, STR("\0\0\0\x07"));
        CHECK_MSG(raw_send(), "%u", i);
        buf_clear(&server.text);
        buf_clear(&server.out);
    }
    raw_end();
}

/* One leaves before an answer for two who get theirs; and answers that are cut here are nobody's
 * fault but ours. */
TEST(who_is_served_may_leave_now_and_then)
{
    struct http_response r = {.status = 200, .body = HTTP_BODY_NONE};
    struct side_stream *t = &server.streams[0];

    raw_begin();
    for (unsigned i = 0; i < 9000; i++) {
        raw_headers(2 * i + 1, NGHTTP2_FLAG_END_STREAM, (const char *const[]){PSEUDO, NULL});
        CHECK_MSG(raw_send(), "%u", i);
        http_headers_init(&r.headers, &t->arena);
        if (i % 4 == 0)
            raw_frame(NGHTTP2_RST_STREAM, 0, 2 * i + 1, STR("\0\0\0\x08"));
        else if (i % 12 == 1)
            h2_abort(&t->h2, H2_INTERNAL_ERROR);
        else
            h2_respond(&t->h2, &r);
        CHECK_MSG(raw_send(), "%u", i);
        CHECK(!t->is_used);
        buf_clear(&server.text);
        buf_clear(&server.out);
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

/* 150 a second are 50 more than time forgives. */
TEST(time_forgives_what_comes_faster_in_part)
{
    unsigned n = 0;

    raw_begin();
    for (bool is_on = true; is_on && n < 50000; n++) {
        flood_ping(n);
        is_on = raw_send();
        buf_clear(&server.text);
        if (is_on)
            buf_clear(&server.out);
        if (n % 150 == 149)
            h2_forgive(&server.h2);
    }
    CHECK_MSG(n > 2 * LIMIT_H2_GLITCHES && n < 4 * LIMIT_H2_GLITCHES, "%u", n);
    CHECK_INT(raw_goaway(), H2_ENHANCE_YOUR_CALM);
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
