/* What request bodies say, endpoint by endpoint, and which are refused with which field's name. */
#include "llm/request_scan.h"

#include <stdio.h>

#include "test/harness/test.h"

static struct request_scan scan;

static int read_body(enum ai_endpoint endpoint, struct str body, size_t step)
{
    int r = 0;

    request_scan_init(&scan, endpoint);
    for (size_t at = 0; at < body.len && r == 0; at += step)
        r = request_scan_feed(&scan, str_slice(body, at, at + step));
    return request_scan_end(&scan);
}

/* At every width of spans alike. */
static int read_whole(enum ai_endpoint endpoint, struct str body)
{
    char param[64];
    int r = read_body(endpoint, body, 1);

    snprintf(param, sizeof param, "%.*s", STR_ARG(request_scan_param(&scan)));
    for (size_t step = 2; step < body.len && step < 80; step++) {
        CHECK_INT(read_body(endpoint, body, step), r);
        CHECK_STR(request_scan_param(&scan), param);
    }
    CHECK_INT(read_body(endpoint, body, body.len > 0 ? body.len : 1), r);
    CHECK_STR(request_scan_param(&scan), param);
    return r;
}

struct verdict_case {
    enum ai_endpoint endpoint;
    const char *body;
    int r;
    const char *param;
};

static void check_verdicts(const struct verdict_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = read_whole(cases[i].endpoint, str_of(cases[i].body));

        CHECK_MSG(r == cases[i].r, "%s: %d, expected %d", cases[i].body, r, cases[i].r);
        CHECK_STR(request_scan_param(&scan), cases[i].param);
    }
}

#define CHAT AI_ENDPOINT_CHAT_COMPLETIONS

TEST(chat_bodies_are_judged)
{
    static const struct verdict_case cases[] = {
        {CHAT, "{\"model\":\"m\",\"messages\":[]}", 0, ""},
        {CHAT, " {\"messages\":[{\"role\":\"user\"}],\"model\":\"org/m-1:2\"} ", 0, ""},
        {CHAT, "{\"messages\":[]}", REQUEST_MISSING_FIELD, "model"},
        {CHAT, "{\"model\":\"m\"}", REQUEST_MISSING_FIELD, "messages"},
        {CHAT, "{}", REQUEST_MISSING_FIELD, "model"},
        {CHAT, "{\"model\":1,\"messages\":[]}", REQUEST_WRONG_TYPE, "model"},
        {CHAT, "{\"model\":null,\"messages\":[]}", REQUEST_WRONG_TYPE, "model"},
        {CHAT, "{\"model\":[\"m\"],\"messages\":[]}", REQUEST_WRONG_TYPE, "model"},
        {CHAT, "{\"model\":\"\",\"messages\":[]}", REQUEST_BAD_MODEL, "model"},
        {CHAT, "{\"model\":\" m\",\"messages\":[]}", REQUEST_BAD_MODEL, "model"},
        {CHAT, "{\"model\":\"m \",\"messages\":[]}", REQUEST_BAD_MODEL, "model"},
        {CHAT, "{\"model\":\"a\\r\\nb\",\"messages\":[]}", REQUEST_BAD_MODEL, "model"},
        {CHAT, "{\"model\":\"a\\u0000\",\"messages\":[]}", REQUEST_BAD_MODEL, "model"},
        {CHAT, "{\"model\":\"\\ud800\",\"messages\":[]}", REQUEST_BAD_MODEL, "model"},
        {CHAT, "{\"model\":\"\xc3\xa9\",\"messages\":[]}", REQUEST_BAD_MODEL, "model"},
        {CHAT, "{\"model\":\"m\",\"messages\":\"hi\"}", REQUEST_WRONG_TYPE, "messages"},
        {CHAT, "{\"model\":\"m\",\"messages\":{}}", REQUEST_WRONG_TYPE, "messages"},
        {CHAT, "{\"model\":\"m\",\"messages\":null}", REQUEST_WRONG_TYPE, "messages"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"model\":\"n\"}", REQUEST_DUPLICATE_FIELD,
         "model"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"mod\\u0065l\":\"n\"}", REQUEST_ESCAPED_FIELD,
         "model"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"MODEL\":\"n\"}", REQUEST_ESCAPED_FIELD, "model"},
        {CHAT, "{\"Model\":\"m\",\"messages\":[]}", REQUEST_ESCAPED_FIELD, "model"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"N\":0,\"Stream\":1}", 0, ""},
        {CHAT,
         "{\"model\":\"m\",\"messages\":[],\"stream_options\":{\"include_usage\":true,"
         "\"include_usage\":false}}",
         REQUEST_DUPLICATE_FIELD, "stream_options.include_usage"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"stream\":\"true\"}", REQUEST_WRONG_TYPE,
         "stream"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"stream\":1}", REQUEST_WRONG_TYPE, "stream"},
        {CHAT,
         "{\"model\":\"m\",\"messages\":[],\"stream\":null,\"n\":null,\"max_tokens\":null,"
         "\"stream_options\":null}",
         0, ""},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"stream_options\":true}", REQUEST_WRONG_TYPE,
         "stream_options"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"stream_options\":{\"include_usage\":1}}",
         REQUEST_WRONG_TYPE, "stream_options.include_usage"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"max_tokens\":-1}", REQUEST_OUT_OF_RANGE,
         "max_tokens"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"max_tokens\":1.5}", REQUEST_OUT_OF_RANGE,
         "max_tokens"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"max_tokens\":1e999}", REQUEST_OUT_OF_RANGE,
         "max_tokens"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"max_tokens\":9223372036854775807}",
         REQUEST_OUT_OF_RANGE, "max_tokens"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"max_tokens\":\"16\"}", REQUEST_WRONG_TYPE,
         "max_tokens"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"n\":0}", REQUEST_OUT_OF_RANGE, "n"},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"instances\":5,\"input\":5}", 0, ""},
        {CHAT, "[{\"model\":\"m\",\"messages\":[]}]", REQUEST_NOT_OBJECT, ""},
        {CHAT, "\"model\"", REQUEST_NOT_OBJECT, ""},
        {CHAT, "null", REQUEST_NOT_OBJECT, ""},
        {CHAT, "12", REQUEST_NOT_OBJECT, ""},
        {CHAT, "", REQUEST_NOT_JSON, ""},
        {CHAT, "model=m", REQUEST_NOT_JSON, ""},
        {CHAT, "{\"model\":\"m\",\"messages\":[]", REQUEST_NOT_JSON, ""},
        {CHAT, "{\"model\":\"m\",\"messages\":[]}}", REQUEST_NOT_JSON, ""},
        {CHAT, "{\"model\":\"m\",\"messages\":[],}", REQUEST_NOT_JSON, ""},
        {CHAT, "{\"model\":\"m\",\"messages\":[\"\xff\"]}", REQUEST_BAD_UTF8, ""},
    };

    check_verdicts(cases, N_ELEMENTS(cases));
}

TEST(bodies_of_other_endpoints_are_judged)
{
    static const struct verdict_case cases[] = {
        {AI_ENDPOINT_COMPLETIONS, "{\"model\":\"m\",\"prompt\":\"p\"}", 0, ""},
        {AI_ENDPOINT_COMPLETIONS, "{\"model\":\"m\",\"prompt\":[1,2]}", 0, ""},
        {AI_ENDPOINT_COMPLETIONS, "{\"model\":\"m\",\"prompt\":null}", 0, ""},
        {AI_ENDPOINT_COMPLETIONS, "{\"model\":\"m\"}", REQUEST_MISSING_FIELD, "prompt"},
        {AI_ENDPOINT_COMPLETIONS, "{\"model\":\"m\",\"prompt\":7}", REQUEST_WRONG_TYPE, "prompt"},
        {AI_ENDPOINT_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"p\"}", 0, ""},
        {AI_ENDPOINT_EMBEDDINGS, "{\"model\":\"m\",\"input\":[\"p\"]}", 0, ""},
        {AI_ENDPOINT_EMBEDDINGS, "{\"model\":\"m\"}", REQUEST_MISSING_FIELD, "input"},
        {AI_ENDPOINT_EMBEDDINGS, "{\"model\":\"m\",\"input\":{}}", REQUEST_WRONG_TYPE, "input"},
        {AI_ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":\"p\"}", 0, ""},
        {AI_ENDPOINT_RESPONSES, "{\"model\":\"m\",\"prompt\":{\"id\":\"p\"}}", 0, ""},
        {AI_ENDPOINT_RESPONSES, "{\"model\":\"m\",\"previous_response_id\":\"r\"}", 0, ""},
        {AI_ENDPOINT_RESPONSES, "{\"input\":\"p\"}", REQUEST_MISSING_FIELD, "model"},
        {AI_ENDPOINT_RESPONSES, "{\"model\":\"m\",\"input\":1}", REQUEST_WRONG_TYPE, "input"},
        {AI_ENDPOINT_IMAGES, "{\"model\":\"m\",\"prompt\":\"p\",\"n\":2}", 0, ""},
        {AI_ENDPOINT_IMAGES, "{\"model\":\"m\"}", REQUEST_MISSING_FIELD, "prompt"},
        {AI_ENDPOINT_SPEECH, "{\"model\":\"m\",\"input\":\"p\",\"voice\":\"v\"}", 0, ""},
        {AI_ENDPOINT_SPEECH, "{\"model\":\"m\",\"input\":\"p\",\"voice\":{\"id\":\"v\"}}", 0, ""},
        {AI_ENDPOINT_SPEECH, "{\"model\":\"m\",\"input\":\"p\"}", REQUEST_MISSING_FIELD, "voice"},
        {AI_ENDPOINT_RERANK, "{\"model\":\"m\",\"query\":\"q\",\"documents\":[]}", 0, ""},
        {AI_ENDPOINT_COHERE_RERANK, "{\"model\":\"m\",\"query\":\"q\"}", REQUEST_MISSING_FIELD,
         "documents"},
        {AI_ENDPOINT_MESSAGES, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[]}", 0, ""},
        {AI_ENDPOINT_MESSAGES, "{\"model\":\"m\",\"messages\":[]}", REQUEST_MISSING_FIELD,
         "max_tokens"},
        {AI_ENDPOINT_ANTHROPIC_MESSAGES, "{\"model\":\"m\",\"max_tokens\":null,\"messages\":[]}",
         REQUEST_WRONG_TYPE, "max_tokens"},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":[[1,2],[3,4]]}", 0, ""},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"a\":[1]}}", 0, ""},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":5}", REQUEST_WRONG_TYPE, "instances"},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":[1],\"instances\":[1,2]}",
         REQUEST_DUPLICATE_FIELD, "instances"},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":[{\"shape\":[3,2]}]}", 0, ""},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":[{\"shape\":[-3,2]}]}", REQUEST_OUT_OF_RANGE,
         "inputs.shape"},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":[{\"shape\":[\"3\"]}]}", REQUEST_WRONG_TYPE,
         "inputs.shape"},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":[{\"shape\":[3]},{\"shape\":[-1]}]}",
         REQUEST_OUT_OF_RANGE, "inputs.shape"},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":[{\"shape\":[3,-1]},{\"shape\":[]}]}", 0, ""},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":{}}", REQUEST_WRONG_TYPE, "inputs"},
        {AI_ENDPOINT_KSERVE_V2_GENERATE,
         "{\"text_input\":\"x\",\"parameters\":{\"max_tokens\":-5}}", REQUEST_OUT_OF_RANGE,
         "parameters.max_tokens"},
    };

    check_verdicts(cases, N_ELEMENTS(cases));
}

TEST(bodies_say_what_is_metered)
{
    static const struct {
        enum ai_endpoint endpoint;
        const char *body;
        bool is_stream, has_usage;
        int64_t max_tokens, n_answers, n_rows;
    } cases[] = {
        {CHAT, "{\"model\":\"m\",\"messages\":[]}", false, false, -1, 1, 1},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"stream\":true,\"max_tokens\":16,\"n\":3}", true,
         false, 16, 3, 1},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"stream_options\":{\"include_usage\":true}}",
         false, true, -1, 1, 1},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"stream_options\":{\"include_usage\":false}}",
         false, false, -1, 1, 1},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"max_tokens\":1e3,\"max_completion_tokens\":9}",
         false, false, 1000, 1, 1},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"max_output_tokens\":7}", false, false, -1, 1, 1},
        {CHAT, "{\"model\":\"m\",\"messages\":[{\"stream\":true,\"max_tokens\":5}]}", false, false,
         -1, 1, 1},
        {CHAT, "{\"model\":\"m\",\"messages\":[],\"max_tokens\":0}", false, false, 0, 1, 1},
        {AI_ENDPOINT_RESPONSES, "{\"model\":\"m\",\"max_output_tokens\":7,\"stream\":true}", true,
         false, 7, 1, 1},
        {AI_ENDPOINT_EMBEDDINGS, "{\"model\":\"m\",\"input\":\"\",\"n\":4,\"stream\":true}", false,
         false, -1, 1, 1},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":[[1],[2],[3,[4]]]}", false, false, -1, 1,
         3},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":[]}", false, false, -1, 1, 1},
        {AI_ENDPOINT_KSERVE_V2_INFER,
         "{\"inputs\":[{\"shape\":[5,2],\"data\":[1]},{\"shape\":[7]}]}", false, false, -1, 1, 7},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":[{\"name\":\"a\"},{\"shape\":[7,90]}]}", false,
         false, -1, 1, 7},
        {AI_ENDPOINT_KSERVE_V2_INFER,
         "{\"inputs\":[{\"shape\":[]},{\"shape\":[300,2]},{\"shape\":[1]}]}", false, false, -1, 1,
         300},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":[[1],[2],[3]]}", false, false, -1, 1, 3},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"a\":[1,2]}}", false, false, -1, 1, 2},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":7}", false, false, -1, 1, 1},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"b64\":\"AAAA\"}}", false, false, -1, 1, 1},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":[1],\"inputs\":[1,2]}", false, false, -1, 1,
         2},
        {AI_ENDPOINT_KSERVE_V2_GENERATE,
         "{\"text_input\":\"x\",\"parameters\":{\"max_tokens\":50}}", false, false, 50, 1, 1},
        {AI_ENDPOINT_KSERVE_V2_GENERATE_STREAM, "{\"text_input\":\"x\",\"max_tokens\":51}", true,
         false, 51, 1, 1},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        CHECK_MSG(read_whole(cases[i].endpoint, str_of(cases[i].body)) == 0, "%s", cases[i].body);
        CHECK_MSG(request_scan_is_stream(&scan) == cases[i].is_stream, "%s", cases[i].body);
        CHECK_MSG(request_scan_has_include_usage(&scan) == cases[i].has_usage, "%s", cases[i].body);
        CHECK_INT(request_scan_max_tokens(&scan), cases[i].max_tokens);
        CHECK_INT(request_scan_n_answers(&scan), cases[i].n_answers);
        CHECK_INT(request_scan_n_rows(&scan), cases[i].n_rows);
    }
}

TEST(rows_are_counted_as_they_come)
{
    static const struct {
        enum ai_endpoint endpoint;
        const char *body;
        int64_t n_rows;
    } cases[] = {
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":", 1},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":[[1,2,3],{\"a\":[1,1]},", 2},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":[[1,2,3],[4,5,6],[7", 3},
        {AI_ENDPOINT_KSERVE_V1_EXPLAIN, "{\"instances\":[1,2],\"inputs\":[1,2,3", 3},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"a\":[1,2],\"b\":[", 2},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"a\":[1,2],\"b\":[[1],[2],[", 3},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"a\":[[1,2,3],[4,5,6", 2},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"other\":[1,2,3", 1},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":[{\"shape\":[70,2],\"data\":[1,2,", 70},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        request_scan_init(&scan, cases[i].endpoint);
        CHECK_MSG(request_scan_feed(&scan, str_of(cases[i].body)) == 0, "%s", cases[i].body);
        CHECK_MSG(request_scan_n_rows(&scan) == cases[i].n_rows, "%s", cases[i].body);
    }
}

static int64_t rows_of(struct str body, size_t split, int64_t *ret_before)
{
    request_scan_init(&scan, AI_ENDPOINT_KSERVE_V1_PREDICT);
    CHECK_INT(request_scan_feed(&scan, str_slice(body, 0, split)), 0);
    *ret_before = request_scan_n_rows(&scan);
    CHECK_INT(request_scan_feed(&scan, str_slice(body, split, body.len)), 0);
    CHECK_INT(request_scan_end(&scan), 0);
    return request_scan_n_rows(&scan);
}

TEST(columns_count_as_many_rows_as_the_longest_of_them_at_every_split)
{
    static char long_name[JSON_TEXT_BYTES + 64];
    static const struct {
        const char *body;
        int64_t n_rows;
    } cases[] = {
        {"{\"inputs\":{\"a\":[1,2,3],\"b\":[[4,0],[5,0],[6,0]]}}", 3},
        {" { \"inputs\" : { \"a\" : [ 1 , 2 ] , \"b\" : [ 1 , 2 , 3 , 4 ] , \"c\" : [ ] } } ", 4},
        {"{\"signature_name\":\"s\",\"inputs\":{\"a\":[\"x,y\",\"]\",null,true,{\"b\":[1,2,3,4,5,"
         "6]}],\"b\":7}}",
         5},
        {"{\"inputs\":{\"a\":5,\"b\":{\"c\":[1,2]},\"d\":\"[1,2]\"}}", 1},
        {"{\"inputs\":{\"shape\":[1,2,3],\"\":[1,2],\"\\u0061\\\"\":[1,2,3,4,5]}}", 5},
        {"{\"inputs\":{\"a\":[1],\"a\":[1,2]}}", 2},
        {"{\"inputs\":{}}", 1},
        {"{\"inputs\":[{\"name\":\"x\",\"shape\":[70,2],\"data\":[1,2,3]},5]}", 2},
        {"{\"inputs\":{\"a\":[1,2]},\"instances\":[1,2,3]}", 3},
        {"{\"other\":{\"a\":[1,2]},\"nested\":{\"inputs\":{\"a\":[1,2]}}}", 1},
        {long_name, 3},
    };

    memset(long_name, 'n', sizeof long_name);
    memcpy(long_name, "{\"inputs\":{\"", 12);
    memcpy(long_name + sizeof long_name - 13, "\":[1,2,3] }}", 13);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct str body = str_of(cases[i].body);
        int64_t last = 1;

        for (size_t split = 0; split <= body.len; split++) {
            int64_t before;

            CHECK_MSG(rows_of(body, split, &before) == cases[i].n_rows, "%s", cases[i].body);
            CHECK_MSG(before >= last && before <= cases[i].n_rows, "%s at %zu", cases[i].body,
                      split);
            last = before;
        }
        CHECK_INT(last, cases[i].n_rows);
        CHECK_INT(read_whole(AI_ENDPOINT_KSERVE_V1_PREDICT, body), 0);
        CHECK_INT(request_scan_n_rows(&scan), cases[i].n_rows);
    }
}

TEST(rows_are_all_known_when_a_column_has_ended)
{
    static const struct {
        enum ai_endpoint endpoint;
        const char *body;
        bool has_all;
    } cases[] = {
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"a\":[1,2],\"b\":[", true},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"a\":[1,2", false},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":{\"a\":[],\"b\":[", false},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"instances\":[[1],", false},
        {AI_ENDPOINT_KSERVE_V1_PREDICT, "{\"inputs\":[[1],", false},
        {AI_ENDPOINT_KSERVE_V2_INFER, "{\"inputs\":[{\"shape\":[70,2],\"data\":[", true},
        {CHAT, "{\"inputs\":{\"a\":[1,2],\"b\":[", false},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        request_scan_init(&scan, cases[i].endpoint);
        CHECK_MSG(request_scan_feed(&scan, str_of(cases[i].body)) == 0, "%s", cases[i].body);
        CHECK_MSG(request_scan_has_all_rows(&scan) == cases[i].has_all, "%s", cases[i].body);
    }
}

TEST(the_model_is_known_as_soon_as_its_value_ends)
{
    struct str body = STR("{\"model\":\"a\\u002fb\",\"messages\":[],\"model\":1}");
    ssize_t end = str_find(body, STR(",\"messages"));

    request_scan_init(&scan, CHAT);
    for (size_t i = 0; i < (size_t)end; i++) {
        CHECK(!request_scan_has_model(&scan));
        CHECK_INT(request_scan_feed(&scan, str_slice(body, i, i + 1)), 0);
    }
    CHECK(request_scan_has_model(&scan));
    CHECK_STR(request_scan_model(&scan), "a/b");
    CHECK_INT(request_scan_value(&scan, REQUEST_FIELD_MODEL)->begin, 9);
    CHECK_INT(request_scan_value(&scan, REQUEST_FIELD_MODEL)->end, end);
    CHECK_INT(request_scan_feed(&scan, str_slice(body, (size_t)end, body.len)),
              REQUEST_DUPLICATE_FIELD);
    CHECK(!request_scan_has_model(&scan));
    CHECK_INT(request_scan_feed(&scan, STR(" ")), REQUEST_DUPLICATE_FIELD); /* for good */
}

TEST(nothing_behind_an_error_is_read_however_the_bytes_are_cut)
{
    struct str body = STR("{\"stream_options\":true,\"model\":\"m\",\"messages\":[]}");

    for (size_t step = 1; step <= body.len; step++) {
        CHECK_INT(read_body(CHAT, body, step), REQUEST_WRONG_TYPE);
        CHECK_STR(request_scan_model(&scan), "");
    }
}

TEST(model_names_are_bounded)
{
    char body[LIMIT_MODEL_NAME_BYTES + 64];

    for (int n = LIMIT_MODEL_NAME_BYTES; n <= LIMIT_MODEL_NAME_BYTES + 1; n++) {
        char name[LIMIT_MODEL_NAME_BYTES + 2];

        memset(name, 'm', sizeof name);
        int len = snprintf(body, sizeof body, "{\"messages\":[],\"model\":\"%.*s\"}", n, name);

        CHECK_INT(read_whole(CHAT, str_make(body, (size_t)len)),
                  n > LIMIT_MODEL_NAME_BYTES ? REQUEST_BAD_MODEL : 0);
    }
}

TEST(errors_are_explained)
{
    struct buf out = {0};

    CHECK_INT(read_whole(CHAT, STR("{\"model\":\"m\"}")), REQUEST_MISSING_FIELD);
    request_scan_explain(&scan, &out);
    CHECK_STR(buf_str(&out), "Missing required parameter: 'messages'.");
    CHECK_STR(str_of(request_error_code(scan.error)), "missing_required_parameter");
    buf_clear(&out);
    CHECK_INT(read_whole(CHAT, STR("{")), REQUEST_NOT_JSON);
    request_scan_explain(&scan, &out);
    CHECK_STR(buf_str(&out), "The request body is not valid JSON.");
    buf_deinit(&out);
}

TEST(a_tower_of_brackets_is_refused)
{
    static char body[100000];

    memset(body, '[', sizeof body);
    memcpy(body, "{\"a\":", 5);
    CHECK_INT(read_body(CHAT, str_make(body, sizeof body), sizeof body), REQUEST_TOO_DEEP);
}
