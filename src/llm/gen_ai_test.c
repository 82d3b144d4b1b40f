/* Every endpoint, schema and dialect has a word, and the ones of the conventions are spelt as
 * there. */
#include "llm/gen_ai.h"

#include "test/harness/test.h"

TEST(every_endpoint_has_an_operation)
{
    for (int e = 0; e < AI_ENDPOINT_COUNT_; e++)
        CHECK_MSG(gen_ai_operation((enum ai_endpoint)e).len > 0, "%s",
                  ai_endpoint_row((enum ai_endpoint)e)->name);
    CHECK_STR(gen_ai_operation(AI_ENDPOINT_CHAT_COMPLETIONS), "chat");
    CHECK_STR(gen_ai_operation(AI_ENDPOINT_ANTHROPIC_MESSAGES), "chat");
    CHECK_STR(gen_ai_operation(AI_ENDPOINT_COMPLETIONS), "text_completion");
    CHECK_STR(gen_ai_operation(AI_ENDPOINT_EMBEDDINGS), "embeddings");
    CHECK_STR(gen_ai_operation(AI_ENDPOINT_KSERVE_V1_PREDICT), "predict");
}

TEST(providers_are_those_of_the_conventions)
{
    CHECK_STR(gen_ai_provider(LLM_SCHEMA_OPENAI), "openai");
    CHECK_STR(gen_ai_provider(LLM_SCHEMA_AZURE_OPENAI), "azure.ai.openai");
    CHECK_STR(gen_ai_provider(LLM_SCHEMA_AWS_BEDROCK), "aws.bedrock");
    CHECK_STR(gen_ai_provider(LLM_SCHEMA_AWS_ANTHROPIC), "aws.bedrock");
    CHECK_STR(gen_ai_provider(LLM_SCHEMA_GCP_VERTEX_AI), "gcp.vertex_ai");
    CHECK_STR(gen_ai_provider_of_dialect(AI_DIALECT_ANTHROPIC), "anthropic");
    CHECK_STR(gen_ai_provider_of_dialect(AI_DIALECT_KSERVE_V2), "kserve");
    CHECK_STR(gen_ai_provider_of_dialect(AI_DIALECT_NONE), "-");
}
