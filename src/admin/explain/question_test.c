/* Requests as somebody writes them down: what is read of them, what is refused, and the head that
 * is made of them. */
#include "admin/explain/question.h"

#include "test/harness/test.h"

TEST(a_method_and_a_url_are_read)
{
    static const struct {
        const char *text, *method, *authority, *target;
        bool is_tls;
        uint16_t port;
    } rows[] = {
        {"POST http://h/a?b=c", "POST", "h", "/a?b=c", false, 80},
        {"http://h", "GET", "h", "/", false, 80},
        {" GET  HTTPS://h.test:8443/x ", "GET", "h.test:8443", "/x", true, 8443},
        {"get https://[::1]/", "get", "[::1]", "/", true, 443},
        {"GET http://h/a#b", "GET", "h", "/a#b", false, 80},
        {"GET http://h/a/../%zz", "GET", "h", "/a/../%zz", false, 80},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct question q = {0};
        struct buf why = {0};

        CHECK_MSG(question_read(&q, str_of(rows[i].text), &why) == 0, "%s: %.*s", rows[i].text,
                  STR_ARG(buf_str(&why)));
        CHECK_STR(q.method, rows[i].method);
        CHECK_STR(q.authority, rows[i].authority);
        CHECK_STR(q.target, rows[i].target);
        CHECK_INT(q.is_tls, rows[i].is_tls);
        CHECK_INT(q.port, rows[i].port);
        buf_deinit(&why);
    }
}

TEST(what_is_no_request_is_refused)
{
    static const char *const rows[] = {
        "",
        "GET",
        "GET h/x",
        "GET ftp://h/",
        "G@T http://h/",
        "GET http:/",
        "GET http:///",
        "GET http://h:0x/",
        "GET http://h?x",
        "GET http://u@h/",
        "GET http://h/ HTTP/1.1",
        "GET http://h/\r\nx: y",
        "GET http://h/\n",
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct question q = {0};
        struct buf why = {0};

        CHECK_MSG(question_read(&q, str_of(rows[i]), &why) == QUESTION_BAD && why.len > 0, "%s",
                  rows[i]);
        buf_deinit(&why);
    }
}

TEST(a_header_that_is_refused_is_not_repeated)
{
    static const char *const rows[] = {
        "nocolon",
        ": secret",
        "a b: secret",
        "x: sec\nret",
        "x: sec\rret",
        "Content-Length: 5",
        "transfer-encoding: chunked",
        "",
    };
    struct question q = {0};
    struct buf why = {0};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        buf_clear(&why);
        CHECK_MSG(question_add_header(&q, str_of(rows[i]), &why) == QUESTION_BAD, "%s", rows[i]);
        CHECK(why.len > 0 && str_find(buf_str(&why), STR("sec")) < 0);
    }
    CHECK_INT(question_add_header(&q, str_make("x: a\0b", 6), &why), QUESTION_BAD);
    CHECK_INT(q.n_headers, 0);
    for (int i = 0; i < QUESTION_HEADERS_MAX; i++)
        CHECK_INT(question_add_header(&q, STR("x: 1"), &why), 0);
    CHECK_INT(question_add_header(&q, STR("x: 1"), &why), QUESTION_BAD);
    buf_deinit(&why);
}

TEST(the_head_is_what_a_client_would_send)
{
    struct question q = {0};
    struct buf why = {0}, head = {0};
    struct arena a;

    arena_init(&a, 1024);
    CHECK_INT(question_read(&q, STR("POST http://h:8080/a?b#c"), &why), 0);
    CHECK_INT(question_add_header(&q, STR("X-One:  1 "), &why), 0);
    CHECK_INT(question_add_header(&q, STR("x-empty:"), &why), 0);
    CHECK_INT(question_add_token(&q, STR(" a.b.c\n"), &a, &why), 0);
    question_format(&q, &head);
    CHECK_STR(buf_str(&head), "POST /a?b HTTP/1.1\r\nHost: h:8080\r\nX-One: 1\r\nx-empty: "
                              "\r\nauthorization: Bearer a.b.c\r\n\r\n");
    CHECK_INT(question_add_header(&q, STR("host: other"), &why), 0);
    q.has_body = true;
    q.body = STR("abc");
    buf_clear(&head);
    question_format(&q, &head);
    CHECK(str_find(buf_str(&head), STR("Host: h")) < 0);
    CHECK(str_ends_with(buf_str(&head), STR("host: other\r\nContent-Length: 3\r\n\r\n")));
    CHECK_INT(question_add_token(&q, STR("a b"), &a, &why), QUESTION_BAD);
    CHECK_INT(question_add_token(&q, STR(""), &a, &why), QUESTION_BAD);
    buf_deinit(&why);
    buf_deinit(&head);
    arena_deinit(&a);
}
