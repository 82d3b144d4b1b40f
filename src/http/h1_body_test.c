/* Chunked content: sizes, extensions, trailers, and what is refused there (RFC 9112 7.1). */
#include "base/limits.h"
#include "http/h1_play.h"
#include "test/harness/test.h"

#define HEAD "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
#define READ "POST http://h(h)/ 1.1 body=chunked keep | "

struct body_case {
    const char *body;
    const char *play;
    enum h1_error error;
};

static void run_table(const struct body_case *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct body_case *t = &table[i];
        struct h1_play play = {.options.allows_underscore = false};
        struct buf bytes = {0}, want = {0};

        buf_printf(&bytes, HEAD "%s", t->body);
        buf_printf(&want, READ "%s", t->play ? t->play : "");
        for (size_t cut = 0; cut <= bytes.len; cut++) {
            h1_play_run(&play, buf_str(&bytes), cut);
            CHECK_MSG(play.error == t->error, "cut %zu of \"%s\": %.*s", cut, t->body,
                      STR_ARG(buf_str(&play.text)));
            if (t->play)
                CHECK_MSG(str_eq(buf_str(&play.text), buf_str(&want)),
                          "cut %zu:\n  got  %.*s\n  want %.*s", cut, STR_ARG(buf_str(&play.text)),
                          STR_ARG(buf_str(&want)));
        }
        buf_deinit(&play.text);
        buf_deinit(&bytes);
        buf_deinit(&want);
    }
}

TEST(chunked_content_is_read)
{
    static const struct body_case table[] = {
        {"0\r\n\r\n", "END", H1_ERROR_NONE},
        {"5\r\nhello\r\n0\r\n\r\n", "DATA hello | END", H1_ERROR_NONE},
        {"3\r\nhel\r\n2\r\nlo\r\n000\r\n\r\n", "DATA hello | END", H1_ERROR_NONE},
        {"A\r\n0123456789\r\n0\r\n\r\n", "DATA 0123456789 | END", H1_ERROR_NONE},
        {"000000000000000a\r\n0123456789\r\n0\r\n\r\n", "DATA 0123456789 | END", H1_ERROR_NONE},
        {"2;a;b=c;d=\"e;\\\"f\"\r\nhi\r\n0;x\r\n\r\n", "DATA hi | END", H1_ERROR_NONE},
        {"2\r\n\r\n\r\n0\r\n\r\n", "DATA \r\n | END", H1_ERROR_NONE},
        {"1\r\nx\r\n0\r\nX-Sum: 1\r\ny:\r\n\r\n", "DATA x | TRAILERS [x-sum: 1] [y: ] | END",
         H1_ERROR_NONE},
        {"0\r\nContent-Length: 1\r\nHost: x\r\nX-Ok: 1\r\nTransfer-Encoding: chunked\r\n"
         "Authorization: a\r\nCookie: c\r\nConnection: x-ok\r\nX-Forwarded-For: 1\r\n"
         "x-ai-eg-a: 1\r\nX-Model: m\r\nSet-Cookie: s\r\n\r\n",
         "TRAILERS [x-ok: 1] | END", H1_ERROR_NONE},
        {"0\r\nHost: x\r\n\r\n", "END", H1_ERROR_NONE},
        {"0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
         "END | GET http://h(h)/ 1.1 body=none keep | END", H1_ERROR_NONE},
        {"5\r\nhel", "DATA hel | MORE", H1_ERROR_NONE},
    };

    run_table(table, N_ELEMENTS(table));
}

TEST(malformed_chunks_are_refused)
{
    static const struct body_case table[] = {
        {"\r\n", NULL, H1_ERROR_BAD_CHUNK},
        {"x\r\n", NULL, H1_ERROR_BAD_CHUNK},
        {"0x5\r\nhello", NULL, H1_ERROR_BAD_CHUNK},
        {"-1\r\n", NULL, H1_ERROR_BAD_CHUNK},
        {"+1\r\n", NULL, H1_ERROR_BAD_CHUNK},
        {" 1\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1 \r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1\t\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1\rx", NULL, H1_ERROR_BAD_CHUNK},
        {"1\r\nx\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1\r\nxx\r\n", NULL, H1_ERROR_BAD_CHUNK},
        {"1\r\nx\rx", NULL, H1_ERROR_BAD_CHUNK},
        {"00000000000000001\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"8000000000000000\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"ffffffffffffffff\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1;\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1 ;a\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1; a\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1;a=\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1;a=b c\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1;a\nb\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1;a=\"\n\"\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"1;a=\"b\"c\r\nx", NULL, H1_ERROR_BAD_CHUNK},
        {"0\r\nx\r\n\r\n", NULL, H1_ERROR_BAD_TRAILER},
        {"0\r\nx: 1\r\n y\r\n\r\n", NULL, H1_ERROR_BAD_TRAILER},
        {"0\r\nx: 1\n\r\n", NULL, H1_ERROR_BAD_TRAILER},
        {"0\r\n\n", NULL, H1_ERROR_BAD_TRAILER},
        {"0\r\nx_tenant: 1\r\n\r\n", NULL, H1_ERROR_BAD_TRAILER},
        {"0\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL, H1_ERROR_BAD_TRAILER},
    };

    run_table(table, N_ELEMENTS(table));
}

static enum h1_error play_bytes(struct buf *bytes)
{
    struct h1_play play = {.options.allows_underscore = false};
    enum h1_error first;

    h1_play_run(&play, buf_str(bytes), bytes->len);
    first = play.error;
    h1_play_run(&play, buf_str(bytes), bytes->len - 10);
    CHECK_INT(play.error, first);
    buf_deinit(&play.text);
    buf_deinit(bytes);
    return first;
}

TEST(chunk_lines_and_trailers_are_bounded)
{
    struct buf b = {0};

    buf_printf(&b, HEAD "1;a=%0*d\r\nx\r\n0\r\n\r\n", LIMIT_CHUNK_LINE_BYTES - 6, 1);
    CHECK_INT(play_bytes(&b), H1_ERROR_NONE);
    buf_printf(&b, HEAD "1;a=%0*d\r\nx\r\n0\r\n\r\n", LIMIT_CHUNK_LINE_BYTES - 5, 1);
    CHECK_INT(play_bytes(&b), H1_ERROR_BAD_CHUNK);
    buf_printf(&b, HEAD "0\r\nx: %0*d\r\n\r\n", LIMIT_TRAILER_BYTES, 1);
    CHECK_INT(play_bytes(&b), H1_ERROR_BAD_TRAILER);
    buf_printf(&b, HEAD "0\r\n");
    for (unsigned i = 0; i <= LIMIT_HEADER_COUNT; i++)
        buf_printf(&b, "a: b\r\n");
    buf_printf(&b, "\r\n");
    CHECK_INT(play_bytes(&b), H1_ERROR_BAD_TRAILER);
}

TEST(chunks_are_formatted)
{
    struct arena arena;
    struct http_headers trailers;
    struct buf out = {0};

    arena_init(&arena, 1024);
    http_headers_init(&trailers, &arena);
    http_headers_add(&trailers, STR("x-sum"), STR("1"));
    h1_format_chunk_size(&out, 1);
    buf_append(&out, "x\r\n", 3);
    h1_format_chunk_size(&out, 0xabcdef12345);
    h1_format_last_chunk(&out, NULL);
    h1_format_last_chunk(&out, &trailers);
    CHECK_STR(buf_str(&out), "1\r\nx\r\nabcdef12345\r\n0\r\n\r\n0\r\nx-sum: 1\r\n\r\n");
    buf_deinit(&out);
    arena_deinit(&arena);
}
