/* Edits of request bodies: what is named changes, every other byte stays. */
#include "llm/body_edit.h"

#include "test/harness/test.h"

static struct request_scan scan;

static int edit(struct arena *a, const char *body, const struct body_edit *how, struct str *ret)
{
    struct buf out = {0};

    request_scan_init(&scan, AI_ENDPOINT_CHAT_COMPLETIONS);
    CHECK_INT(request_scan_feed(&scan, str_of(body)), 0);
    int r = request_scan_end(&scan);

    if (r != 0)
        return r;
    body_edit_apply(how, &scan, str_of(body), &out);
    char *copy = arena_bytes(a, out.len);

    memcpy(copy, out.ptr, out.len);
    *ret = str_make(copy, out.len);
    buf_deinit(&out);
    /* Still what the endpoint takes. */
    request_scan_init(&scan, AI_ENDPOINT_NONE);
    CHECK_MSG(request_scan_feed(&scan, *ret) == 0 && request_scan_end(&scan) == 0, "%.*s",
              STR_ARG(*ret));
    return 0;
}

#define M "\"model\":\"m\",\"messages\":[]"

TEST(the_model_and_the_wish_for_usage_are_edited_in_place)
{
    static const struct {
        const char *body, *model;
        bool asks_usage;
        const char *want;
    } cases[] = {
        {" { \"model\" : \"m\" ,\n\"messages\":[ ] } ", "n\"/\\", false,
         " { \"model\" : \"n\\\"/\\\\\" ,\n\"messages\":[ ] } "},
        {"{\"messages\":[{\"model\":\"m\"}],\"model\":\"\\u006d\"}", "other", false,
         "{\"messages\":[{\"model\":\"m\"}],\"model\":\"other\"}"},
        {"{" M "}", NULL, false, "{" M "}"},
        {"{" M "}", NULL, true, "{\"stream_options\":{\"include_usage\":true}," M "}"},
        {"{" M ",\"stream_options\":null}", NULL, true,
         "{" M ",\"stream_options\":{\"include_usage\":true}}"},
        {"{" M ",\"stream_options\": { } }", NULL, true,
         "{" M ",\"stream_options\": {\"include_usage\":true } }"},
        {"{" M ",\"stream_options\":{\"x\":1}}", NULL, true,
         "{" M ",\"stream_options\":{\"include_usage\":true,\"x\":1}}"},
        {"{" M ",\"stream_options\":{\"include_usage\":false,\"x\":1}}", NULL, true,
         "{" M ",\"stream_options\":{\"include_usage\":true,\"x\":1}}"},
        {"{" M ",\"stream_options\":{\"include_usage\":null}}", NULL, true,
         "{" M ",\"stream_options\":{\"include_usage\":true}}"},
        {"{" M ",\"stream_options\":{\"include_usage\":true}}", NULL, true,
         "{" M ",\"stream_options\":{\"include_usage\":true}}"},
        {"{\"stream_options\":{\"x\":1}," M "}", "n", true,
         "{\"stream_options\":{\"include_usage\":true,\"x\":1},\"model\":\"n\",\"messages\":[]}"},
        {"{" M ",\"stream_options\":{}}", "n", true,
         "{\"model\":\"n\",\"messages\":[],\"stream_options\":{\"include_usage\":true}}"},
    };
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct body_edit how = {.model = str_of(cases[i].model),
                                .asks_usage = cases[i].asks_usage};
        struct str got;

        CHECK_INT(edit(&a, cases[i].body, &how, &got), 0);
        CHECK_STR(got, cases[i].want);
    }
    arena_deinit(&a);
}

TEST(fields_are_set_and_removed)
{
    static const struct {
        const char *body;
        const char *set[2], *values[2], *remove[2];
        const char *want;
    } cases[] = {
        {"{" M "}", {"x"}, {"1"}, {0}, "{\"x\":1," M "}"},
        {"{" M "}", {"x", "y"}, {"1", "two"}, {0}, "{\"x\":1,\"y\":\"two\"," M "}"},
        {"{" M ",\"x\" : {\"x\":[2]} }", {"x"}, {"null"}, {0}, "{" M ",\"x\" : null }"},
        {"{\"x\":1," M ",\"x\":2,\"x\":3}", {"x"}, {"7"}, {0}, "{\"x\":7," M "}"},
        {"{\"\\u0078\":1," M "}", {"x"}, {"7"}, {0}, "{\"\\u0078\":7," M "}"},
        {"{" M ",\"a\":1,\"b\":2}", {0}, {0}, {"a"}, "{" M ",\"b\":2}"},
        {"{" M ",\"a\":1,\"b\":2}", {0}, {0}, {"b"}, "{" M ",\"a\":1}"},
        {"{" M ",\"a\":1,\"b\":2}", {0}, {0}, {"a", "b"}, "{" M "}"},
        {"{\"a\":\"}\\\"]\"," M "}", {0}, {0}, {"a"}, "{" M "}"},
        {"{ \"a\":1 , \"b\":2 , " M " }", {0}, {0}, {"a", "b"}, "{ " M " }"},
        {"{\"a\":1," M ",\"\\u0061\":[{}],\"c\":0}", {0}, {0}, {"a"}, "{" M ",\"c\":0}"},
        {"{" M "}", {0}, {0}, {"a"}, "{" M "}"},
        {"{" M "}", {"messages"}, {"[1]"}, {"model"}, "{\"messages\":[1]}"},
        {"{" M "}", {"x"}, {"[1]"}, {"model", "messages"}, "{\"x\":[1]}"},
        {"{" M "}", {0}, {0}, {"model", "messages"}, "{}"},
        {"{" M "}", {"x", "x"}, {"1", "2"}, {0}, "{\"x\":1," M "}"},
        {"{" M "}", {"x"}, {"1"}, {"x"}, "{\"x\":1," M "}"},
        {"{" M "}", {"a\"b"}, {"it's \"so\""}, {0}, "{\"a\\\"b\":\"it's \\\"so\\\"\"," M "}"},
        {"{" M ",\"n\":1}", {"n"}, {"2"}, {"messages"}, "{\"model\":\"m\",\"n\":2}"},
    };
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct body_field set[2];
        struct str remove[2];
        struct body_edit how = {.set = set, .remove = remove};
        struct str got;

        for (; how.n_set < 2 && cases[i].set[how.n_set]; how.n_set++)
            set[how.n_set] = body_field_make(&a, str_of(cases[i].set[how.n_set]),
                                             str_of(cases[i].values[how.n_set]));
        for (; how.n_remove < 2 && cases[i].remove[how.n_remove]; how.n_remove++)
            remove[how.n_remove] = str_of(cases[i].remove[how.n_remove]);
        CHECK_INT(edit(&a, cases[i].body, &how, &got), 0);
        CHECK_STR(got, cases[i].want);
    }
    arena_deinit(&a);
}

TEST(mutations_win_over_the_other_edits)
{
    struct arena a;
    struct str got;

    arena_init(&a, 4096);
    struct body_field set[] = {body_field_make(&a, STR("model"), STR("fixed")),
                               body_field_make(&a, STR("k"), STR("[true]"))};
    struct str remove[] = {STR("stream_options")};
    struct body_edit how = {.model = STR("n"),
                            .asks_usage = true,
                            .set = set,
                            .n_set = 2,
                            .remove = remove,
                            .n_remove = 1};

    CHECK_INT(edit(&a, "{\"stream_options\":{}," M "}", &how, &got), 0);
    CHECK_STR(got, "{\"k\":[true],\"model\":\"fixed\",\"messages\":[]}");
    CHECK_INT(edit(&a, "{" M "}", &how, &got), 0);
    CHECK_STR(got, "{\"k\":[true],\"model\":\"fixed\",\"messages\":[]}");
    how.set = set + 1;
    how.n_set = 1;
    how.n_remove = 0;
    CHECK_INT(edit(&a, "{" M ",\"k\":{} , \"stream_options\":{\"x\":0}}", &how, &got), 0);
    CHECK_STR(got, "{\"model\":\"n\",\"messages\":[],\"k\":[true] , "
                   "\"stream_options\":{\"include_usage\":true,\"x\":0}}");
    CHECK_INT(edit(&a, "{" M "}", &how, &got), 0);
    CHECK_STR(got, "{\"k\":[true],\"stream_options\":{\"include_usage\":true},"
                   "\"model\":\"n\",\"messages\":[]}");
    arena_deinit(&a);
}

TEST(a_value_is_json_or_text)
{
    static const struct {
        const char *value, *json;
    } cases[] = {{"1", "1"},         {"{\"a\":[]}", "{\"a\":[]}"}, {"true", "true"},
                 {"\"x\"", "\"x\""}, {"x", "\"x\""},               {"", "\"\""},
                 {"1 2", "\"1 2\""}, {"{", "\"{\""}};
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_STR(body_field_make(&a, STR("f"), str_of(cases[i].value)).value, cases[i].json);
    arena_deinit(&a);
}

TEST(a_prefix_takes_the_model_when_it_lies_inside)
{
    struct str body = STR("{\"model\":\"m\",\"messages\":[]}");
    struct buf out = {0};

    request_scan_init(&scan, AI_ENDPOINT_CHAT_COMPLETIONS);
    CHECK_INT(request_scan_feed(&scan, str_slice(body, 0, 11)), 0);
    CHECK_INT(body_edit_model_prefix(&scan, str_slice(body, 0, 11), STR("n"), &out),
              BODY_EDIT_NOT_HELD);
    CHECK_INT(request_scan_feed(&scan, str_slice(body, 11, 15)), 0);
    CHECK_INT(body_edit_model_prefix(&scan, str_slice(body, 0, 15), STR("nn"), &out), 0);
    CHECK_STR(buf_str(&out), "{\"model\":\"nn\",\"m");
    buf_deinit(&out);
}
