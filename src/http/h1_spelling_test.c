/* Spellings of header names: what is kept of a head, and put back into another. */
#include "http/h1_spelling.h"

#include "http/h1.h"
#include "test/harness/test.h"

static struct http_request read_request(const char *bytes, bool keeps_case, struct arena *arena)
{
    struct h1_options options = {.scheme = STR("http"), .keeps_case = keeps_case};
    struct http_request q;
    struct h1_event event;
    struct h1 c;
    struct str input = str_of(bytes);

    h1_init(&c, &options);
    CHECK_INT(h1_next(&c, &input, arena, &q, NULL, &event), H1_EVENT);
    return q;
}

static const char asked[] =
    "POST /a HTTP/1.1\r\nHOST: a.test\r\nX-Own: A\r\nx-LOW: b\r\nplain: C\r\n"
    "X-OWN: D\r\nConnection: X-Gone\r\nX-Gone: 1\r\nContent-Length: 0\r\n\r\n";

TEST(names_go_on_as_they_came_and_those_of_the_codec_too)
{
    struct arena arena;
    struct buf out = {0};

    arena_init(&arena, 4096);
    struct http_request q = read_request(asked, true, &arena);

    CHECK_STR(http_headers_value(&q.headers, STR("x-low")), "b"); /* lower-case in the list */
    http_headers_remove(&q.headers, STR("x-low"));
    http_headers_set(&q.headers, STR("x-low"), STR("x-own: e"));
    http_headers_add(&q.headers, STR("x-new"), STR("F"));
    h1_format_request(&out, &q);
    CHECK_STR(buf_str(&out),
              "POST /a HTTP/1.1\r\nHOST: a.test\r\nX-Own: A\r\nplain: C\r\nX-Own: D\r\n"
              "x-LOW: x-own: e\r\nx-new: F\r\nContent-Length: 0\r\n\r\n");
    buf_deinit(&out);
    arena_deinit(&arena);
}

TEST(without_the_option_there_is_no_spelling)
{
    struct arena arena;
    struct http_request q;

    arena_init(&arena, 4096);
    q = read_request(asked, false, &arena);
    CHECK(!q.headers.spelling);
    q = read_request("GET / HTTP/1.1\r\nhost: a.test\r\nx-own: A\r\n\r\n", true, &arena);
    CHECK(!q.headers.spelling);
    arena_deinit(&arena);
}

TEST(answers_and_trailers_keep_theirs)
{
    struct h1_options options = {.is_client = true, .keeps_case = true};
    struct http_response r;
    struct h1_event event;
    struct arena arena;
    struct buf out = {0};
    struct h1 c;
    struct str input = STR("HTTP/1.1 200 Fine Day\r\nTransfer-Encoding: chunked\r\nX-One: 1\r\n\r\n"
                           "0\r\nX-End: 1\r\nend: 2\r\n\r\n");

    arena_init(&arena, 4096);
    h1_init(&c, &options);
    CHECK_INT(h1_next(&c, &input, &arena, NULL, &r, &event), H1_EVENT);
    h1_format_response(&out, &r, false);
    CHECK_INT(h1_next(&c, &input, &arena, NULL, NULL, &event), H1_EVENT);
    CHECK_INT(event.type, H1_EVENT_TRAILERS);
    h1_format_last_chunk(&out, &event.trailers);
    CHECK_STR(buf_str(&out), "HTTP/1.1 200 Fine Day\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\n"
                             "connection: close\r\n\r\n0\r\nX-End: 1\r\nend: 2\r\n\r\n");
    buf_deinit(&out);
    arena_deinit(&arena);
}

static bool is_named(const void *arg, struct str name)
{
    return str_eq(name, str_of(arg));
}

TEST(a_name_may_lose_its_spelling)
{
    struct arena arena;
    struct buf out = {0};

    arena_init(&arena, 4096);
    struct http_request q = read_request(asked, true, &arena);

    q.headers.spelling = h1_spelling_without(q.headers.spelling, &arena, is_named, "x-own");
    q.headers.spelling = h1_spelling_copy(q.headers.spelling, &arena);
    h1_format_request(&out, &q);
    CHECK_STR(buf_str(&out),
              "POST /a HTTP/1.1\r\nHOST: a.test\r\nx-own: A\r\nx-LOW: b\r\nplain: C\r\n"
              "x-own: D\r\nContent-Length: 0\r\n\r\n");
    q = read_request("GET / HTTP/1.1\r\nhost: a.test\r\nX-Own: A\r\n\r\n", true, &arena);
    CHECK(!h1_spelling_without(q.headers.spelling, &arena, is_named, "x-own"));
    CHECK(!h1_spelling_copy(NULL, &arena));
    buf_deinit(&out);
    arena_deinit(&arena);
}
