/* Errors of upstreams in the shape of the client's API. */
#include "llm/translate/translate_play.h"

TEST(error_becomes_the_clients_by_its_status)
{
    static const struct {
        bool is_chat;
        unsigned status;
        const char *body, *expected;
    } cases[] = {
        {true, 400,
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"bad\"},"
         "\"request_id\":\"r\"}",
         "{\"error\":{\"message\":\"bad\",\"type\":\"invalid_request_error\",\"param\":null,"
         "\"code\":null}}"},
        {true, 401, "{\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"who?\"}}",
         "{\"error\":{\"message\":\"who?\",\"type\":\"authentication_error\",\"param\":null,"
         "\"code\":\"invalid_api_key\"}}"},
        {true, 429, "{\"type\":\"error\",\"error\":{\"message\":\"slow\"}}",
         "{\"error\":{\"message\":\"slow\",\"type\":\"rate_limit_error\",\"param\":null,\"code\":"
         "\"rate_limit_exceeded\"}}"},
        {true, 529, "{\"type\":\"error\",\"error\":{\"message\":\"full\"}}",
         "{\"error\":{\"message\":\"full\",\"type\":\"overloaded_error\",\"param\":null,\"code\":"
         "null}}"},
        {true, 503, "<html>busy</html>",
         "{\"error\":{\"message\":\"The upstream failed with status 503 and no message.\","
         "\"type\":\"api_error\",\"param\":null,\"code\":null}}"},
        {true, 502, " no healthy upstream\n",
         "{\"error\":{\"message\":\"no healthy upstream\",\"type\":\"api_error\",\"param\":null,"
         "\"code\":null}}"},
        {false, 404,
         "{\"error\":{\"message\":\"no such model\",\"type\":\"invalid_request_error\",\"param\":"
         "\"model\",\"code\":\"model_not_found\"}}",
         "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"no such "
         "model\"}}"},
        {false, 403, "{\"error\":\"no\"}",
         "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":\"no\"}}"},
        {false, 413, "{\"message\":\"large\"}",
         "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":\"large\"}}"},
        {false, 422, "{\"error\":{\"message\":\"odd\"}}",
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"odd\"}}"},
        {false, 500, "",
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"The upstream failed "
         "with status 500 and no message.\"}}"},
        {false, 500, "a\x01z",
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"The upstream failed "
         "with status 500 and no message.\"}}"},
        {false, 500, "caf\xe9",
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"caf\\ufffd\"}}"},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct translate t;
        struct buf out = {0};

        translate_init(&t, play_translator(cases[i].is_chat), PLAY_NOW_S);
        translate_error(&t, cases[i].status, str_of(cases[i].body), &out);
        check_json(cases[i].body, buf_str(&out), cases[i].expected);
        translate_deinit(&t);
        buf_deinit(&out);
    }
}

TEST(long_message_of_an_error_is_cut)
{
    struct buf body = {0};
    struct buf room = {0};
    struct error_shape e;

    buf_append_str(&body, STR("{\"error\":{\"message\":\""));
    for (unsigned i = 0; i < 100000; i++)
        buf_append_char(&body, 'x');
    buf_append_str(&body, STR("\",\"code\":\"c\",\"param\":\"p\"}}"));
    error_shape_read(400, buf_str(&body), &room, &e);
    CHECK_INT(e.message.len, 4096);
    CHECK_STR(e.code, "c");
    CHECK_STR(e.param, "p");
    buf_deinit(&body);
    buf_deinit(&room);
}

TEST(type_of_a_status_is_never_empty)
{
    CHECK_STR(error_shape_type(400), "invalid_request_error");
    CHECK_STR(error_shape_type(402), "billing_error");
    CHECK_STR(error_shape_type(409), "invalid_request_error");
    CHECK_STR(error_shape_type(504), "timeout_error");
    CHECK_STR(error_shape_type(599), "api_error");
    CHECK_STR(error_shape_type(0), "invalid_request_error");
}
