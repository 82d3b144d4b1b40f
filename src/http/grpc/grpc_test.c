/* gRPC over HTTP: which requests are calls, deadlines, status codes and messages. */
#include "http/grpc/grpc_request.h"
#include "http/grpc/grpc_status.h"
#include "test/harness/test.h"

TEST(calls_of_grpc_are_posts_with_its_content_type)
{
    static const struct {
        enum http_method method;
        const char *type; /* NULL: none */
        bool is_call;
    } rows[] = {
        {HTTP_METHOD_POST, "application/grpc", true},
        {HTTP_METHOD_POST, "application/grpc+proto", true},
        {HTTP_METHOD_POST, "Application/gRPC+json", true},
        {HTTP_METHOD_POST, "application/grpc;charset=utf-8", true},
        {HTTP_METHOD_POST, "application/grpc ; x=y", true},
        {HTTP_METHOD_GET, "application/grpc", false},
        {HTTP_METHOD_POST, "application/grpc-web", false},
        {HTTP_METHOD_POST, "application/grpc-web+proto", false},
        {HTTP_METHOD_POST, "application/grpcx", false},
        {HTTP_METHOD_POST, "application/json", false},
        {HTTP_METHOD_POST, "application/grp", false},
        {HTTP_METHOD_POST, "", false},
        {HTTP_METHOD_POST, NULL, false},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct http_request request = {.method = rows[i].method};
        struct arena a;

        arena_init(&a, 256);
        http_headers_init(&request.headers, &a);
        if (rows[i].type)
            http_headers_add_id(&request.headers, HEADER_CONTENT_TYPE, str_of(rows[i].type));
        CHECK_INT(grpc_request_is(&request), rows[i].is_call);
        arena_deinit(&a);
    }
}

TEST(messages_are_protocol_buffers_unless_another_format_is_named)
{
    static const char *const proto[] = {"application/grpc",        "application/grpc;x=+json",
                                        "application/grpc ; x=y",  "application/grpc+proto",
                                        "Application/gRPC+Proto",  "application/grpc+proto;x=y",
                                        "application/grpc+proto ;"};
    static const char *const other[] = {"application/grpc+json",   "application/grpc+proto3",
                                        "application/grpc+",       "application/grpc+prot",
                                        "application/grpc-web",    "application/proto",
                                        "application/grpc+proto+", ""};

    for (size_t i = 0; i < N_ELEMENTS(proto); i++)
        CHECK_MSG(grpc_content_type_is_proto(str_of(proto[i])), "%s", proto[i]);
    for (size_t i = 0; i < N_ELEMENTS(other); i++)
        CHECK_MSG(!grpc_content_type_is_proto(str_of(other[i])), "%s", other[i]);
}

TEST(deadlines_are_digits_and_a_unit)
{
    static const struct {
        const char *value;
        uint64_t us;
    } rows[] = {
        {"1H", UINT64_C(3600000000)},
        {"2M", 120000000},
        {"3S", 3000000},
        {"250m", 250000},
        {"7u", 7},
        {"1000n", 1},
        {"1n", 1}, /* the caller's time is not over yet */
        {"1001n", 2},
        {"0n", 0},
        {"00000001S", 1000000},
        {"99999999H", UINT64_C(359999996400000000)},
    };
    static const char *const malformed[] = {
        "",     "S",    "1",          "1s",    "1h",  "1 S", " 1S", "1S ", "-1S",   "+1S",
        "1.5S", "1e3S", "123456789S", "0x10S", "1SS", "1Sm", "m1",  "S1",  "1S,2S", "\xC2\xB5",
    };
    uint64_t us;

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        us = 12345;
        CHECK_INT(grpc_timeout_parse(str_of(rows[i].value), &us), 0);
        CHECK_INT(us, rows[i].us);
    }
    for (size_t i = 0; i < N_ELEMENTS(malformed); i++)
        CHECK_INT(grpc_timeout_parse(str_of(malformed[i]), &us), GRPC_TIMEOUT_MALFORMED);
}

TEST(http_statuses_mean_what_grpc_says)
{
    static const struct {
        uint16_t http;
        int grpc;
    } rows[] = {{400, 13}, {401, 16}, {403, 7}, {404, 12}, {429, 14}, {502, 14},
                {503, 14}, {504, 14}, {500, 2}, {408, 2},  {413, 2},  {200, 2}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_INT(grpc_status_of_http(rows[i].http), rows[i].grpc);
}

TEST(statuses_are_numbers_with_names)
{
    static const char *const malformed[] = {"",   "-1",         "x",
                                            "1 ", "4294967296", "99999999999999999999"};

    CHECK_INT(grpc_status_parse(STR("0")), GRPC_STATUS_OK);
    CHECK_INT(grpc_status_parse(STR("14")), GRPC_STATUS_UNAVAILABLE);
    CHECK_INT(grpc_status_parse(STR("99")), 99); /* a number that no one has named yet */
    for (size_t i = 0; i < N_ELEMENTS(malformed); i++)
        CHECK_INT(grpc_status_parse(str_of(malformed[i])), GRPC_STATUS_UNTOLD);
    CHECK_STR(grpc_status_camel(0), "OK");
    CHECK_STR(grpc_status_camel(1), "Canceled");
    CHECK_STR(grpc_status_camel(7), "PermissionDenied");
    CHECK_STR(grpc_status_camel(16), "Unauthenticated");
    CHECK_STR(grpc_status_snake(7), "PERMISSION_DENIED");
    CHECK_STR(grpc_status_camel(17), "");
    CHECK_STR(grpc_status_camel(-1), "");
    CHECK_STR(grpc_status_snake(99), "");
}

TEST(messages_are_one_line_of_ascii)
{
    static const struct {
        const char *text;
        const char *value;
    } rows[] = {
        {"", ""},
        {"No route matches this request.", "No route matches this request."},
        {"100%", "100%25"},
        {"a\r\nb\x7F", "a%0D%0Ab%7F"},
        {"\xC3\xA9~", "%C3%A9~"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf out = {0};

        grpc_message_format(&out, str_of(rows[i].text));
        CHECK_STR(buf_str(&out), rows[i].value);
        buf_deinit(&out);
    }
}

TEST(statuses_of_grpc_have_one_of_http)
{
    static const struct {
        int grpc;
        uint16_t http;
    } rows[] = {{0, 200},  {1, 499},  {4, 504},  {5, 404},  {7, 403},  {8, 429},
                {12, 501}, {13, 500}, {14, 503}, {16, 401}, {17, 500}, {-1, 500}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_INT(grpc_status_to_http(rows[i].grpc), rows[i].http);
}
