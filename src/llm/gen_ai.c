/* See gen_ai.h. */
#include "llm/gen_ai.h"

struct str gen_ai_operation(enum ai_endpoint endpoint)
{
    static const char *const words[] = {
        [AI_ENDPOINT_NONE] = "-",
        [AI_ENDPOINT_CHAT_COMPLETIONS] = "chat",
        [AI_ENDPOINT_COMPLETIONS] = "text_completion",
        [AI_ENDPOINT_EMBEDDINGS] = "embeddings",
        [AI_ENDPOINT_RESPONSES] = "chat",
        [AI_ENDPOINT_IMAGES] = "image_generation",
        [AI_ENDPOINT_SPEECH] = "speech",
        [AI_ENDPOINT_TRANSCRIPTIONS] = "transcription",
        [AI_ENDPOINT_TRANSLATIONS] = "translation",
        [AI_ENDPOINT_RERANK] = "rerank",
        [AI_ENDPOINT_COHERE_RERANK] = "rerank",
        [AI_ENDPOINT_MESSAGES] = "chat",
        [AI_ENDPOINT_ANTHROPIC_MESSAGES] = "chat",
        [AI_ENDPOINT_MODELS] = "models",
        [AI_ENDPOINT_KSERVE_V1_MODEL] = "models",
        [AI_ENDPOINT_KSERVE_V1_PREDICT] = "predict",
        [AI_ENDPOINT_KSERVE_V1_EXPLAIN] = "explain",
        [AI_ENDPOINT_KSERVE_V2_MODEL] = "models",
        [AI_ENDPOINT_KSERVE_V2_READY] = "models",
        [AI_ENDPOINT_KSERVE_V2_INFER] = "predict",
        [AI_ENDPOINT_KSERVE_V2_GENERATE] = "text_completion",
        [AI_ENDPOINT_KSERVE_V2_GENERATE_STREAM] = "text_completion",
    };

    _Static_assert(N_ELEMENTS(words) == AI_ENDPOINT_COUNT_, "a word for every endpoint");
    return str_of(words[endpoint]);
}

struct str gen_ai_provider(enum llm_schema schema)
{
    static const char *const words[] = {
        [LLM_SCHEMA_OPENAI] = "openai",
        [LLM_SCHEMA_COHERE] = "cohere",
        [LLM_SCHEMA_AWS_BEDROCK] = "aws.bedrock",
        [LLM_SCHEMA_AZURE_OPENAI] = "azure.ai.openai",
        [LLM_SCHEMA_GCP_VERTEX_AI] = "gcp.vertex_ai",
        [LLM_SCHEMA_GCP_ANTHROPIC] = "gcp.vertex_ai",
        [LLM_SCHEMA_ANTHROPIC] = "anthropic",
        [LLM_SCHEMA_AWS_ANTHROPIC] = "aws.bedrock",
    };

    return str_of(words[schema]);
}

struct str gen_ai_provider_of_dialect(enum ai_dialect dialect)
{
    static const char *const words[] = {
        [AI_DIALECT_NONE] = "-",           [AI_DIALECT_OPENAI] = "openai",
        [AI_DIALECT_COHERE] = "cohere",    [AI_DIALECT_ANTHROPIC] = "anthropic",
        [AI_DIALECT_KSERVE_V1] = "kserve", [AI_DIALECT_KSERVE_V2] = "kserve",
    };

    return str_of(words[dialect]);
}
