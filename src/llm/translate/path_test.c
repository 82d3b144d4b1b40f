/* Verdicts and paths: every endpoint at every schema. */
#include "llm/translate/path.h"

#include "test/harness/test.h"

static int path_of(enum ai_endpoint endpoint, struct translate_target target, const char *model,
                   struct arena *arena, struct str *ret)
{
    return translate_path(endpoint, &target, str_of(model), arena, ret);
}

TEST(path_follows_endpoint_schema_and_prefix)
{
#define T(schema, prefix, version)                                                                 \
    {                                                                                              \
        LLM_SCHEMA_##schema, STR(prefix), STR(version)                                             \
    }
    static const struct {
        enum ai_endpoint endpoint;
        struct translate_target target;
        const char *model;
        int result;
        const char *path;
    } cases[] = {
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(OPENAI, "", ""), "m", 0, "/v1/chat/completions"},
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(OPENAI, "/v1beta/openai/", ""), "m", 0,
         "/v1beta/openai/chat/completions"},
        {AI_ENDPOINT_EMBEDDINGS, T(OPENAI, "", "v2"), "m", 0, "/v2/embeddings"},
        {AI_ENDPOINT_EMBEDDINGS, T(OPENAI, "v3", "v2"), "m", 0, "/v3/embeddings"},
        {AI_ENDPOINT_COMPLETIONS, T(OPENAI, "/", ""), "m", 0, "/completions"},
        {AI_ENDPOINT_MESSAGES, T(OPENAI, "", ""), "m", 0, "/v1/chat/completions"},
        {AI_ENDPOINT_ANTHROPIC_MESSAGES, T(OPENAI, "", ""), "m", 0, "/v1/chat/completions"},
        {AI_ENDPOINT_RERANK, T(OPENAI, "", ""), "m", 0, "/v1/rerank"},
        {AI_ENDPOINT_KSERVE_V2_INFER, T(OPENAI, "", ""), "m", 0, ""},
        {AI_ENDPOINT_RERANK, T(COHERE, "", ""), "m", 0, "/v2/rerank"},
        {AI_ENDPOINT_COHERE_RERANK, T(COHERE, "", "v3"), "m", 0, "/v3/rerank"},
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(COHERE, "", ""), "m", TRANSLATE_PATH_NONE, ""},
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(AZURE_OPENAI, "", "2024-10-21"), "gpt-4o", 0,
         "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"},
        {AI_ENDPOINT_MESSAGES, T(AZURE_OPENAI, "", "2024-10-21"), "gpt-4o", 0,
         "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"},
        {AI_ENDPOINT_EMBEDDINGS, T(AZURE_OPENAI, "", "v&x=1"), "a/b?c d%\xc3\xa9", 0,
         "/openai/deployments/a%2Fb%3Fc%20d%25%C3%A9/embeddings?api-version=v%26x%3D1"},
        {AI_ENDPOINT_RESPONSES, T(AZURE_OPENAI, "", "v"), "m", 0,
         "/openai/responses?api-version=v"},
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(AZURE_OPENAI, "", ""), "m", TRANSLATE_PATH_BAD, ""},
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(AZURE_OPENAI, "", "v"), "", TRANSLATE_PATH_BAD, ""},
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(AZURE_OPENAI, "", "v"), "..", TRANSLATE_PATH_BAD, ""},
        {AI_ENDPOINT_RERANK, T(AZURE_OPENAI, "", "v"), "m", TRANSLATE_PATH_NONE, ""},
        {AI_ENDPOINT_MESSAGES, T(ANTHROPIC, "", ""), "m", 0, "/v1/messages"},
        {AI_ENDPOINT_ANTHROPIC_MESSAGES, T(ANTHROPIC, "api", "2023-06-01"), "m", 0,
         "/api/messages"},
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(ANTHROPIC, "", "2023-06-01"), "m", 0, "/v1/messages"},
        {AI_ENDPOINT_EMBEDDINGS, T(ANTHROPIC, "", ""), "m", TRANSLATE_PATH_NONE, ""},
        {AI_ENDPOINT_CHAT_COMPLETIONS, T(AWS_BEDROCK, "", ""), "m", TRANSLATE_PATH_NONE, ""},
        {AI_ENDPOINT_NONE, T(OPENAI, "", ""), "m", TRANSLATE_PATH_NONE, ""},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct arena arena;
        struct str path;

        arena_init(&arena, 1024);
        CHECK_MSG(path_of(cases[i].endpoint, cases[i].target, cases[i].model, &arena, &path) ==
                      cases[i].result,
                  "row %zu", i);
        CHECK_MSG(str_eq(path, str_of(cases[i].path)), "row %zu: %.*s instead of %s", i,
                  STR_ARG(path), cases[i].path);
        arena_deinit(&arena);
    }
}

TEST(schema_that_is_not_supported_yet_says_so_for_every_endpoint)
{
    static const enum llm_schema schemas[] = {LLM_SCHEMA_AWS_BEDROCK, LLM_SCHEMA_GCP_VERTEX_AI,
                                              LLM_SCHEMA_GCP_ANTHROPIC, LLM_SCHEMA_AWS_ANTHROPIC};

    for (unsigned e = 0; e < AI_ENDPOINT_COUNT_; e++) {
        for (size_t i = 0; i < N_ELEMENTS(schemas); i++) {
            CHECK_INT(translate_verdict((enum ai_endpoint)e, schemas[i]), TRANSLATE_NOT_YET);
        }
    }
    CHECK(translate_verdict_sentence(TRANSLATE_NOT_YET).len > 0);
    CHECK(translate_verdict_sentence(TRANSLATE_NEVER).len > 0);
    CHECK(translate_verdict_sentence(TRANSLATE_AS_IS).len == 0);
}

TEST(every_endpoint_of_openai_has_a_path)
{
    struct translate_target target = {.schema = LLM_SCHEMA_OPENAI};

    for (unsigned e = 1; e < AI_ENDPOINT_COUNT_; e++) {
        struct arena arena;
        struct str path;

        arena_init(&arena, 1024);
        CHECK_MSG(translate_path((enum ai_endpoint)e, &target, STR("m"), &arena, &path) == 0, "%s",
                  ai_endpoint_row((enum ai_endpoint)e)->name);
        arena_deinit(&arena);
    }
}
