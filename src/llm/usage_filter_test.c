/* The filter: what it takes out, what it leaves byte for byte, at every split of the stream. */
#include "llm/usage_filter.h"

#include "test/harness/test.h"

#define A         "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]"
#define B         "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"bcd\"}}]"
#define NULLED    ",\"usage\":null"
#define COUNTS    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}"
#define ONLY      "data: {\"id\":\"c\",\"choices\":[]," COUNTS "}\n\n"
#define DONE      "data: [DONE]\n\n"
#define LONG_TEXT "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":null,\"pad\":\""

static void run(struct str in, size_t cut, size_t step, enum answer_kind kind, struct buf *out)
{
    static struct answer_scan scan;
    struct usage_filter f;

    answer_scan_init(&scan, AI_ENDPOINT_CHAT_COMPLETIONS, kind);
    usage_filter_init(&f, &scan);
    buf_clear(out);
    usage_filter_feed(&f, str_slice(in, 0, cut), out);
    for (size_t at = cut; at < in.len; at += step)
        usage_filter_feed(&f, str_slice(in, at, at + step), out);
    usage_filter_end(&f, out);
    usage_filter_deinit(&f);
}

static void check(const char *input, const char *want, enum answer_kind kind)
{
    struct str in = str_of(input);
    struct buf out = {0};

    for (size_t cut = 0; cut <= in.len; cut++) {
        run(in, cut, in.len, kind, &out);
        CHECK_MSG(str_eq(buf_str(&out), str_of(want)), "cut %zu of %s:\n  got  %.*s\n  want %s",
                  cut, input, STR_ARG(buf_str(&out)), want);
    }
    for (size_t step = 1; step < 9; step++) {
        run(in, 0, step, kind, &out);
        CHECK_MSG(str_eq(buf_str(&out), str_of(want)), "steps of %zu of %s", step, input);
    }
    buf_deinit(&out);
}

TEST(asked_for_usage_is_taken_out_at_every_split)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {A "}\n\n" B "}\n\n" ONLY DONE, A "}\n\n" B "}\n\n" DONE},
        {A NULLED "}\n\n" B NULLED "}\n\n" A NULLED "}\n\n" ONLY DONE,
         A "}\n\n" B "}\n\n" A "}\n\n" DONE},
        {A NULLED ",\"x\":1}\n\n" B NULLED ",\"x\":1}\n\n", A ",\"x\":1}\n\n" B ",\"x\":1}\n\n"},
        {"data: {\"usage\":null,\"choices\":[]}\n\n", "data: {\"choices\":[]}\n\n"},
        {"data: {\"usage\":null}\n\n", "data: {}\n\n"},
        {"data: { \"usage\" : null , \"a\" : 1 }\n\n", "data: {  \"a\" : 1 }\n\n"},
        {"data: {\"a\": 1 , \"usage\" :\tnull }\n\n", "data: {\"a\": 1  }\n\n"},
        {": hi\r\n\r\ndata: {\"a\":1,\"usage\":null}\r\n\r\n" ONLY, ": hi\r\n\r\ndata: {\"a\":1}\r\n\r\n"},
        {A "}\n\ndata: {\"choices\":[]," COUNTS "}\r\n\r\n" DONE, A "}\n\n" DONE},
        {A "}\n\ndata: {\"choices\":[]," COUNTS "}", A "}\n\n"},
        {"\xef\xbb\xbf" A NULLED "}\n\n", "\xef\xbb\xbf" A "}\n\n"},
        {"event: message\nid: 1\n" A NULLED "}\n: x\n\n", "event: message\nid: 1\n" A "}\n: x\n\n"},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        check(cases[i].in, cases[i].out, ANSWER_EVENTS);
}

TEST(all_else_passes_byte_for_byte)
{
    static const char *const cases[] = {
        "",
        "\n\n: ping\n\n",
        A "," COUNTS "}\n\n" DONE,                                    /* usage beside content */
        "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",    /* no usage */
        "data: {\"choices\":[]," COUNTS ",\"error\":{\"a\":1}}\n\n",  /* an error */
        "data: {\"choices\":[]," COUNTS "\n\n",                       /* broken */
        "data: {\"choices\":[]," COUNTS "}}\n\n",
        "data: {" COUNTS "}\n\n",                                     /* no choices */
        "data: {\"x\":{\"usage\":null}}\n\n",                         /* not at the top */
        "data: {\"a\":1,\ndata: \"usage\":null}\n\n",                 /* on two lines */
        "data: {\"a\":1,\"us\\u0061ge\":null}\n\n",
        "data: {\"a\":1,\"usage\":null",
        "data: {\"a\":\"unfinished",
        "data: nonsense \"usage\":null\n\n",
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        check(cases[i], cases[i], ANSWER_EVENTS);
    check("{\"choices\":[],\"usage\":null}", "{\"choices\":[],\"usage\":null}", ANSWER_JSON);
}

/* At the bound the member goes, above it the frame is as it was, whole or in parts. */
TEST(frames_beyond_the_bound_pass_as_they_are)
{
    struct buf in = {0}, out = {0};

    for (size_t extra = 0; extra < 2; extra++) {
        buf_clear(&in);
        buf_append_str(&in, STR(LONG_TEXT));
        while (in.len < LIMIT_EVENT_HELD_BYTES - 4 + extra)
            buf_append_char(&in, 'x');
        buf_append_str(&in, STR("\"}\n\n"));
        for (size_t step = 1000; step <= 20000; step += 19000) {
            run(buf_str(&in), 0, step, ANSWER_EVENTS, &out);
            CHECK_INT(out.len, in.len - (extra ? 0 : sizeof NULLED - 1));
        }
    }
    buf_deinit(&in);
    buf_deinit(&out);
}

TEST(whole_frames_are_not_held_back)
{
    static struct answer_scan scan;
    struct usage_filter f;
    struct buf out = {0};

    answer_scan_init(&scan, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS);
    usage_filter_init(&f, &scan);
    usage_filter_feed(&f, STR(A "}\n\n" A), &out);
    CHECK_STR(buf_str(&out), A "}\n\n");
    usage_filter_feed(&f, STR("}\n"), &out);
    CHECK_STR(buf_str(&out), A "}\n\n");
    usage_filter_feed(&f, STR("\n"), &out);
    CHECK_STR(buf_str(&out), A "}\n\n" A "}\n\n");
    CHECK_INT(f.held.len, 0);
    usage_filter_deinit(&f);
    buf_deinit(&out);
}
