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

TEST(error_is_written_in_the_shape_of_each_api)
{
    static const struct error_shape full = {.status = 400,
                                            .message = STR("A \"field\" is missing."),
                                            .param = STR("inputs"),
                                            .code = STR("missing")};
    static const struct error_shape bare = {.status = 429, .message = STR("slow")};
    static const struct {
        const struct error_shape *e;
        enum ai_dialect dialect;
        const char *expected;
    } cases[] = {
        {&full, AI_DIALECT_KSERVE_V1,
         "{\"error\":\"A \\\"field\\\" is missing.\",\"code\":\"missing\"}"},
        {&full, AI_DIALECT_KSERVE_V2,
         "{\"error\":\"A \\\"field\\\" is missing.\",\"code\":\"missing\"}"},
        {&bare, AI_DIALECT_KSERVE_V1, "{\"error\":\"slow\"}"},
        {&bare, AI_DIALECT_KSERVE_V2, "{\"error\":\"slow\"}"},
        {&full, AI_DIALECT_ANTHROPIC,
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"A "
         "\\\"field\\\" is missing.\"}}"},
        {&full, AI_DIALECT_OPENAI,
         "{\"error\":{\"message\":\"A \\\"field\\\" is missing.\",\"type\":"
         "\"invalid_request_error\",\"param\":\"inputs\",\"code\":\"missing\"}}"},
        {&bare, AI_DIALECT_COHERE,
         "{\"error\":{\"message\":\"slow\",\"type\":\"rate_limit_error\",\"param\":null,\"code\":"
         "\"rate_limit_exceeded\"}}"},
        {&bare, AI_DIALECT_NONE,
         "{\"error\":{\"message\":\"slow\",\"type\":\"rate_limit_error\",\"param\":null,\"code\":"
         "\"rate_limit_exceeded\"}}"},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct buf out = {0};

        error_shape_write(cases[i].e, cases[i].dialect, &out);
        CHECK_STR(buf_str(&out), cases[i].expected);
        buf_deinit(&out);
    }
}

TEST(frame_of_an_error_holds_the_document_of_its_api)
{
    static const struct error_shape e = {.message = STR("cut"), .type = STR("api_error")};
    struct buf out = {0};

    error_shape_write_frame(&e, AI_DIALECT_KSERVE_V2, &out);
    CHECK_STR(buf_str(&out), "data: {\"error\":\"cut\"}\n\n");
    buf_deinit(&out);
}
