/* Request heads: what is read and how, what is refused and why; each case whole, cut at every byte,
 * and byte by byte. */
#include "http/h1_play.h"
#include "test/harness/test.h"

struct request_case {
    const char *input;
    const char *play; /* expected, or NULL for an error */
    enum h1_error error;
};

static void run_all_cuts(const struct request_case *t, struct h1_play *play)
{
    struct str bytes = str_of(t->input);

    for (size_t i = 0; i <= bytes.len; i++) {
        size_t cut = i == bytes.len ? 0 : i + 1;

        h1_play_run(play, bytes, cut);
        CHECK_MSG(play->error == t->error, "cut %zu of \"%s\": %s, expected error \"%s\"", cut,
                  t->input, buf_str(&play->text).len ? play->text.ptr : "",
                  h1_error_text(t->error));
        if (t->play)
            CHECK_MSG(str_eq(buf_str(&play->text), str_of(t->play)),
                      "cut %zu:\n  got  %.*s\n  want %s", cut, STR_ARG(buf_str(&play->text)),
                      t->play);
    }
    buf_deinit(&play->text);
}

static void run_table(const struct request_case *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct h1_play play = {.options.scheme = STR("http")};

        run_all_cuts(&table[i], &play);
    }
}

#define H      "Host: a.example\r\n"
#define GOOD   H1_ERROR_NONE
#define GET    "GET / HTTP/1.1\r\n"
#define POST   "POST /p HTTP/1.1\r\nHost: h\r\n"
#define AT     "http://a.example(a.example)"
#define PLAY_P "POST http://h(h)/p 1.1"

TEST(well_formed_requests_are_read)
{
    static const struct request_case table[] = {
        {GET H "\r\n", "GET " AT "/ 1.1 body=none keep | END", GOOD},
        {"\r\n" GET H "\r\n", "GET " AT "/ 1.1 body=none keep | END", GOOD},
        {"GET / HTTP/1.0\r\n\r\n", "GET http://()/ 1.0 body=none | END", GOOD},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "GET http://()/ 1.0 body=none keep | END", GOOD},
        {GET H "Connection: close, keep-alive\r\n\r\n", "GET " AT "/ 1.1 body=none | END", GOOD},
        {"GET /a?b=c?d HTTP/1.1\r\nHOST:  A.Example:8080 \r\n\r\n",
         "GET http://A.Example:8080(a.example)/a?b=c?d 1.1 body=none keep | END", GOOD},
        {"GET /? HTTP/1.1\r\n" H "\r\n", "GET " AT "/? 1.1 body=none keep | END", GOOD},
        {"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:443\r\n\r\n",
         "GET http://[2001:DB8::1]:443([2001:db8::1])/ 1.1 body=none keep | END", GOOD},
        {"GET / HTTP/1.1\r\nHost: a.example.\r\n\r\n",
         "GET http://a.example.(a.example)/ 1.1 body=none keep | END", GOOD},
        {GET H "X-One: 1\r\nx-ONE:2\r\nEmpty:\r\nO: \xc3\xa9\r\n\r\n",
         "GET " AT "/ 1.1 body=none keep [x-one: 1] [x-one: 2] [empty: ] [o: \xc3\xa9] | END",
         GOOD},
        {"OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS " AT "* 1.1 body=none keep | END", GOOD},
        {"GET http://a.example HTTP/1.1\r\n" H "\r\n", "GET " AT "/ 1.1 body=none keep | END",
         GOOD},
        {"GET HTTP://A.example?x HTTP/1.1\r\n" H "\r\n",
         "GET http://A.example(a.example)/?x 1.1 body=none keep | END", GOOD},
        {"GET http://a.example//b/../c HTTP/1.0\r\n\r\n", "GET " AT "/c 1.0 body=none | END", GOOD},
        {"OPTIONS http://a.example HTTP/1.1\r\n" H "\r\n",
         "OPTIONS " AT "* 1.1 body=none keep | END", GOOD},
        {"GET /v1/models/iris%3apredict HTTP/1.1\r\n" H "\r\n",
         "GET " AT "/v1/models/iris:predict 1.1 body=none keep | END", GOOD},
        {"M-SEARCH / HTTP/1.1\r\n" H "\r\n", "M-SEARCH " AT "/ 1.1 body=none keep | END", GOOD},
        {POST "Content-Length: 5\r\n\r\nhello", PLAY_P " body=length:5 keep | DATA hello | END",
         GOOD},
        {POST "Content-Length: 0\r\n\r\n", PLAY_P " body=length:0 keep | END", GOOD},
        {POST "Content-Length: 2\r\nExpect: 100-Continue\r\n\r\nab" GET H "\r\n",
         PLAY_P " body=length:2 keep expect | DATA ab | END | GET " AT "/ 1.1 body=none keep | END",
         GOOD},
        {"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
         "POST http://()/ 1.0 body=length:1 | DATA x | END", GOOD},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(hop_by_hop_headers_stay_here)
{
    static const struct request_case table[] = {
        {GET H "Connection: X-Drop, close\r\nX-Drop: 1\r\nX-Keep: 2\r\nKeep-Alive: 5\r\n"
               "Proxy-Connection: x\r\nTE: trailers\r\nTrailer: x\r\n\r\n",
         "GET " AT "/ 1.1 body=none te [x-keep: 2] | END", GOOD},
        {GET H "X-A: 1\r\nX-B: 2\r\nConnection: x-a\r\nConnection: X-B, ,\r\n\r\n",
         "GET " AT "/ 1.1 body=none keep | END", GOOD},
        {GET H "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
         "GET " AT "/ 1.1 body=none keep upgrade=websocket | END", GOOD},
        {GET H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
         "GET " AT "/ 1.1 body=none keep | END", GOOD},
        {GET H "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
         "GET " AT "/ 1.1 body=none keep | END", GOOD},
        {GET H "Upgrade: websocket\r\n\r\n", "GET " AT "/ 1.1 body=none keep | END", GOOD},
        {"POST /p HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
         PLAY_P " body=none keep | END", GOOD},
        {GET H "Connection: content-length\r\n\r\n", NULL, H1_ERROR_BAD_CONNECTION},
        {GET H "Connection: close, Host\r\n\r\n", NULL, H1_ERROR_BAD_CONNECTION},
        {GET H "Connection: AUTHORIZATION\r\n\r\n", NULL, H1_ERROR_BAD_CONNECTION},
        {GET H "Connection: transfer-encoding\r\n\r\n", NULL, H1_ERROR_BAD_CONNECTION},
        {GET H "Connection: X-Forwarded-For\r\n\r\n", NULL, H1_ERROR_BAD_CONNECTION},
        {GET H "Connection: a b\r\n\r\n", NULL, H1_ERROR_BAD_CONNECTION},
        {GET H "Connection: \"close\"\r\n\r\n", NULL, H1_ERROR_BAD_CONNECTION},
        {GET H "Connection: a,b,c,d,e,f,g,h,i\r\n\r\n", NULL, H1_ERROR_BAD_CONNECTION},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(malformed_request_lines_are_refused)
{
    static const struct request_case table[] = {
        {"GET /\r\n\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET  / HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET /  HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET / HTTP/1.1 \r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {" GET / HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET\t/ HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET / HTTP/1.1\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET / HTTP/1.1\rX\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET / http/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET / HTTP/1.10\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET / HTTP/1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"G@T / HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"get / HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"helloGET / HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"1GET / HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"-GET / HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"G_T / HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"\r\n\r\n" GET H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"\n" GET H "\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"\x16\x03\x01\x02", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NULL, H1_ERROR_BAD_VERSION},
        {"GET /a b\r\n\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET a b HTTP/1.1\r\n\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET a http/1.1\r\n\r\n", NULL, H1_ERROR_BAD_REQUEST_LINE},
        {"GET / HTTP/2.0\r\n" H "\r\n", NULL, H1_ERROR_BAD_VERSION},
        {"GET / HTTP/1.2\r\n" H "\r\n", NULL, H1_ERROR_BAD_VERSION},
        {"GET / HTTP/0.9\r\n" H "\r\n", NULL, H1_ERROR_BAD_VERSION},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(a_line_of_another_protocol_is_told_apart)
{
    static const struct request_case table[] = {
        {"INVALID CONNECTION PREFACE\r\n\r\n", NULL, H1_ERROR_NOT_HTTP},
        {"HELO example.org\r\n\r\n", NULL, H1_ERROR_NOT_HTTP},
        {"QUIT \r\n\r\n", NULL, H1_ERROR_NOT_HTTP},
        {"NO LINE OF IT\r\nX: / HTTP/1.1\r\n\r\n", NULL, H1_ERROR_NOT_HTTP},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(doubtful_targets_are_refused)
{
    static const struct request_case table[] = {
        {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", NULL, H1_ERROR_CONNECT_METHOD},
        {"GET * HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET a.example:80 HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET a HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET ftp://a.example/ HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET https://a.example/ HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET /a#b HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET /a\x01 HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET /a%2fb HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_PATH},
        {"GET /a\\b HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_PATH},
        {"GET /a%00 HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_PATH},
        {"GET /../a HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_PATH},
        {"GET http://u@a.example/ HTTP/1.1\r\nHost: u@a.example\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {"GET http://b.example/ HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_HOST},
        {"GET http://a.example:80/ HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_HOST},
        {"GET http:///x HTTP/1.1\r\nHost: \r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {"GET http:///x HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_HOST},
        {"GET http:?x HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_TARGET},
        {"GET http://?x HTTP/1.1\r\n" H "\r\n", NULL, H1_ERROR_BAD_HOST},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(doubtful_hosts_are_refused)
{
    static const struct request_case table[] = {
        {GET "\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET H H "\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a.example, b.example\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host:\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a b\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host:\ta\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a\t\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a\tb\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a/b\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a%2eb\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: u@a\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a:\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a:0\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a:65536\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a:8o\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a:80:80\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: .a\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a..b\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: a..\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: .\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: *.a\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: [::1\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: [::1]x\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: [1.2.3.4]\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: [fe80::1%25eth0]\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: [v1.x]\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
        {GET "Host: ::1\r\n\r\n", NULL, H1_ERROR_BAD_HOST},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(malformed_headers_are_refused)
{
    static const struct request_case table[] = {
        {GET H "X : 1\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X\t: 1\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X: 1\r\n folded\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X: 1\r\n\tfolded\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET " " H "\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X: 1\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X: 1\r\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X: 1\rY: 2\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "\rX: 1\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X: 1\r\n\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X: a\x01z\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X: a\x7fz\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H ": 1\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "X(y): 1\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "\xc3\xa9: 1\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {GET H "x_tenant: a\r\n\r\n", NULL, H1_ERROR_UNDERSCORE_HEADER},
        {GET H "Expect: 200-ok\r\n\r\n", NULL, H1_ERROR_BAD_EXPECT},
        {GET H "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", NULL, H1_ERROR_BAD_EXPECT},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(doubtful_framing_is_refused)
{
    static const struct request_case table[] = {
        {POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: 5, 5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: +5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: -5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: 0x5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: 5 5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: \r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length:\t5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: 5 \t\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: 5\t5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: \t \r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Transfer-Encoding:\tchunked\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: chunked\t\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Content-Length: 18446744073709551616\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: 9223372036854775808\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH},
        {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
         H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", NULL,
         H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: xchunked\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: chunked, identity\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: identity\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: \"chunked\"\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: chunked;q=1\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding:\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
         H1_ERROR_BAD_TRANSFER_ENCODING},
        {POST "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n",
         NULL, H1_ERROR_BAD_HEADER},
        {POST "Transfer-Encoding : chunked\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {POST "Transfer-Encoding:\r\n chunked\r\n\r\n", NULL, H1_ERROR_BAD_HEADER},
        {POST "Transfer_Encoding: chunked\r\n\r\n", NULL, H1_ERROR_UNDERSCORE_HEADER},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
         H1_ERROR_BAD_TRANSFER_ENCODING},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(a_nul_byte_is_refused_anywhere_in_a_head)
{
    /* With a second empty line, which ends the head where the NUL has broken the first. */
    static const char head[] = "GET /p HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n\r\n\r\n";

    for (size_t i = 0; i < sizeof head - 5; i++) {
        struct h1_play play = {.options.allows_underscore = false};
        char copy[sizeof head];

        memcpy(copy, head, sizeof head);
        copy[i] = '\0';
        h1_play_run(&play, str_make(copy, sizeof head - 1), sizeof head - 1);
        CHECK_MSG(str_starts_with(buf_str(&play.text), STR("ERROR")), "NUL at %zu: %.*s", i,
                  STR_ARG(buf_str(&play.text)));
        buf_deinit(&play.text);
    }
}

static enum h1_error play_long(struct buf *bytes, uint32_t limit)
{
    struct h1_play play = {.options.head_bytes_limit = limit};
    enum h1_error first;

    h1_play_run(&play, buf_str(bytes), bytes->len);
    first = play.error;
    h1_play_run(&play, buf_str(bytes), bytes->len / 2);
    CHECK_INT(play.error, first);
    buf_deinit(&play.text);
    buf_deinit(bytes);
    return first;
}

TEST(oversize_heads_are_refused)
{
    struct buf b = {0};

    buf_printf(&b, GET H "X: %0*d\r\n\r\n", 70000, 1);
    CHECK_INT(play_long(&b, 0), H1_ERROR_HEAD_TOO_LARGE);
    buf_printf(&b, GET H "X: %0*d\r\n\r\n", 970, 1);
    CHECK_INT(play_long(&b, 1024), H1_ERROR_NONE);
    buf_printf(&b, GET H "X: %0*d\r\n\r\n", 1024, 1);
    CHECK_INT(play_long(&b, 1024), H1_ERROR_HEAD_TOO_LARGE);
    buf_printf(&b, "GET /%0*d HTTP/1.1\r\n" H "\r\n", 17000, 1);
    CHECK_INT(play_long(&b, 0), H1_ERROR_TARGET_TOO_LONG);
    buf_printf(&b, "GET /%0*d HTTP/1.1\r\n" H "\r\n", 16384, 1);
    CHECK_INT(play_long(&b, 0), H1_ERROR_TARGET_TOO_LONG);
    buf_printf(&b, "GET /%0*d HTTP/1.1\r\n" H "\r\n", 16383, 1);
    CHECK_INT(play_long(&b, 0), H1_ERROR_NONE);
    buf_printf(&b, "GET /%0*d", 40000, 1);
    CHECK_INT(play_long(&b, 0), H1_ERROR_TARGET_TOO_LONG);
    for (unsigned n = 128; n <= 129; n++) {
        buf_printf(&b, "GET / HTTP/1.1\r\n" H);
        for (unsigned i = 1; i < n; i++)
            buf_printf(&b, "x%u: y\r\n", i);
        buf_printf(&b, "\r\n");
        CHECK_INT(play_long(&b, 0), n == 128 ? H1_ERROR_NONE : H1_ERROR_TOO_MANY_HEADERS);
    }
}

TEST(underscores_pass_where_allowed)
{
    static const struct request_case t = {
        GET H "x_tenant: a\r\n\r\n", "GET " AT "/ 1.1 body=none keep [x_tenant: a] | END", GOOD};
    struct h1_play play = {.options.allows_underscore = true};

    run_all_cuts(&t, &play);
}

TEST(a_framing_header_with_an_underscore_passes_nowhere)
{
    static const struct request_case table[] = {
        {POST "content_length: 5\r\n\r\n", NULL, H1_ERROR_UNDERSCORE_HEADER},
        {POST "Content-Length: 5\r\nCONTENT_length: 5\r\n\r\n", NULL, H1_ERROR_UNDERSCORE_HEADER},
        {POST "Transfer_Encoding: chunked\r\n\r\n", NULL, H1_ERROR_UNDERSCORE_HEADER},
        {POST "Transfer-Encoding: chunked\r\n\r\n0\r\nContent_Length: 5\r\n\r\n", NULL,
         H1_ERROR_BAD_TRAILER},
        {GET H "content_lengths: 5\r\n\r\n",
         "GET " AT "/ 1.1 body=none keep [content_lengths: 5] | END", GOOD},
    };

    for (size_t i = 0; i < N_ELEMENTS(table); i++) {
        struct h1_play play = {.options.allows_underscore = true};

        run_all_cuts(&table[i], &play);
    }
}

TEST(connection_names_are_told)
{
    struct arena arena;
    struct h1 c;
    struct http_request q;
    struct h1_event event;
    struct str input = STR(GET H "Connection: X-Tenant\r\nX-Tenant: a\r\n\r\n");

    arena_init(&arena, 4096);
    h1_init(&c, &(struct h1_options){0});
    CHECK(h1_next(&c, &input, &arena, &q, NULL, &event) == H1_EVENT);
    CHECK_STR(q.connection, "x-tenant");
    CHECK_INT(q.headers.n, 0);
    arena_deinit(&arena);
}

TEST(other_upgrades_are_told_apart_and_change_nothing)
{
    static const struct {
        const char *head, *upgrade, *other;
    } rows[] = {
        {GET H "Connection: upgrade\r\nUpgrade: WebSocket\r\n\r\n", "WebSocket", ""},
        {GET H "Connection: upgrade\r\nUpgrade: spdy/3.1\r\n\r\n", "", "spdy/3.1"},
        {"POST / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: spdy/3.1\r\n"
         "Content-Length: 0\r\n\r\n",
         "", "spdy/3.1"},
        {"POST / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: spdy/3.1\r\n"
         "Content-Length: 1\r\n\r\nx",
         "", ""},
        {"POST / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: spdy/3.1\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "", ""},
        {"POST / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", "", ""},
        {GET H "Upgrade: spdy/3.1\r\n\r\n", "", ""},
        {"GET / HTTP/1.0\r\n" H "Connection: upgrade\r\nUpgrade: spdy/3.1\r\n\r\n", "", ""},
        {GET H "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n", "", ""},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct arena arena;
        struct h1 c;
        struct http_request q;
        struct h1_event event;
        struct str input = str_of(rows[i].head);

        arena_init(&arena, 4096);
        h1_init(&c, &(struct h1_options){0});
        CHECK(h1_next(&c, &input, &arena, &q, NULL, &event) == H1_EVENT);
        CHECK_STR(q.upgrade, rows[i].upgrade);
        CHECK_STR(q.other_upgrade, rows[i].other);
        arena_deinit(&arena);
    }
}

TEST(bytes_after_an_upgrade_are_raw)
{
    struct arena arena;
    struct h1 c;
    struct http_request q;
    struct h1_event event;
    struct str input = STR(GET H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x01");

    arena_init(&arena, 4096);
    h1_init(&c, &(struct h1_options){0});
    CHECK(h1_next(&c, &input, &arena, &q, NULL, &event) == H1_EVENT);
    h1_set_raw(&c);
    CHECK(h1_next(&c, &input, &arena, &q, NULL, &event) == H1_EVENT);
    CHECK_INT(event.type, H1_EVENT_RAW);
    CHECK_STR(event.data, "\x81\x01");
    CHECK(h1_next(&c, &input, &arena, &q, NULL, &event) == H1_MORE);
    arena_deinit(&arena);
}

TEST(a_formatted_request_reads_the_same)
{
    static const char *const inputs[] = {
        GET H "X-One: 1\r\nAccept: */*\r\n\r\n",
        "POST /a/b?c=d HTTP/1.1\r\nHost: h:80\r\nContent-Length: 12\r\n\r\n",
        "POST /? HTTP/1.1\r\nHost: h:80\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
        GET H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n" H "\r\n",
    };

    for (size_t i = 0; i < N_ELEMENTS(inputs); i++) {
        struct h1_play play = {0};
        struct arena arena;
        struct h1 c;
        struct http_request q;
        struct h1_event event;
        struct str input = str_of(inputs[i]);
        struct buf out = {0}, first;

        arena_init(&arena, 4096);
        h1_init(&c, &(struct h1_options){0});
        CHECK(h1_next(&c, &input, &arena, &q, NULL, &event) == H1_EVENT);
        h1_format_request(&out, &q);
        h1_play_run(&play, str_of(inputs[i]), strlen(inputs[i]));
        first = play.text;
        play.text = (struct buf){0};
        h1_play_run(&play, buf_str(&out), out.len);
        CHECK_MSG(str_eq(buf_str(&first), buf_str(&play.text)), "%.*s\n%.*s",
                  STR_ARG(buf_str(&first)), STR_ARG(buf_str(&play.text)));
        buf_deinit(&first);
        buf_deinit(&play.text);
        buf_deinit(&out);
        arena_deinit(&arena);
    }
}

TEST(a_hostile_value_cannot_end_its_line)
{
    struct arena arena;
    struct buf out = {0};
    struct http_request q = {
        .method_text = STR("GET"), .path = STR("/"), .authority = STR("h"), .host = STR("h")};

    arena_init(&arena, 4096);
    http_headers_init(&q.headers, &arena);
    http_headers_add(&q.headers, STR("x-tenant"), STR("a\r\nx-admin: 1\0b"));
    h1_format_request(&out, &q);
    CHECK_STR(buf_str(&out), "GET / HTTP/1.1\r\nhost: h\r\nx-tenant: a  x-admin: 1 b\r\n\r\n");
    buf_deinit(&out);
    arena_deinit(&arena);
}
