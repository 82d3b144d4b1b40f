/* Requests in both directions: what is said otherwise, what is left out, what is refused and where.
 */
#include "base/limits.h"
#include "llm/translate/translate_play.h"

struct request_case {
    const char *name, *body, *expected;
    bool is_stream, wants_usage;
};

static const struct request_case chat_cases[] = {
    {"the least", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
     "{\"model\":\"served\",\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"Hi\"}]}]}",
     false, false},
    {"every setting",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"max_tokens\":10,"
     "\"max_completion_tokens\":20,\"temperature\":1.5,\"top_p\":0.5,\"stop\":\"END\",\"user\":"
     "\"u1\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"seed\":7,"
     "\"presence_penalty\":1.0,\"n\":1,\"logprobs\":false,\"modalities\":[\"text\"],"
     "\"logit_bias\":{},\"response_format\":{\"type\":\"text\"},\"tools\":null,\"store\":true,"
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}",
     "{\"model\":\"served\",\"max_tokens\":20,\"messages\":[{\"role\":\"user\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"Hi\"}]}],\"temperature\":1,\"top_p\":0.5,\"stop_sequences\":["
     "\"END\"],\"metadata\":{\"user_id\":\"u1\"},\"stream\":true,\"thinking\":{\"type\":"
     "\"enabled\",\"budget_tokens\":1024}}",
     true, true},
    {"system and developer messages, wherever they stand",
     "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"system\",\"content\":\"A\"},{"
     "\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"developer\",\"content\":[{\"type\":"
     "\"text\",\"text\":\"B\",\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\","
     "\"text\":\"\"}]},{\"role\":\"user\",\"content\":\"again\"}],\"stop\":[\"a\",\"b\"],"
     "\"temperature\":0.25}",
     "{\"model\":\"served\",\"max_tokens\":5,\"system\":[{\"type\":\"text\",\"text\":\"A\"},{"
     "\"type\":\"text\",\"text\":\"B\",\"cache_control\":{\"type\":\"ephemeral\"}}],\"messages\":"
     "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":\"text\","
     "\"text\":\"again\"}]}],\"stop_sequences\":[\"a\",\"b\"],\"temperature\":0.25}",
     false, false},
    {"images and documents",
     "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
     "\"text\",\"text\":\"Compare\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
     "\"data:image/png;base64,iVBORw0KGgo=\",\"detail\":\"low\"}},{\"type\":\"image_url\","
     "\"image_url\":{\"url\":\"https://example.com/cat.jpg\"}},{\"type\":\"file\",\"file\":{"
     "\"filename\":\"a.pdf\",\"file_data\":\"data:application/pdf;base64,JVBERi0=\"}}]}]}",
     "{\"model\":\"served\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"Compare\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\","
     "\"media_type\":\"image/png\",\"data\":\"iVBORw0KGgo=\"}},{\"type\":\"image\",\"source\":{"
     "\"type\":\"url\",\"url\":\"https://example.com/cat.jpg\"}},{\"type\":\"document\","
     "\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"JVBERi0=\"}}]"
     "}]}",
     false, false},
    {"tools, calls and results",
     "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"Weather in "
     "Bern and Rome?\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\","
     "\"type\":\"function\",\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":"
     "\\\"Bern\\\"}\"}},{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"weather\","
     "\"arguments\":\"\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"rain\"},{"
     "\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":[{\"type\":\"text\",\"text\":\"sun\"}]"
     "},{\"role\":\"user\",\"content\":\"Thanks\"}],\"tools\":[{\"type\":\"function\","
     "\"function\":{\"name\":\"weather\",\"description\":\"The weather\",\"strict\":true,"
     "\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}},{"
     "\"type\":\"function\",\"function\":{\"name\":\"now\"}}],\"tool_choice\":{\"type\":"
     "\"function\",\"function\":{\"name\":\"weather\"}},\"parallel_tool_calls\":false}",
     "{\"model\":\"served\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"Weather in Bern and Rome?\"}]},{\"role\":\"assistant\","
     "\"content\":[{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"weather\",\"input\":{\"city\":"
     "\"Bern\"}},{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"weather\",\"input\":{}}]},{"
     "\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":"
     "[{\"type\":\"text\",\"text\":\"rain\"}]},{\"type\":\"tool_result\",\"tool_use_id\":\"c2\","
     "\"content\":[{\"type\":\"text\",\"text\":\"sun\"}]},{\"type\":\"text\",\"text\":\"Thanks\"}]"
     "}],\"tools\":[{\"name\":\"weather\",\"description\":\"The weather\",\"strict\":true,"
     "\"input_schema\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}},{"
     "\"name\":\"now\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],"
     "\"tool_choice\":{\"type\":\"tool\",\"name\":\"weather\",\"disable_parallel_tool_use\":true}}",
     false, false},
    {"assistant's text, refusal and an empty turn",
     "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
     "\"role\":\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"b\"},{\"role\":"
     "\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"c\"},{\"type\":\"refusal\","
     "\"refusal\":\"d\"}],\"refusal\":null},{\"role\":\"assistant\",\"refusal\":\"e\"}]}",
     "{\"model\":\"served\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":"
     "\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"c\"},{\"type\":\"text\",\"text\":"
     "\"d\"},{\"type\":\"text\",\"text\":\"e\"}]}]}",
     false, false},
    {"a schema for the answer",
     "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"a\\u0000\"}]"
     ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"strict\":"
     "true,\"schema\":{\"type\":\"object\"}}},\"tool_choice\":\"required\",\"tools\":[{\"type\":"
     "\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}},"
     "\"cache_control\":{\"type\":\"ephemeral\"}}]}",
     "{\"model\":\"served\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"a\\u0000\"}]}],\"output_config\":{\"format\":{\"type\":"
     "\"json_schema\",\"schema\":{\"type\":\"object\"}}},\"tool_choice\":{\"type\":\"any\"},"
     "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"},\"cache_control\":{"
     "\"type\":\"ephemeral\"}}]}",
     false, false},
    {"an empty list of tools, of which there is nothing to choose",
     "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
     "\"tools\":[],\"tool_choice\":\"required\"}",
     "{\"model\":\"served\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"a\"}]}]}",
     false, false},
};

static const struct request_case messages_cases[] = {
    {"the least",
     "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
     "{\"model\":\"served\",\"max_completion_tokens\":9,\"messages\":[{\"role\":\"user\","
     "\"content\":\"Hi\"}]}",
     false, false},
    {"every setting",
     "{\"model\":\"m\",\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":\"A\","
     "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"B\"}],"
     "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}]},{"
     "\"role\":\"assistant\",\"content\":\"Well\"}],\"temperature\":0.5,\"top_p\":0.25,\"top_k\":5"
     ",\"stop_sequences\":[\"END\"],\"metadata\":{\"user_id\":\"u1\"},\"stream\":true,"
     "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},\"mcp_servers\":[]}",
     "{\"model\":\"served\",\"max_completion_tokens\":9,\"messages\":[{\"role\":\"system\","
     "\"content\":\"A\\nB\"},{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\","
     "\"content\":\"Well\"}],\"temperature\":0.5,\"top_p\":0.25,\"stop\":[\"END\"],\"user\":"
     "\"u1\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
     true, false},
    {"images and documents",
     "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"S\",\"messages\":[{\"role\":\"user\","
     "\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
     "\"image/png\",\"data\":\"iVBO\"}},{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":"
     "\"https://example.com/c.jpg\"}},{\"type\":\"document\",\"title\":\"t.pdf\",\"source\":{"
     "\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}},{\"type\":"
     "\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"plain\"}"
     "}]}]}",
     "{\"model\":\"served\",\"max_completion_tokens\":9,\"messages\":[{\"role\":\"system\","
     "\"content\":\"S\"},{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
     "\"url\":\"data:image/png;base64,iVBO\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":"
     "\"https://example.com/c.jpg\"}},{\"type\":\"file\",\"file\":{\"filename\":\"t.pdf\","
     "\"file_data\":\"data:application/pdf;base64,JVBE\"}},{\"type\":\"text\",\"text\":\"plain\"}]"
     "}]}",
     false, false},
    {"tools, calls and results; an image in a result moves behind it",
     "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"Look\"},{"
     "\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
     "\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"I look\"},{\"type\":\"tool_use\",\"id\":"
     "\"t1\",\"name\":\"look\",\"input\":{\"at\":\"x\\\"y\"}},{\"type\":\"tool_use\",\"id\":"
     "\"t2\",\"name\":\"look\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
     "\"tool_result\",\"tool_use_id\":\"t1\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{"
     "\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/gif\",\"data\":"
     "\"R0\"}},{\"type\":\"text\",\"text\":\"b\"}]},{\"type\":\"tool_result\",\"tool_use_id\":"
     "\"t2\",\"is_error\":true},{\"type\":\"text\",\"text\":\"go on\"}]}],\"tools\":[{\"name\":"
     "\"look\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"}},{\"type\":\"custom\","
     "\"name\":\"two\",\"input_schema\":{},\"strict\":true}],\"tool_choice\":{\"type\":\"any\","
     "\"disable_parallel_tool_use\":true}}",
     "{\"model\":\"served\",\"max_completion_tokens\":9,\"messages\":[{\"role\":\"user\","
     "\"content\":\"Look\"},{\"role\":\"assistant\",\"content\":\"I look\",\"tool_calls\":[{"
     "\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":"
     "\"{\\\"at\\\":\\\"x\\\\\\\"y\\\"}\"}},{\"id\":\"t2\",\"type\":\"function\",\"function\":{"
     "\"name\":\"look\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"t1\","
     "\"content\":\"a\\nb\"},{\"role\":\"tool\",\"tool_call_id\":\"t2\",\"content\":\"\"},{"
     "\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
     "\"data:image/gif;base64,R0\"}},{\"type\":\"text\",\"text\":\"go on\"}]}],\"tools\":[{"
     "\"type\":\"function\",\"function\":{\"name\":\"look\",\"description\":\"d\",\"parameters\":{"
     "\"type\":\"object\"}}},{\"type\":\"function\",\"function\":{\"name\":\"two\",\"parameters\":"
     "{},\"strict\":true}}],\"tool_choice\":\"required\",\"parallel_tool_calls\":false}",
     false, false},
    {"a call alone, a named tool, a schema for the answer",
     "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
     "\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\","
     "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
     "\"t\",\"content\":\"r\"}]}],\"tools\":[{\"name\":\"f\",\"input_schema\":{}}],"
     "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"},\"output_config\":{\"effort\":\"low\","
     "\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}}",
     "{\"model\":\"served\",\"max_completion_tokens\":9,\"messages\":[{\"role\":\"user\","
     "\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t\","
     "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":"
     "\"tool\",\"tool_call_id\":\"t\",\"content\":\"r\"}],\"tools\":[{\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"parameters\":{}}}],\"tool_choice\":{\"type\":\"function\","
     "\"function\":{\"name\":\"f\"}},\"response_format\":{\"type\":\"json_schema\","
     "\"json_schema\":{\"name\":\"answer\",\"strict\":true,\"schema\":{\"type\":\"object\"}}}}",
     false, false},
    {"an empty list of tools, of which there is nothing to choose",
     "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],"
     "\"tools\":[],\"tool_choice\":{\"type\":\"any\"}}",
     "{\"model\":\"served\",\"max_completion_tokens\":5,\"messages\":[{\"role\":\"user\","
     "\"content\":\"a\"}]}",
     false, false},
};

static void play_requests(bool is_chat, const struct request_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct arena arena;
        struct translate t;
        struct translate_fault fault = {0};
        struct buf out = {0};

        arena_init(&arena, 4096);
        translate_init(&t, play_translator(is_chat), PLAY_NOW_S);
        CHECK_MSG(
            translate_request(&t, str_of(cases[i].body), STR("served"), &arena, &out, &fault) == 0,
            "%s: %.*s (%.*s)", cases[i].name, STR_ARG(fault.sentence), STR_ARG(fault.param));
        check_json(cases[i].name, buf_str(&out), cases[i].expected);
        CHECK_MSG(t.is_stream == cases[i].is_stream, "%s", cases[i].name);
        CHECK_MSG(t.wants_usage == cases[i].wants_usage, "%s", cases[i].name);
        translate_deinit(&t);
        translate_deinit(&t);
        buf_deinit(&out);
        arena_deinit(&arena);
    }
}

TEST(chat_request_becomes_a_messages_request)
{
    play_requests(true, chat_cases, N_ELEMENTS(chat_cases));
}

TEST(messages_request_becomes_a_chat_request)
{
    play_requests(false, messages_cases, N_ELEMENTS(messages_cases));
}

TEST(model_is_the_bodys_own_without_an_override)
{
    struct arena arena;
    struct translate t;
    struct translate_fault fault = {0};
    struct buf out = {0};

    arena_init(&arena, 4096);
    translate_init(&t, play_translator(false), PLAY_NOW_S);
    CHECK_INT(translate_request(&t, str_of(messages_cases[0].body), STR(""), &arena, &out, &fault),
              0);
    CHECK(str_find(buf_str(&out), STR("\"model\":\"m\"")) >= 0);
    CHECK_STR(buf_str(&t.model), "m");
    translate_deinit(&t);
    buf_deinit(&out);
    arena_deinit(&arena);
}

/* Tables of refusals: the members of a body whose other members are good. */
struct fault_case {
    const char *members, *param;
};

#define CHAT_MESSAGE(content) "\"messages\":[{\"role\":\"user\",\"content\":" content "}]"

static const struct fault_case chat_faults[] = {
    {"\"messages\":1", "messages"},
    {"\"messages\":null", "messages"},
    {"\"a\":1", "messages"},
    {"\"messages\":[]", "messages"},
    {"\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]", "messages"},
    {"\"messages\":[1]", "messages[0]"},
    {"\"messages\":[{}]", "messages[0].role"},
    {"\"messages\":[{\"role\":\"function\",\"content\":\"x\"}]", "messages[0].role"},
    {"\"messages\":[{\"role\":\"user\"}]", "messages[0].content"},
    {CHAT_MESSAGE("{}"), "messages[0].content"},
    {CHAT_MESSAGE("[1]"), "messages[0].content[0]"},
    {CHAT_MESSAGE("[{\"type\":\"text\"}]"), "messages[0].content[0].text"},
    {CHAT_MESSAGE("[{\"type\":\"input_audio\"}]"), "messages[0].content[0].type"},
    {CHAT_MESSAGE("[{\"type\":\"image_url\",\"image_url\":\"x\"}]"),
     "messages[0].content[0].image_url"},
    {CHAT_MESSAGE("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png,x\"}}]"),
     "messages[0].content[0].image_url.url"},
    {CHAT_MESSAGE("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/bmp;base64,x\"}}]"),
     "messages[0].content[0].image_url.url"},
    {CHAT_MESSAGE("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"file:///etc/passwd\"}}]"),
     "messages[0].content[0].image_url.url"},
    {CHAT_MESSAGE("[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]"),
     "messages[0].content[0].file.file_id"},
    {CHAT_MESSAGE("[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":1}]"),
     "messages[0].content[0].cache_control"},
    {"\"messages\":[{\"role\":\"system\",\"content\":[{\"type\":\"image_url\"}]}]",
     "messages[0].content[0].type"},
    {"\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]", "messages[0].tool_call_id"},
    {"\"messages\":[{\"role\":\"assistant\",\"function_call\":{}}]", "messages[0].function_call"},
    {"\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}]}]",
     "messages[0].tool_calls[0].function.arguments"},
    {"\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}]",
     "messages[0].tool_calls[0].function.arguments"},
    {CHAT_MESSAGE("\"x\"") ",\"n\":2", "n"},
    {CHAT_MESSAGE("\"x\"") ",\"n\":\"1\"", "n"},
    {CHAT_MESSAGE("\"x\"") ",\"logprobs\":true", "logprobs"},
    {CHAT_MESSAGE("\"x\"") ",\"top_logprobs\":3", "top_logprobs"},
    {CHAT_MESSAGE("\"x\"") ",\"logit_bias\":{\"1\":2}", "logit_bias"},
    {CHAT_MESSAGE("\"x\"") ",\"modalities\":[\"text\",\"audio\"]", "modalities"},
    {CHAT_MESSAGE("\"x\"") ",\"audio\":{\"voice\":\"x\"}", "audio"},
    {CHAT_MESSAGE("\"x\"") ",\"functions\":[{\"name\":\"f\"}]", "functions"},
    {CHAT_MESSAGE("\"x\"") ",\"function_call\":\"auto\"", "function_call"},
    {CHAT_MESSAGE("\"x\"") ",\"max_tokens\":0", "max_tokens"},
    {CHAT_MESSAGE("\"x\"") ",\"max_tokens\":1.5", "max_tokens"},
    {CHAT_MESSAGE("\"x\"") ",\"max_completion_tokens\":-1", "max_completion_tokens"},
    {CHAT_MESSAGE("\"x\"") ",\"temperature\":\"hot\"", "temperature"},
    {CHAT_MESSAGE("\"x\"") ",\"stop\":[1]", "stop[0]"},
    {CHAT_MESSAGE("\"x\"") ",\"stop\":{\"a\":1}", "stop"},
    {CHAT_MESSAGE("\"x\"") ",\"stream\":\"yes\"", "stream"},
    {CHAT_MESSAGE("\"x\"") ",\"stream_options\":[]", "stream_options"},
    {CHAT_MESSAGE("\"x\"") ",\"stream_options\":{\"include_usage\":1}",
     "stream_options.include_usage"},
    {CHAT_MESSAGE("\"x\"") ",\"user\":1", "user"},
    {CHAT_MESSAGE("\"x\"") ",\"response_format\":{\"type\":\"json_object\"}",
     "response_format.type"},
    {CHAT_MESSAGE("\"x\"") ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}",
     "response_format.json_schema.schema"},
    {CHAT_MESSAGE("\"x\"") ",\"tools\":[{\"type\":\"custom\"}]", "tools[0].type"},
    {CHAT_MESSAGE("\"x\"") ",\"tools\":[{\"type\":\"function\",\"function\":{}}]",
     "tools[0].function.name"},
    {CHAT_MESSAGE("\"x\"") ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
                           "\"tool_choice\":\"sometimes\"",
     "tool_choice"},
    {CHAT_MESSAGE("\"x\"") ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
                           "\"tool_choice\":{\"type\":\"allowed_tools\"}",
     "tool_choice.type"},
};

#define CLAUDE_MESSAGE(content)                                                                    \
    "\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":" content "}]"

static const struct fault_case messages_faults[] = {
    {"\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]", "max_tokens"},
    {"\"max_tokens\":0", "max_tokens"},
    {"\"max_tokens\":9", "messages"},
    {"\"max_tokens\":9,\"messages\":[]", "messages"},
    {"\"max_tokens\":9,\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]", "messages[0].role"},
    {CLAUDE_MESSAGE("null"), "messages[0].content"},
    {CLAUDE_MESSAGE("[{\"type\":\"search_result\"}]"), "messages[0].content[0].type"},
    {CLAUDE_MESSAGE("[{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]"),
     "messages[0].content[0].source.type"},
    {CLAUDE_MESSAGE("[{\"type\":\"image\",\"source\":{\"type\":\"text\",\"data\":\"f\"}}]"),
     "messages[0].content[0].source"},
    {CLAUDE_MESSAGE("[{\"type\":\"document\",\"source\":{\"type\":\"url\",\"url\":\"f\"}}]"),
     "messages[0].content[0].source"},
    {CLAUDE_MESSAGE("[{\"type\":\"tool_result\"}]"), "messages[0].content[0].tool_use_id"},
    {CLAUDE_MESSAGE("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":1}]"),
     "messages[0].content[0].content"},
    {CLAUDE_MESSAGE("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"type\":"
                    "\"document\"}]}]"),
     "messages[0].content[0].content[0].type"},
    {"\"max_tokens\":9,\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
     "\"id\":\"t\",\"name\":\"f\",\"input\":\"x\"}]}]",
     "messages[0].content[0].input"},
    {"\"max_tokens\":9,\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":"
     "\"server_tool_use\"}]}]",
     "messages[0].content[0].type"},
    {CLAUDE_MESSAGE("\"x\"") ",\"system\":1", "system"},
    {CLAUDE_MESSAGE("\"x\"") ",\"system\":[{\"type\":\"image\"}]", "system[0].type"},
    {CLAUDE_MESSAGE("\"x\"") ",\"stop_sequences\":[1]", "stop_sequences[0]"},
    {CLAUDE_MESSAGE("\"x\"") ",\"metadata\":{\"user_id\":1}", "metadata.user_id"},
    {CLAUDE_MESSAGE("\"x\"") ",\"mcp_servers\":[{}]", "mcp_servers"},
    {CLAUDE_MESSAGE("\"x\"") ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"w\"}]",
     "tools[0].type"},
    {CLAUDE_MESSAGE("\"x\"") ",\"tools\":[{\"name\":\"w\"}]", "tools[0].input_schema"},
    {CLAUDE_MESSAGE("\"x\"") ",\"tools\":[{\"name\":\"w\",\"input_schema\":{}}],\"tool_choice\":{"
                             "\"type\":\"x\"}",
     "tool_choice.type"},
    {CLAUDE_MESSAGE("\"x\"") ",\"output_config\":{\"format\":{\"type\":\"x\"}}",
     "output_config.format.type"},
};

static void check_fault(bool is_chat, struct str body, const char *param)
{
    struct arena arena;
    struct translate t;
    struct translate_fault fault = {0};
    struct buf out = {0};
    struct buf error = {0};

    arena_init(&arena, 4096);
    translate_init(&t, play_translator(is_chat), PLAY_NOW_S);
    CHECK_MSG(translate_request(&t, body, STR(""), &arena, &out, &fault) == TRANSLATE_BAD_REQUEST,
              "%.*s", STR_ARG(body));
    CHECK_MSG(str_eq(fault.param, str_of(param)), "%.*s: '%.*s' instead of '%s'", STR_ARG(body),
              STR_ARG(fault.param), param);
    CHECK(fault.sentence.len > 0);
    translate_fault_write(&t, &fault, &error);
    CHECK(str_find(buf_str(&error), STR("invalid_request_error")) > 0);
    translate_deinit(&t);
    buf_deinit(&error);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void check_faults(bool is_chat, const struct fault_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct buf body = {0};

        buf_printf(&body, "{\"model\":\"m\",%s}", cases[i].members);
        check_fault(is_chat, buf_str(&body), cases[i].param);
        buf_deinit(&body);
    }
}

TEST(chat_request_that_cannot_be_translated_names_the_place)
{
    check_faults(true, chat_faults, N_ELEMENTS(chat_faults));
}

TEST(messages_request_that_cannot_be_translated_names_the_place)
{
    check_faults(false, messages_faults, N_ELEMENTS(messages_faults));
}

static void repeat(struct buf *b, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_append_str(b, str_of(text));
}

TEST(document_that_is_hostile_is_refused)
{
    static const char *const texts[] = {
        "",
        "   ",
        "x",
        "[]",
        "\"x\"",
        "{",
        "{}x",
        "{\"model\":\"a\",\"model\":\"b\"}",
        "{\"model\":\"a\",\"mod\\u0065l\":\"b\"}",
        "{\"model\":\"\xff\"}",
        "{\"model\":\"\xed\xa0\x80\"}",
        "{\"model\":\"\\ud800\"}",
        "{\"model\":\"m\",\"max_tokens\":99999999999999999999}",
        "{\"model\":\"m\",\"temperature\":1e999}",
        "\xef\xbb\xbf{\"model\":\"m\"}",
    };
    struct buf deep = {0};
    struct buf wide = {0};
    struct buf large = {0};

    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        check_fault(true, str_of(texts[i]), "");
        check_fault(false, str_of(texts[i]), "");
    }
    check_fault(true, STR("{\"model\":1}"), "model");
    check_fault(false, STR("{}"), "model");
    repeat(&deep, "[", 100000);
    check_fault(true, buf_str(&deep), "");
    buf_append_str(&wide, STR("{\"model\":["));
    repeat(&wide, "[],", LIMIT_TRANSLATE_VALUES);
    check_fault(true, buf_str(&wide), "");
    repeat(&large, "          ", LIMIT_TRANSLATE_BYTES / 10 + 1);
    check_fault(true, buf_str(&large), "");
    buf_deinit(&deep);
    buf_deinit(&wide);
    buf_deinit(&large);
}
