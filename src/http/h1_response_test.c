/* Response heads and where their content ends (RFC 9112 6.3). */
#include "http/h1_play.h"
#include "test/harness/test.h"

struct response_case {
    const char *input;
    const char *play;
    enum h1_error error;
    bool answers_head;
};

static void run_table(const struct response_case *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct response_case *t = &table[i];
        struct h1_play play = {
            .options.is_client = true,
            .is_eof = true,
            .answered = t->answers_head ? HTTP_METHOD_HEAD : HTTP_METHOD_GET,
        };
        struct str bytes = str_of(t->input);

        for (size_t cut = 0; cut <= bytes.len; cut++) {
            h1_play_run(&play, bytes, cut);
            CHECK_MSG(play.error == t->error, "cut %zu of \"%s\": %.*s", cut, t->input,
                      STR_ARG(buf_str(&play.text)));
            if (t->play)
                CHECK_MSG(str_eq(buf_str(&play.text), str_of(t->play)),
                          "cut %zu:\n  got  %.*s\n  want %s", cut, STR_ARG(buf_str(&play.text)),
                          t->play);
        }
        buf_deinit(&play.text);
    }
}

#define OK_  "HTTP/1.1 200 OK\r\n"
#define GOOD H1_ERROR_NONE
#define EOF_ " | END"

TEST(well_formed_responses_are_read)
{
    static const struct response_case table[] = {
        {OK_ "Content-Length: 2\r\nServer: x\r\n\r\nhi",
         "200 1.1 (OK) body=length:2 keep [server: x] | DATA hi | END" EOF_, GOOD, false},
        {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200 1.1 () body=length:0 keep | END" EOF_,
         GOOD, false},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 1.1 () body=length:0 keep | END" EOF_,
         GOOD, false},
        {OK_ "\r\nuntil close", "200 1.1 (OK) body=close | DATA until close | END", GOOD, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
         "200 1.0 (OK) body=length:1 | DATA x | END" EOF_, GOOD, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
         "200 1.0 (OK) body=length:1 keep | DATA x | END" EOF_, GOOD, false},
        {OK_ "Content-Length: 1\r\nConnection: close\r\n\r\nx",
         "200 1.1 (OK) body=length:1 | DATA x | END" EOF_, GOOD, false},
        {OK_ "Transfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
         "200 1.1 (OK) body=chunked keep | DATA hi | END" EOF_, GOOD, false},
        {OK_ "Content-Length: 9\r\n\r\n", "200 1.1 (OK) body=none keep | END" EOF_, GOOD, true},
        {OK_ "Transfer-Encoding: chunked\r\n\r\n", "200 1.1 (OK) body=none keep | END" EOF_, GOOD,
         true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
         "304 1.1 (Not Modified) body=none keep | END" EOF_, GOOD, false},
        {"HTTP/1.1 204 No Content\r\n\r\n", "204 1.1 (No Content) body=none keep | END" EOF_, GOOD,
         false},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
         "204 1.1 (No Content) body=none | END" EOF_, GOOD, false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_
         "Content-Length: 1\r\n\r\nx",
         "100 1.1 (Continue) body=none keep | END | 103 1.1 (Early Hints) body=none keep "
         "[link: x] | END | 200 1.1 (OK) body=length:1 keep | DATA x | END" EOF_,
         GOOD, false},
        {"HTTP/1.1 100 Continue\r\n\r\n" OK_ "Content-Length: 7\r\n\r\n",
         "100 1.1 (Continue) body=none keep | END | 200 1.1 (OK) body=none keep | END" EOF_, GOOD,
         true},
        {"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n" OK_ "Content-Length: 0\r\n\r\n",
         "100 1.1 (Continue) body=none keep | END | 200 1.1 (OK) body=length:0 keep | END" EOF_,
         GOOD, false},
        {"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n" OK_ "Content-Length: 0\r\n\r\n",
         "100 1.1 (Continue) body=none | END | 200 1.1 (OK) body=length:0 | END" EOF_, GOOD, false},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
         "HTTP/1.1 raw",
         "101 1.1 (Switching Protocols) body=none keep upgrade=websocket | RAW HTTP/1.1 raw" EOF_,
         GOOD, false},
        {OK_ "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
         "200 1.1 (OK) body=length:0 keep | END" EOF_, GOOD, false},
        {"HTTP/1.1 200 Fran\xc3\xa7"
         "ais\t!\r\nContent-Length: 0\r\n\r\n",
         "200 1.1 (Fran\xc3\xa7"
         "ais\t!) body=length:0 keep | END" EOF_,
         GOOD, false},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(doubtful_responses_are_refused)
{
    static const struct response_case table[] = {
        {"ICY 200 OK\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"http/1.1 200 OK\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"\r\nHTTP/1.1 200 OK\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.1  200 OK\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.1 20 OK\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.1 2000 OK\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.1 099 OK\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.1 600 OK\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.1 200 O\x01K\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.1 200 OK\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/2.0 200 OK\r\n\r\n", NULL, H1_ERROR_BAD_VERSION, false},
        {OK_ "A: b\n\r\n", NULL, H1_ERROR_BAD_HEADER, false},
        {OK_ "A: b\r\n c\r\n\r\n", NULL, H1_ERROR_BAD_HEADER, false},
        {OK_ "A : b\r\n\r\n", NULL, H1_ERROR_BAD_HEADER, false},
        {OK_ "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
         H1_ERROR_BAD_TRANSFER_ENCODING, false},
        {OK_ "Transfer-Encoding: gzip\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING, false},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
         H1_ERROR_BAD_TRANSFER_ENCODING, false},
        {"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
         H1_ERROR_BAD_TRANSFER_ENCODING, false},
        {OK_ "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH,
         false},
        {OK_ "Content-Length: 1x\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH, false},
        {OK_ "Content-Length:\t1\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH, false},
        {OK_ "Content-Length: 1 \t\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH, false},
        {OK_ "Transfer-Encoding: \tchunked\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING, false},
        {OK_ "Transfer-Encoding: chunked\t\r\n\r\n", NULL, H1_ERROR_BAD_TRANSFER_ENCODING, false},
        {"HTTP/1.0 100 Continue\r\n\r\n", NULL, H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", NULL,
         H1_ERROR_BAD_STATUS_LINE, false},
        {"HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n", NULL, H1_ERROR_BAD_CONTENT_LENGTH, false},
        {"HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\n\r\n", NULL,
         H1_ERROR_BAD_TRANSFER_ENCODING, false},
        {OK_ "Content-Length: 3\r\n\r\nab", NULL, H1_ERROR_TRUNCATED, false},
        {OK_ "Content-Le", NULL, H1_ERROR_TRUNCATED, false},
        {OK_ "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", NULL, H1_ERROR_TRUNCATED, false},
        {OK_ "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", NULL, H1_ERROR_TRUNCATED, false},
    };

    run_table(table, N_ELEMENTS(table));
}

/* What a backend sends besides is its own affair. */
TEST(a_framing_header_with_an_underscore_is_no_answer)
{
    static const struct {
        const char *input;
        enum h1_error error;
    } table[] = {
        {OK_ "X_Y: 1\r\nContent-Length: 0\r\n\r\n", GOOD},
        {OK_ "Content_Length: 1\r\nContent-Length: 0\r\n\r\n", H1_ERROR_UNDERSCORE_HEADER},
        {OK_ "Content-Length: 0\r\nTRANSFER_encoding: chunked\r\n\r\n", H1_ERROR_UNDERSCORE_HEADER},
    };

    for (size_t i = 0; i < N_ELEMENTS(table); i++) {
        struct h1_play play = {.options = {.is_client = true, .allows_underscore = true}};

        h1_play_run(&play, str_of(table[i].input), 0);
        CHECK_INT(play.error, table[i].error);
        buf_deinit(&play.text);
    }
}

static void check_format(struct http_response *r, bool keep_alive, const char *expected)
{
    struct buf out = {0};

    h1_format_response(&out, r, keep_alive);
    CHECK_STR(buf_str(&out), expected);
    buf_deinit(&out);
}

TEST(responses_are_formatted)
{
    struct arena arena;
    struct http_response r = {
        .status = 200, .minor_version = 1, .body = HTTP_BODY_LENGTH, .content_length = 12};

    arena_init(&arena, 4096);
    http_headers_init(&r.headers, &arena);
    http_headers_add_id(&r.headers, HEADER_SERVER, STR("s"));
    check_format(&r, true, "HTTP/1.1 200 OK\r\nserver: s\r\ncontent-length: 12\r\n\r\n");
    r.headers.n = 0;
    check_format(&r, false, "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n");
    r.minor_version = 0;
    check_format(&r, true,
                 "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: keep-alive\r\n\r\n");
    r.minor_version = 1;
    r.body = HTTP_BODY_CHUNKED;
    check_format(&r, true, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    r.body = HTTP_BODY_UNTIL_CLOSE;
    check_format(&r, true, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    r.body = HTTP_BODY_NONE;
    r.has_content_length = true;
    check_format(&r, true, "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n");
    r = (struct http_response){.status = 101, .upgrade = STR("websocket")};
    check_format(&r, true,
                 "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
                 "upgrade: websocket\r\n\r\n");
    r = (struct http_response){.status = 299, .minor_version = 1, .reason = STR("a\r\nb")};
    check_format(&r, true, "HTTP/1.1 299 a  b\r\n\r\n");
    r = (struct http_response){.status = 100};
    check_format(&r, false, "HTTP/1.1 100 Continue\r\n\r\n");
    arena_deinit(&arena);
}
