/* What an AI request is called by OpenTelemetry's semantic conventions for generative AI, in
 * metrics and traces. Pure; any thread; the answers are static. */
#pragma once

#include "llm/ai_endpoint.h"
#include "llm/schema.h"

/* gen_ai.operation.name. What the conventions have no word for has one of ours; "-" for
 * AI_ENDPOINT_NONE. */
struct str gen_ai_operation(enum ai_endpoint endpoint);
/* gen_ai.provider.name: who is behind an AIServiceBackend of that schema. */
struct str gen_ai_provider(enum llm_schema schema);
/* The same where no AIServiceBackend says it: whose API the caller speaks. */
struct str gen_ai_provider_of_dialect(enum ai_dialect dialect);
