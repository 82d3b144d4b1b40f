/* Event streams in both directions. Every stream is played whole and cut at every byte: the output
 * must be the same. Expected frames stand one a line; JSON is compared as JSON. */
#include "llm/translate/translate_play.h"

struct stream_case {
    const char *name;
    bool is_chat, wants_usage;
    int feed, end; /* results */
    const char *input;
    const char *expected; /* "event: name" or JSON or a bare word, a line each */
};

#define EVENT(name, json) "event: " name "\ndata: " json "\n\n"
#define DATA(json)        "data: " json "\n\n"

#define START                                                                                      \
    EVENT("message_start",                                                                         \
          "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","        \
          "\"role\":\"assistant\",\"content\":[],\"model\":\"claude-x\",\"stop_reason\":null,"     \
          "\"stop_sequence\":null,\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":4,"   \
          "\"output_tokens\":1}}}")
#define CLAUDE_DELTA(text)                                                                         \
    DATA("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","       \
         "\"text\": \"" text "\"}}")
#define STOP EVENT("message_stop", "{\"type\":\"message_stop\"}")
#define CHUNK_TOP                                                                                  \
    "{\"id\":\"msg_1\",\"object\":\"chat.completion.chunk\",\"created\":1800000000,"               \
    "\"model\":\"claude-x\","
#define CHUNK(delta, finish)                                                                       \
    CHUNK_TOP "\"choices\":[{\"index\":0,\"delta\":" delta                                         \
              ",\"logprobs\":null,\"finish_reason\":" finish "}]}\n"
#define CHUNK_NULL(delta, finish)                                                                  \
    CHUNK_TOP "\"choices\":[{\"index\":0,\"delta\":" delta                                         \
              ",\"logprobs\":null,\"finish_reason\":" finish "}],\"usage\":null}\n"
#define FIRST CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")

/* Of an OpenAI upstream. */
#define GPT(delta, finish)                                                                         \
    DATA("{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-x\","  \
         "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish                 \
         "}],\"usage\":null}")
#define GPT_USAGE                                                                                  \
    DATA("{\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":29,\"completion_tokens\":15," \
         "\"prompt_tokens_details\":{\"cached_tokens\":4}}}")
#define CLAUDE_START                                                                               \
    "event: message_start\n"                                                                       \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"c1\",\"type\":\"message\",\"role\":"        \
    "\"assistant\",\"model\":\"gpt-x\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":"     \
    "null,\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"                        \
    "\"cache_read_input_tokens\":0,\"output_tokens\":0}}}\n"
#define CLAUDE(name, members) "event: " name "\n{\"type\":\"" name "\"" members "}\n"
#define CLAUDE_TEXT(index, text)                                                                   \
    CLAUDE("content_block_delta",                                                                  \
           ",\"index\":" index ",\"delta\":{\"type\":\"text_delta\",\"text\":\"" text "\"}")
#define CLAUDE_JSON(index, text)                                                                   \
    CLAUDE("content_block_delta",                                                                  \
           ",\"index\":" index                                                                     \
           ",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"" text "\"}")
#define CLAUDE_OPEN_TEXT(index)                                                                    \
    CLAUDE("content_block_start",                                                                  \
           ",\"index\":" index ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}")
#define CLAUDE_OPEN_TOOL(index, id, name)                                                          \
    CLAUDE("content_block_start",                                                                  \
           ",\"index\":" index ",\"content_block\":{\"type\":\"tool_use\",\"id\":\"" id            \
           "\",\"name\":\"" name "\",\"input\":{}}")
#define CLAUDE_CLOSE(index) CLAUDE("content_block_stop", ",\"index\":" index)
#define CLAUDE_END(reason, input, cached, output)                                                  \
    CLAUDE("message_delta",                                                                        \
           ",\"delta\":{\"stop_reason\":\"" reason                                                 \
           "\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":" input                         \
           ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":" cached                \
           ",\"output_tokens\":" output "}")                                                       \
    CLAUDE("message_stop", "")

#define MALFORMED "The upstream's answer is malformed or incomplete."
#define CHAT_BROKEN                                                                                \
    "{\"error\":{\"message\":\"" MALFORMED "\",\"type\":\"api_error\",\"param\":null,\"code\":"    \
    "null}}\n"
#define CLAUDE_BROKEN                                                                              \
    "event: error\n{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":"             \
    "\"" MALFORMED "\"}}\n"

static const struct stream_case cases[] = {
    {"text with pings and usage", true, true, 0, 0,
     START EVENT("content_block_start", "{\"type\":\"content_block_start\",\"index\":0,"
                                        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}")
         EVENT("ping", "{\"type\":\"ping\"}")
             EVENT("content_block_delta",
                   "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                   "\"text_delta\",\"text\":\"Hel\"}}")
                 EVENT("content_block_delta",
                       "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                       "\"text_delta\",\"text\":\"lo\\n\"}}")
                     EVENT("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}")
                         EVENT("message_delta",
                               "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
                               "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":"
                               "15}}") STOP,
     CHUNK_NULL("{\"role\":\"assistant\",\"content\":\"\"}", "null")
         CHUNK_NULL("{\"content\":\"Hel\"}", "null") CHUNK_NULL("{\"content\":\"lo\\n\"}", "null")
             CHUNK_NULL("{}", "\"stop\"") CHUNK_TOP
     "\"choices\":[],\"usage\":{\"prompt_tokens\":29,\"completion_tokens\":15,\"total_tokens\":44,"
     "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n[DONE]\n"},
    {"thinking, tools, a tool of the provider's own, and events after the end", true, false, 0, 0,
     START DATA("{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
                "\"thinking\",\"thinking\":\"\"}}")
         DATA("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
              "\"thinking_delta\",\"thinking\":\"hm\"}}")
             DATA("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                  "\"signature_delta\",\"signature\":\"x\"}}")
                 DATA("{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
                      "\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\",\"input\":{}}}")
                     DATA("{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":"
                          "\"input_json_delta\",\"partial_json\":\"{}\"}}")
                         DATA("{\"type\":\"content_block_start\",\"index\":2,\"content_block\":{"
                              "\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}}")
                             DATA("{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{"
                                  "\"type\":\"input_json_delta\",\"partial_json\":\"\"}}")
                                 DATA("{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{"
                                      "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\"}}")
                                     DATA("{\"type\":\"content_block_start\",\"index\":3,"
                                          "\"content_block\":{\"type\":\"tool_use\",\"id\":\"t2\","
                                          "\"name\":\"g\",\"input\":{\"b\":1}}}")
                                         DATA("{\"type\":\"message_delta\",\"delta\":{"
                                              "\"stop_reason\":\"tool_use\"}}")
                                             STOP DATA("{\"type\":\"error\",\"error\":{}}")
                                                 DATA("rubbish"),
     FIRST CHUNK("{\"reasoning_content\":\"hm\"}", "null") CHUNK(
         "{\"tool_calls\":[{\"index\":0,\"id\":\"t1\",\"type\":\"function\",\"function\":{"
         "\"name\":\"f\",\"arguments\":\"\"}}]}",
         "null")
         CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\"}}]}", "null")
             CHUNK("{\"tool_calls\":[{\"index\":1,\"id\":\"t2\",\"type\":\"function\","
                   "\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"b\\\":1}\"}}]}",
                   "null") CHUNK("{}", "\"tool_calls\"") "[DONE]\n"},
    {"an error within", true, false, TRANSLATE_FAILED, TRANSLATE_FAILED,
     START EVENT("error", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                          "\"message\":\"Overloaded\"}}") STOP,
     FIRST "{\"error\":{\"message\":\"Overloaded\",\"type\":\"overloaded_error\",\"param\":null,"
           "\"code\":null}}\n"},
    {"an error first", true, false, TRANSLATE_FAILED, TRANSLATE_FAILED,
     DATA("{\"type\":\"error\",\"error\":{\"type\":\"new_error\",\"message\":\"no\"}}"),
     "{\"error\":{\"message\":\"no\",\"type\":\"api_error\",\"param\":null,\"code\":null}}\n"},
    {"no end", true, false, 0, TRANSLATE_BAD_ANSWER,
     START DATA("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}"),
     FIRST CHAT_BROKEN},
    {"a last frame without its blank line", true, false, 0, 0,
     START "data: {\"type\":"
           "\"message_stop\"}",
     FIRST CHUNK("{}", "\"stop\"") "[DONE]\n"},
    {"nothing at all", true, false, 0, TRANSLATE_BAD_ANSWER, "", CHAT_BROKEN},
    {"no JSON", true, false, TRANSLATE_BAD_ANSWER, TRANSLATE_BAD_ANSWER, START DATA("{\"type\":"),
     FIRST CHAT_BROKEN},
    {"content before its message", true, false, TRANSLATE_BAD_ANSWER, TRANSLATE_BAD_ANSWER,
     DATA("{\"type\":\"ping\"}") STOP, CHAT_BROKEN},
    {"a second message", true, false, TRANSLATE_BAD_ANSWER, TRANSLATE_BAD_ANSWER, START START,
     FIRST CHAT_BROKEN},
    {"members of the wrong type", true, false, 0, 0,
     DATA("{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-x\","
          "\"usage\":[]}}") DATA("{\"type\":\"content_block_start\",\"content_block\":7}")
         DATA("{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":"
              "7}}") DATA("{\"type\":\"content_block_delta\"}")
             DATA("{\"type\":\"message_delta\",\"delta\":[],\"usage\":{\"output_tokens\":-1}}")
                 DATA("{\"type\":7}") DATA("{}") STOP,
     FIRST CHUNK("{}", "\"stop\"") "[DONE]\n"},

    {"text and usage", false, false, 0, 0,
     DATA("{\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[]}") GPT(
         "{\"role\":\"assistant\",\"content\":\"\"}", "null") GPT("{\"content\":\"Hel\"}", "null")
         GPT("{\"content\":\"lo\"}", "null") GPT("{}", "\"stop\"") GPT_USAGE DATA("[DONE]"),
     CLAUDE_START CLAUDE_OPEN_TEXT("0") CLAUDE_TEXT("0", "Hel") CLAUDE_TEXT("0", "lo")
         CLAUDE_CLOSE("0") CLAUDE_END("end_turn", "25", "4", "15")},
    {"text, then two tools, without usage or [DONE]", false, false, 0, 0,
     ": comment\r\n\r\ndata:\ndata: \n\n" GPT("{\"content\":\"I look\"}", "null")
         GPT("{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{"
             "\"name\":\"f\",\"arguments\":\"\"}}]}",
             "null")
             GPT("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\"}}]}", "null")
                 GPT("{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"arguments\":"
                     "\"\\\":1}\"}}]}",
                     "null") GPT("{\"tool_calls\":[{\"index\":1,\"function\":{\"name\":\"g\","
                                 "\"arguments\":\"{}\"}}]}",
                                 "null") GPT("{}", "\"tool_calls\""),
     CLAUDE_START CLAUDE_OPEN_TEXT("0") CLAUDE_TEXT("0", "I look") CLAUDE_CLOSE("0")
         CLAUDE_OPEN_TOOL("1", "c1", "f") CLAUDE_JSON("1", "{\\\"a") CLAUDE_JSON("1", "\\\":1}")
             CLAUDE_CLOSE("1") CLAUDE_OPEN_TOOL("2", "call_2", "g") CLAUDE_JSON("2", "{}")
                 CLAUDE_CLOSE("2") CLAUDE_END("tool_use", "0", "0", "0")},
    {"tools that all have index 0, and other choices", false, false, 0, 0,
     GPT("{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":"
         "\"{}\"}},{\"index\":0,\"id\":\"c2\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"
         "}",
         "\"length\"") DATA("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"},"
                            "\"finish_reason\":\"stop\"}]}") DATA("[DONE]") DATA("[DONE]"),
     CLAUDE_START CLAUDE_OPEN_TOOL("0", "c1", "f") CLAUDE_JSON("0", "{}") CLAUDE_CLOSE("0")
         CLAUDE_OPEN_TOOL("1", "c2", "f") CLAUDE_JSON("1", "{}") CLAUDE_CLOSE("1")
             CLAUDE_END("max_tokens", "0", "0", "0")},
    {"a call that was closed", false, false, TRANSLATE_BAD_ANSWER, TRANSLATE_BAD_ANSWER,
     GPT("{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\"}}]}", "null")
         GPT("{\"content\":\"x\"}", "null")
             GPT("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}", "null"),
     CLAUDE_START CLAUDE_OPEN_TOOL("0", "c1", "f") CLAUDE_CLOSE("0") CLAUDE_OPEN_TEXT("1")
         CLAUDE_TEXT("1", "x") CLAUDE_BROKEN},
    {"an error within, of OpenAI's kind", false, false, TRANSLATE_FAILED, TRANSLATE_FAILED,
     GPT("{\"content\":\"x\"}", "null") DATA(
         "{\"error\":{\"message\":\"slow down\",\"type\":\"tokens\",\"code\":\"rate_limit\"}}"),
     CLAUDE_START CLAUDE_OPEN_TEXT("0") CLAUDE_TEXT(
         "0",
         "x") "event: "
              "error\n{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":"
              "\"slow down\"}}\n"},
    {"no end, of OpenAI's kind", false, false, 0, TRANSLATE_BAD_ANSWER,
     GPT("{\"content\":\"x\"}", "null"),
     CLAUDE_START CLAUDE_OPEN_TEXT("0") CLAUDE_TEXT("0", "x") CLAUDE_BROKEN},
    {"[DONE] without a reason", false, false, 0, 0,
     GPT("{\"content\":\"x\"}", "null") DATA("[DONE]"),
     CLAUDE_START CLAUDE_OPEN_TEXT("0") CLAUDE_TEXT("0", "x") CLAUDE_CLOSE("0")
         CLAUDE_END("end_turn", "0", "0", "0")},
    {"[DONE] alone", false, false, TRANSLATE_BAD_ANSWER, TRANSLATE_BAD_ANSWER, DATA("[DONE]"),
     CLAUDE_BROKEN},
    {"a message of the wrong API", false, false, TRANSLATE_BAD_ANSWER, TRANSLATE_BAD_ANSWER, START,
     CLAUDE_BROKEN},
    {"frames of a shape, and others between them", false, false, 0, 0,
     GPT("{\"content\":\"a\"}", "null") GPT("{\"content\":\"b\"}", "null")
         GPT("{\"content\":\"c\\n\\\"\\/\"}", "null") GPT("{\"content\":\"\"}", "null")
             GPT("{\"content\":\"\\u00e9\"}", "null") GPT("{\"content\":\"\xc3\xa9\"}", "null")
                 GPT("{\"content\":\"d\",\"refusal\":\"r\"}", "null")
                     GPT("{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":"
                         "\"f\"}}]}",
                         "null") GPT("{\"content\":\"e\"}", "null")
                         GPT("{\"content\":\"f\"}", "null") GPT("{\"content\":\"g\"}", "\"stop\"")
                             DATA("[DONE]") GPT("{\"content\":\"h\"}", "null"),
     CLAUDE_START CLAUDE_OPEN_TEXT("0") CLAUDE_TEXT("0", "a") CLAUDE_TEXT("0", "b")
         CLAUDE_TEXT("0", "c\\n\\\"/") CLAUDE_TEXT("0", "\\u00e9") CLAUDE_TEXT("0", "\\u00e9")
             CLAUDE_TEXT("0", "d") CLAUDE_TEXT("0", "r") CLAUDE_CLOSE("0")
                 CLAUDE_OPEN_TOOL("1", "c1", "f") CLAUDE_CLOSE("1") CLAUDE_OPEN_TEXT("2")
                     CLAUDE_TEXT("2", "e") CLAUDE_TEXT("2", "f") CLAUDE_TEXT("2", "g")
                         CLAUDE_CLOSE("2") CLAUDE_END("end_turn", "0", "0", "0")},
    {"frames of a shape that are no longer JSON", true, false, TRANSLATE_BAD_ANSWER,
     TRANSLATE_BAD_ANSWER,
     START CLAUDE_DELTA("a") CLAUDE_DELTA("b\\\"") CLAUDE_DELTA("c") CLAUDE_DELTA("\xff"),
     FIRST CHUNK("{\"content\":\"a\"}", "null") CHUNK("{\"content\":\"b\\\"\"}", "null")
         CHUNK("{\"content\":\"c\"}", "null") CHAT_BROKEN},
    {"members of the wrong type, of OpenAI's kind", false, false, 0, 0,
     DATA("{\"id\":\"c1\",\"model\":\"gpt-x\",\"choices\":[7,{\"delta\":7},{\"delta\":{"
          "\"content\":7,\"tool_calls\":7}},{\"finish_reason\":7},{\"index\":-1}],\"usage\":7}")
         DATA("[DONE]"),
     CLAUDE_START CLAUDE_END("end_turn", "0", "0", "0")},
};

/* Results of feeding in two pieces (at 0: in one), and of the end. */
static void play(const struct stream_case *c, size_t cut, struct buf *out, int ret[2])
{
    struct str input = str_of(c->input);
    struct translate t;

    translate_init(&t, play_translator(c->is_chat), PLAY_NOW_S);
    t.wants_usage = c->wants_usage;
    ret[0] = translate_feed(&t, str_slice(input, 0, cut), out);
    ret[0] = translate_feed(&t, str_slice(input, cut, input.len), out);
    ret[1] = translate_end(&t, out);
    translate_deinit(&t);
}

static void play_bytes(const struct stream_case *c, struct buf *out)
{
    struct str input = str_of(c->input);
    struct translate t;
    int r = 0;

    translate_init(&t, play_translator(c->is_chat), PLAY_NOW_S);
    t.wants_usage = c->wants_usage;
    for (size_t i = 0; i < input.len; i++)
        r = translate_feed(&t, str_slice(input, i, i + 1), out);
    CHECK_INT(r, c->feed);
    r = translate_end(&t, out);
    CHECK_INT(r, c->end);
    translate_deinit(&t);
}

/* Cuts the next line off: "event: x", or what stands behind "data: ". Blank lines are skipped. */
static bool next_line(struct str *rest, struct str *ret)
{
    while (str_split(rest, '\n', ret)) {
        if (str_starts_with(*ret, STR("data: ")))
            *ret = str_slice(*ret, 6, ret->len);
        if (ret->len > 0)
            return true;
    }
    return false;
}

static void check_frames(const struct stream_case *c, struct str out)
{
    struct str wanted = str_of(c->expected);
    struct str have;
    struct str want;
    char text[4096];

    while (next_line(&wanted, &want)) {
        CHECK_MSG(next_line(&out, &have), "%s: %.*s is missing", c->name, STR_ARG(want));
        if (want.ptr[0] != '{') {
            CHECK_MSG(str_eq(have, want), "%s: %.*s instead of %.*s", c->name, STR_ARG(have),
                      STR_ARG(want));
            continue;
        }
        CHECK(want.len < sizeof text);
        memcpy(text, want.ptr, want.len);
        text[want.len] = '\0';
        check_json(c->name, have, text);
    }
    CHECK_MSG(!next_line(&out, &have), "%s: %.*s was not expected", c->name, STR_ARG(have));
}

TEST(stream_becomes_the_clients_at_every_split)
{
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        const struct stream_case *c = &cases[i];
        struct buf whole = {0};
        struct buf bytes = {0};
        int r[2];

        play(c, 0, &whole, r);
        CHECK_MSG(r[0] == c->feed && r[1] == c->end, "%s: %d, %d", c->name, r[0], r[1]);
        check_frames(c, buf_str(&whole));
        for (size_t cut = 1; cut < strlen(c->input); cut++) {
            struct buf cut_out = {0};

            play(c, cut, &cut_out, r);
            CHECK_MSG(r[0] == c->feed && r[1] == c->end, "%s at %zu", c->name, cut);
            CHECK_MSG(str_eq(buf_str(&cut_out), buf_str(&whole)), "%s at %zu", c->name, cut);
            buf_deinit(&cut_out);
        }
        play_bytes(c, &bytes);
        CHECK_MSG(str_eq(buf_str(&bytes), buf_str(&whole)), "%s byte by byte", c->name);
        buf_deinit(&whole);
        buf_deinit(&bytes);
    }
}

TEST(frame_without_end_breaks_the_stream_within_its_bound)
{
    struct translate t;
    struct buf out = {0};
    static char piece[1 << 20];
    int r = 0;

    memset(piece, 'x', sizeof piece);
    translate_init(&t, play_translator(true), PLAY_NOW_S);
    CHECK_INT(translate_feed(&t, STR("data: "), &out), 0);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_INT(translate_feed(&t, str_make(piece, sizeof piece), &out), 0);
        CHECK(t.line.cap <= 16 << 20);
    }
    r = translate_feed(&t, STR("\n\n"), &out);
    CHECK_INT(r, TRANSLATE_BAD_ANSWER);
    CHECK(str_find(buf_str(&out), STR("api_error")) > 0);
    translate_deinit(&t);
    buf_deinit(&out);
}
