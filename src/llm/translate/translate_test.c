/* Complete answers in both directions, and the headers of each API. */
#include "llm/translate/translate_play.h"

struct answer_case {
    const char *name, *body, *expected; /* NULL: no answer of the upstream's API */
};

static const struct answer_case chat_cases[] = {
    {"text and cached tokens",
     "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\","
     "\"content\":[{\"type\":\"text\",\"text\":\"Hel\"},{\"type\":\"text\",\"text\":\"lo\"}],"
     "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,"
     "\"cache_creation_input_tokens\":3,\"cache_read_input_tokens\":5,\"output_tokens\":7}}",
     "{\"id\":\"msg_1\",\"object\":\"chat.completion\",\"created\":1800000000,\"model\":"
     "\"claude-x\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
     "\"Hello\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
     "\"prompt_tokens\":18,\"completion_tokens\":7,\"total_tokens\":25,\"prompt_tokens_details\":{"
     "\"cached_tokens\":5}}}"},
    {"tools, thinking and blocks of the provider's own",
     "{\"id\":\"msg_2\",\"type\":\"message\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
     "\"hm\",\"signature\":\"s\"},{\"type\":\"server_tool_use\",\"id\":\"x\",\"name\":"
     "\"web_search\",\"input\":{}},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{"
     "\"a\":[1,\"\\\"\"]}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}],"
     "\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}",
     "{\"id\":\"msg_2\",\"object\":\"chat.completion\",\"created\":1800000000,\"model\":\"asked\","
     "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":"
     "null,\"reasoning_content\":\"hm\",\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\","
     "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":[1,\\\"\\\\\\\"\\\"]}\"}},{\"id\":"
     "\"t2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
     "\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":1,"
     "\"completion_tokens\":2,\"total_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":0}}"
     "}"},
    {"counts that are none",
     "{\"id\":1,\"content\":[1,{\"type\":2},{\"type\":\"text\",\"text\":3}],\"stop_reason\":"
     "\"refusal\",\"usage\":{\"input_tokens\":-5,\"output_tokens\":1.5,"
     "\"cache_read_input_tokens\":9007199254740993}}",
     "{\"id\":\"\",\"object\":\"chat.completion\",\"created\":1800000000,\"model\":\"asked\","
     "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":"
     "null},\"logprobs\":null,\"finish_reason\":\"content_filter\"}],\"usage\":{"
     "\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0,\"prompt_tokens_details\":{"
     "\"cached_tokens\":0}}}"},
    {"an error with status 200", "{\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}", NULL},
    {"a chat completion", "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}", NULL},
    {"no JSON", "<html>", NULL},
    {"nothing", "", NULL},
};

static const struct answer_case messages_cases[] = {
    {"text and cached tokens",
     "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"gpt-x\","
     "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello\","
     "\"refusal\":null},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":18,"
     "\"completion_tokens\":7,\"total_tokens\":25,\"prompt_tokens_details\":{\"cached_tokens\":5}}"
     "}",
     "{\"id\":\"chatcmpl-1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"gpt-x\","
     "\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}],\"stop_reason\":\"end_turn\","
     "\"stop_sequence\":null,\"usage\":{\"input_tokens\":13,\"cache_creation_input_tokens\":0,"
     "\"cache_read_input_tokens\":5,\"output_tokens\":7}}"},
    {"tools, one with arguments that were cut off, one without an id",
     "{\"id\":\"c\",\"choices\":[{\"message\":{\"content\":\"I look\",\"tool_calls\":[{\"id\":"
     "\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},"
     "{\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"a\\\":\"}},7]},"
     "\"finish_reason\":\"tool_calls\"}],\"usage\":null}",
     "{\"id\":\"c\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"asked\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"I look\"},{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\","
     "\"input\":{\"a\":1}},{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"g\",\"input\":{}}],"
     "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,"
     "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":0}}"},
    {"a refusal, more cached than prompted",
     "{\"id\":\"c\",\"choices\":[{\"message\":{\"content\":null,\"refusal\":\"no\"},"
     "\"finish_reason\":\"content_filter\"}],\"usage\":{\"prompt_tokens\":3,"
     "\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":9}}}",
     "{\"id\":\"c\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"asked\",\"content\":[{"
     "\"type\":\"text\",\"text\":\"no\"}],\"stop_reason\":\"refusal\",\"stop_sequence\":null,"
     "\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"
     "\"cache_read_input_tokens\":3,\"output_tokens\":1}}"},
    {"cut off by the bound",
     "{\"id\":\"c\",\"choices\":[{\"message\":{},\"finish_reason\":\"length\"}]}",
     "{\"id\":\"c\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"asked\",\"content\":[]"
     ",\"stop_reason\":\"max_tokens\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,"
     "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":0}}"},
    {"no choice", "{\"choices\":[]}", NULL},
    {"a message", "{\"type\":\"message\",\"content\":[]}", NULL},
    {"not an object", "[]", NULL},
};

static void play_answers(bool is_chat, const struct answer_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct translate t;
        struct buf out = {0};
        int r;

        translate_init(&t, play_translator(is_chat), PLAY_NOW_S);
        buf_append_str(&t.model, STR("asked"));
        r = translate_answer(&t, str_of(cases[i].body), &out);
        CHECK_MSG(r == (cases[i].expected ? 0 : TRANSLATE_BAD_ANSWER), "%s: %d", cases[i].name, r);
        if (cases[i].expected)
            check_json(cases[i].name, buf_str(&out), cases[i].expected);
        else
            CHECK_MSG(out.len == 0, "%s", cases[i].name);
        translate_deinit(&t);
        buf_deinit(&out);
    }
}

TEST(message_becomes_a_chat_completion)
{
    play_answers(true, chat_cases, N_ELEMENTS(chat_cases));
}

TEST(chat_completion_becomes_a_message)
{
    play_answers(false, messages_cases, N_ELEMENTS(messages_cases));
}

TEST(pair_without_translation_has_no_translator)
{
    CHECK(translate_find(AI_ENDPOINT_CHAT_COMPLETIONS, LLM_SCHEMA_OPENAI) == NULL);
    CHECK(translate_find(AI_ENDPOINT_MESSAGES, LLM_SCHEMA_ANTHROPIC) == NULL);
    CHECK(translate_find(AI_ENDPOINT_EMBEDDINGS, LLM_SCHEMA_ANTHROPIC) == NULL);
    CHECK(translate_find(AI_ENDPOINT_CHAT_COMPLETIONS, LLM_SCHEMA_AWS_BEDROCK) == NULL);
    CHECK(translate_find(AI_ENDPOINT_CHAT_COMPLETIONS, LLM_SCHEMA_ANTHROPIC) != NULL);
    CHECK(translate_find(AI_ENDPOINT_ANTHROPIC_MESSAGES, LLM_SCHEMA_AZURE_OPENAI) != NULL);
}

static bool removes(const struct translate_headers *h, const char *name)
{
    for (size_t i = 0; i < h->n_removes; i++) {
        if (str_eq(h->removes[i], str_of(name)))
            return true;
    }
    return false;
}

TEST(headers_of_the_other_api_are_removed_and_the_version_is_set)
{
    struct translate_target anthropic = {.schema = LLM_SCHEMA_ANTHROPIC};
    struct translate_target openai = {.schema = LLM_SCHEMA_OPENAI, .version = STR("v1")};
    struct translate_headers h;

    translate_headers(AI_ENDPOINT_CHAT_COMPLETIONS, &anthropic, &h);
    CHECK_STR(h.set_name, "anthropic-version");
    CHECK_STR(h.set_value, "2023-06-01");
    CHECK(removes(&h, "openai-beta"));
    translate_headers(AI_ENDPOINT_MESSAGES, &anthropic, &h);
    CHECK(h.set_name.len == 0 && h.n_removes == 0);
    anthropic.version = STR("2024-01-01");
    translate_headers(AI_ENDPOINT_MESSAGES, &anthropic, &h);
    CHECK_STR(h.set_value, "2024-01-01");
    translate_headers(AI_ENDPOINT_MESSAGES, &openai, &h);
    CHECK(h.set_name.len == 0);
    CHECK(removes(&h, "anthropic-version") && removes(&h, "anthropic-beta"));
    translate_headers(AI_ENDPOINT_CHAT_COMPLETIONS, &openai, &h);
    CHECK(h.n_removes == 0);
}
