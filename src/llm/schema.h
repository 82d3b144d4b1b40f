/* Which API an upstream speaks: the `schema.name` of an AIServiceBackend. The order is that of the
 * names in the manifest, so that the compiler of a configuration maps one to the other by value. */
#pragma once

enum llm_schema {
    LLM_SCHEMA_OPENAI,
    LLM_SCHEMA_COHERE,
    LLM_SCHEMA_AWS_BEDROCK,
    LLM_SCHEMA_AZURE_OPENAI,
    LLM_SCHEMA_GCP_VERTEX_AI,
    LLM_SCHEMA_GCP_ANTHROPIC,
    LLM_SCHEMA_ANTHROPIC,
    LLM_SCHEMA_AWS_ANTHROPIC,
    LLM_SCHEMA_COUNT_,
};
