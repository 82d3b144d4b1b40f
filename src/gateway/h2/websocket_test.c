/* The example of RFC 6455 1.3, and what must not pass. */
#include "gateway/h2/websocket.h"

#include "test/harness/test.h"

static bool is_sound(struct arena *a, const char *accept, uint16_t status, const char *upgrade)
{
    struct http_request q = {.is_tunnel = true};
    struct http_response r = {.status = status, .upgrade = str_of(upgrade)};

    http_headers_init(&q.headers, a);
    http_headers_init(&r.headers, a);
    http_headers_add(&q.headers, STR("sec-websocket-key"), STR("dGhlIHNhbXBsZSBub25jZQ=="));
    if (accept)
        http_headers_add(&r.headers, STR("sec-websocket-accept"), str_of(accept));
    return websocket_is_sound(&q, &r);
}

TEST(only_an_answer_to_this_key_opens_the_tunnel)
{
    static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    struct arena a;

    arena_init(&a, 1024);
    CHECK(is_sound(&a, accept, 101, "websocket"));
    CHECK(is_sound(&a, accept, 101, "WebSocket"));
    CHECK(!is_sound(&a, accept, 101, "other"));
    CHECK(!is_sound(&a, "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", 101, "websocket"));
    CHECK(!is_sound(&a, NULL, 101, "websocket"));
    CHECK(!is_sound(&a, accept, 200, ""));
    CHECK(!is_sound(&a, accept, 204, ""));
    CHECK(is_sound(&a, NULL, 302, ""));
    CHECK(is_sound(&a, NULL, 403, ""));
    arena_deinit(&a);
}

TEST(each_request_has_a_key_of_its_own)
{
    struct http_request q = {.is_tunnel = true};
    struct arena a;
    struct str first;

    arena_init(&a, 1024);
    http_headers_init(&q.headers, &a);
    http_headers_add(&q.headers, STR("sec-websocket-key"), STR("of the client"));
    websocket_ask(&q);
    first = http_headers_value(&q.headers, STR("sec-websocket-key"));
    CHECK_INT(first.len, 24);
    websocket_ask(&q);
    CHECK_INT(q.headers.n, 1);
    CHECK(!str_eq(first, http_headers_value(&q.headers, STR("sec-websocket-key"))));
    arena_deinit(&a);
}
