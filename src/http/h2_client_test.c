/* The codec as a client: what its peer allows, and what it tells its owner and when it does not.
 * The peer is bytes written by hand. */
#include "http/h2.h"

#include <nghttp2/nghttp2.h>
#include <time.h>

#include "base/limits.h"
#include "http/h2_internal.h"
#include "test/harness/test.h"

static struct h2 h2;
static struct buf out;
static struct arena arena;
static size_t n_heads, n_data, n_ends, n_rooms;
static int64_t closed; /* with this code; -1: not */

static void on_head(struct h2_stream *s UNUSED)
{
    n_heads++;
}

static void on_data(struct h2_stream *s UNUSED, struct str span)
{
    n_data += span.len;
}

static void on_end(struct h2_stream *s UNUSED, const struct http_headers *trailers UNUSED)
{
    n_ends++;
}

static void on_room(struct h2_stream *s UNUSED)
{
    n_rooms++;
}

static void on_close(struct h2_stream *s UNUSED, uint32_t code)
{
    closed = code;
}

static const struct h2_events events = {.on_head = on_head,
                                        .on_data = on_data,
                                        .on_end = on_end,
                                        .on_room = on_room,
                                        .on_close = on_close};

static void begin(uint32_t n_streams_max)
{
    const struct h2_options options = {
        .is_client = true, .scheme = STR("http"), .n_streams_max = n_streams_max};

    n_heads = n_data = n_ends = n_rooms = 0;
    closed = -1;
    arena_init(&arena, 4096);
    CHECK_INT(h2_init(&h2, &options, &events), 0);
}

static void finish(void)
{
    h2_deinit(&h2);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void put_out(void)
{
    buf_clear(&out);
    CHECK(h2_output(&h2, &out, 1 << 20));
}

static void frame(unsigned type, unsigned flags, uint32_t stream, const void *bytes, size_t n)
{
    struct buf b = {0};
    const unsigned char head[] = {(unsigned char)(n >> 16),
                                  (unsigned char)(n >> 8),
                                  (unsigned char)n,
                                  (unsigned char)type,
                                  (unsigned char)flags,
                                  0,
                                  0,
                                  (unsigned char)(stream >> 8),
                                  (unsigned char)stream};

    buf_append(&b, head, sizeof head);
    buf_append(&b, bytes, n);
    CHECK(h2_input(&h2, buf_str(&b)));
    buf_deinit(&b);
}

/* SETTINGS of one entry: at most `n` streams at once. */
static void settings(unsigned char n)
{
    const unsigned char entry[] = {0, 3, 0, 0, 0, n};

    put_out();
    frame(4, 0, 0, entry, sizeof entry);
    frame(4, 1, 0, NULL, 0); /* it knows ours too */
}

static void ask_host(struct h2_stream *s, struct http_response *r, enum http_body body,
                     struct str host)
{
    struct http_request q = {.method_text = STR("POST"),
                             .scheme = STR("http"),
                             .authority = host,
                             .path = STR("/"),
                             .body = body};

    http_headers_init(&q.headers, &arena);
    *s = (struct h2_stream){.arena = &arena, .tail = &arena, .response = r};
    CHECK_INT(h2_request(&h2, s, &q), 0);
    put_out();
}

static void ask(struct h2_stream *s, struct http_response *r, enum http_body body)
{
    ask_host(s, r, body, STR("a"));
}

TEST(the_peers_settings_say_how_many_streams_are_free)
{
    struct h2_stream streams[3];
    struct http_response r;

    begin(5);
    CHECK(!h2.is_settled);
    CHECK_INT(h2_n_free(&h2), 5);
    settings(2);
    CHECK(h2.is_settled);
    CHECK_INT(h2_n_free(&h2), 2);
    ask(&streams[0], &r, HTTP_BODY_NONE);
    CHECK_INT(h2_n_free(&h2), 1);
    ask(&streams[1], &r, HTTP_BODY_NONE);
    CHECK_INT(h2_n_free(&h2), 0);
    /* Fewer than there are. */
    frame(4, 0, 0, "\0\3\0\0\0\1", 6);
    CHECK_INT(h2_n_free(&h2), 0);
    frame(4, 0, 0, "\0\3\0\0\0\xc8", 6);
    CHECK_INT(h2_n_free(&h2), 3);
    /* GOAWAY: the last stream is 1. */
    frame(7, 0, 0, "\0\0\0\1\0\0\0\0", 8);
    CHECK_INT(h2_n_free(&h2), 0);
    CHECK_INT(closed, H2_REFUSED_STREAM);
    finish();
}

TEST(numbers_of_streams_come_to_an_end)
{
    struct h2_stream s;
    struct http_response r;

    begin(0);
    settings(100);
    CHECK_INT(nghttp2_session_set_next_stream_id(h2.session, INT32_MAX), 0);
    CHECK(h2_may_open(&h2));
    ask(&s, &r, HTTP_BODY_NONE);
    CHECK(!h2_may_open(&h2));
    CHECK_INT(h2_n_free(&h2), 0);
    finish();
}

TEST(content_that_nobody_takes_holds_its_streams_window_alone)
{
    static const char some[16384];
    struct h2_stream s;
    struct http_response r;

    begin(0);
    settings(100);
    ask(&s, &r, HTTP_BODY_NONE);
    frame(1, 4, 1, "\x88", 1); /* :status 200 */
    for (int i = 0; i < 4; i++)
        frame(0, 0, 1, some, sizeof some);
    CHECK_INT(n_data, 4 * sizeof some);
    CHECK_INT(s.n_unconsumed, n_data);
    /* Nothing for the stream: were the connection's window held too, 16 such streams would end it.
     */
    put_out();
    CHECK(str_find(buf_str(&out), str_make("\0\0\4\10\0\0\0\0\1", 9)) < 0);
    h2_consume(&s, s.n_unconsumed);
    put_out();
    CHECK(str_find(buf_str(&out), str_make("\0\0\4\10\0\0\0\0\1", 9)) >= 0);
    /* As much as 20 windows of streams, and the connection still takes content. */
    for (int i = 0; i < 20 * 4; i++) {
        frame(0, 0, 1, some, sizeof some);
        h2_consume(&s, s.n_unconsumed);
        put_out();
    }
    CHECK_INT(closed, -1);
    finish();
}

TEST(nothing_follows_a_reset_but_its_close)
{
    struct h2_stream s;
    struct http_response r;

    begin(0);
    settings(100);
    ask(&s, &r, HTTP_BODY_CHUNKED);
    frame(1, 4, 1, "\x88", 1);
    CHECK_INT(n_heads, 1);
    h2_reset(&s, H2_CANCEL);
    h2_reset(&s, H2_CANCEL);
    frame(0, 0, 1, "late", 4);
    frame(0, 1, 1, "late", 4); /* END_STREAM */
    CHECK_INT(n_data + n_ends, 0);
    put_out();
    CHECK_INT(closed, H2_CANCEL);
    CHECK_INT(h2.n_streams, 0);
    finish();
}

TEST(who_asks_for_room_twice_is_told_all_the_same)
{
    struct h2_stream s;
    struct http_response r;
    struct buf big = {0};

    begin(0);
    settings(100);
    ask(&s, &r, HTTP_BODY_CHUNKED);
    memset(buf_reserve(&big, 120000), 'x', 120000);
    big.len = 120000;
    h2_send(&s, buf_str(&big));
    CHECK(h2_is_full(&s));
    put_out(); /* 65535 of them */
    CHECK(!h2_is_full(&s));
    CHECK_INT(n_rooms, 0);
    frame(8, 0, 0, "\0\1\0\0", 4);
    frame(8, 0, 1, "\0\1\0\0", 4);
    put_out();
    CHECK_INT(n_rooms, 1);
    buf_deinit(&big);
    buf_deinit(&s.pending);
    finish();
}

TEST(a_long_body_is_not_moved_by_each_of_its_frames)
{
    enum { BODY = 64 << 20, SECONDS = 5 };
    struct h2_stream s;
    struct http_response r;
    struct buf big = {0};
    size_t n_out = 0;
    clock_t begun;

    begin(0);
    settings(100);
    ask(&s, &r, HTTP_BODY_CHUNKED);
    memset(buf_reserve(&big, BODY), 'x', BODY);
    big.len = BODY;
    frame(8, 0, 0, "\x7f\0\0\0", 4);
    frame(8, 0, 1, "\x7f\0\0\0", 4);
    h2_send(&s, buf_str(&big));
    begun = clock();
    do {
        buf_clear(&out);
        CHECK(h2_output(&h2, &out, LIMIT_PIPE_HIGH_BYTES));
        n_out += out.len;
    } while (out.len > 0);
    CHECK(n_out > BODY);
    CHECK_INT(h2_n_pending(&s), 0);
    CHECK((clock() - begun) / CLOCKS_PER_SEC < SECONDS);
    buf_deinit(&big);
    finish();
}

TEST(a_request_that_names_no_host_has_no_authority)
{
    struct h2_stream s;
    struct http_response r;

    begin(0);
    settings(100);
    ask_host(&s, &r, HTTP_BODY_NONE, STR("")); /* method, scheme, path (RFC 7541 A) */
    CHECK(str_find(buf_str(&out), STR("\x83\x86\x84")) >= 0);
    ask(&s, &r, HTTP_BODY_NONE);
    CHECK(str_find(buf_str(&out), STR("\x83\x86\x41\1a\x84")) >= 0);
    finish();
}

TEST(of_a_request_that_is_taken_back_before_it_goes_out_nothing_does)
{
    struct http_request q = {.method_text = STR("POST"),
                             .scheme = STR("http"),
                             .authority = STR("a"),
                             .path = STR("/"),
                             .body = HTTP_BODY_CHUNKED};
    struct h2_stream s = {.arena = &arena, .tail = &arena};
    struct h2_stream other;
    struct http_response r;

    begin(0);
    settings(100);
    put_out();
    http_headers_init(&q.headers, &arena);
    CHECK_INT(h2_request(&h2, &s, &q), 0);
    CHECK(!h2_is_begun(&s));
    h2_reset(&s, H2_CANCEL);
    CHECK(!h2_is_begun(&s));
    put_out();
    CHECK_INT(out.len, 0);
    CHECK_INT(closed, H2_CANCEL);
    CHECK(!h2_is_begun(&s));
    ask(&other, &r, HTTP_BODY_CHUNKED);
    CHECK(h2_is_begun(&other));
    h2_reset(&other, H2_CANCEL);
    put_out();
    CHECK_INT(out.len, 13); /* RST_STREAM */
    finish();
}

/* Connections to a backend are shared by tenants: what one of them can guess it must not be able to
 * see confirmed by a shorter head (RFC 7541 7.1.3). */
TEST(credentials_are_never_kept_by_the_compression)
{
    static const char *const secret[] = {"authorization",  "cookie",       "proxy-authorization",
                                         "set-cookie",     "x-api-key",    "api-key",
                                         "x-goog-api-key", "x-auth-token", "x-client-jwt",
                                         "x-hub-signature"};
    static const char *const plain[] = {"x-request-id", "content-type", "x-tenant", "cookies-ok",
                                        "x-tokens",     "monkeys",      "y"};
    struct http_request q = {.method_text = STR("GET"), .scheme = STR("http"), .path = STR("/")};
    nghttp2_nv *fields;
    size_t n_secret = 0;
    size_t n;

    arena_init(&arena, 4096);
    http_headers_init(&q.headers, &arena);
    for (size_t i = 0; i < N_ELEMENTS(secret); i++)
        http_headers_add(&q.headers, str_of(secret[i]), STR("value"));
    for (size_t i = 0; i < N_ELEMENTS(plain); i++)
        http_headers_add(&q.headers, str_of(plain[i]), STR("value"));
    n = h2_fields_of_request(&q, &arena, &fields);
    for (size_t i = 0; i < n; i++) {
        bool is_secret = n_secret < N_ELEMENTS(secret) && fields[i].name[0] != ':';

        CHECK_MSG((fields[i].flags & NGHTTP2_NV_FLAG_NO_INDEX) == (is_secret ? 1 : 0), "%.*s",
                  (int)fields[i].namelen, (const char *)fields[i].name);
        n_secret += is_secret;
    }
    CHECK_INT(n_secret, N_ELEMENTS(secret));
    arena_deinit(&arena);
}
