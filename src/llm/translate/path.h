/* Where a request goes at its upstream: one table of client endpoint by upstream schema. Pure; any
 * thread. */
#pragma once

#include "base/arena.h"
#include "llm/ai_endpoint.h"
#include "llm/schema.h"

/* What is to be done with the bodies of an endpoint at an upstream. */
enum translate_verdict {
    TRANSLATE_AS_IS,   /* the upstream speaks the client's API: only the path changes */
    TRANSLATE_BODIES,  /* request, answer and errors are translated (translate.h) */
    TRANSLATE_NOT_YET, /* a schema that is known, and not supported yet */
    TRANSLATE_NEVER,   /* an upstream of this schema serves nothing of the kind */
};

/* The `schema` of an AIServiceBackend. Borrowed. */
struct translate_target {
    enum llm_schema schema;
    struct str prefix;  /* before the endpoints; empty: the schema's own ("v1") */
    struct str version; /* Azure: api-version. Anthropic: anthropic-version, empty: 2023-06-01.
                           OpenAI, Cohere: the older place of prefix */
};

/* Conditions of translate_path. */
enum translate_path_condition {
    TRANSLATE_PATH_NONE = 1, /* NOT_YET or NEVER: say translate_verdict_sentence */
    TRANSLATE_PATH_BAD,      /* no model for a path that names it, or no api-version */
};

enum translate_verdict translate_verdict(enum ai_endpoint endpoint, enum llm_schema schema);
/* For a client and for `check`: why nothing is sent. Empty for AS_IS and BODIES. */
struct str translate_verdict_sentence(enum translate_verdict verdict);
/* Path and query at the upstream, in the arena; `*ret_path` is empty where the client's own path
 * stays (KServe). `model` is the one that is served, percent-encoded where the path names it. */
MUST_USE int translate_path(enum ai_endpoint endpoint, const struct translate_target *target,
                            struct str model, struct arena *arena, struct str *ret_path);
