/* Two codecs talk to each other: requests and answers, windows, ends. */
#include "http/h2_play.h"

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
