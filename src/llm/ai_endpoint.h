/* Which requests are AI requests: the endpoints that a listener with an AIGatewayRoute serves. One
 * table says method, path, dialect and what the body is. Pure; any thread. */
#pragma once

#include "http/message.h"
#include "llm/kserve.h"

enum ai_dialect {
    AI_DIALECT_NONE,
    AI_DIALECT_OPENAI,
    AI_DIALECT_COHERE,
    AI_DIALECT_ANTHROPIC,
    AI_DIALECT_KSERVE_V1,
    AI_DIALECT_KSERVE_V2,
};

enum ai_body {
    AI_BODY_NONE,      /* the path alone says all */
    AI_BODY_JSON,      /* JSON with the model at its top level */
    AI_BODY_MULTIPART, /* form data with a field "model" */
    AI_BODY_TENSORS,   /* JSON (or KServe binary); the model stands in the path */
};

/* X(name, method, path, dialect, body): endpoints of a fixed path. */
#define AI_FIXED_ENDPOINTS(X)                                                                      \
    X(CHAT_COMPLETIONS, POST, "/v1/chat/completions", OPENAI, JSON)                                \
    X(COMPLETIONS, POST, "/v1/completions", OPENAI, JSON)                                          \
    X(EMBEDDINGS, POST, "/v1/embeddings", OPENAI, JSON)                                            \
    X(RESPONSES, POST, "/v1/responses", OPENAI, JSON)                                              \
    X(IMAGES, POST, "/v1/images/generations", OPENAI, JSON)                                        \
    X(SPEECH, POST, "/v1/audio/speech", OPENAI, JSON)                                              \
    X(TRANSCRIPTIONS, POST, "/v1/audio/transcriptions", OPENAI, MULTIPART)                         \
    X(TRANSLATIONS, POST, "/v1/audio/translations", OPENAI, MULTIPART)                             \
    X(RERANK, POST, "/v1/rerank", COHERE, JSON)                                                    \
    X(COHERE_RERANK, POST, "/cohere/v2/rerank", COHERE, JSON)                                      \
    X(MESSAGES, POST, "/v1/messages", ANTHROPIC, JSON)                                             \
    X(ANTHROPIC_MESSAGES, POST, "/anthropic/v1/messages", ANTHROPIC, JSON)                         \
    X(MODELS, GET, "/v1/models", OPENAI, NONE)

/* X(name, method, kserve call, dialect, body) */
#define AI_KSERVE_ENDPOINTS(X)                                                                     \
    X(KSERVE_V1_MODEL, GET, KSERVE_V1_MODEL, KSERVE_V1, NONE)                                      \
    X(KSERVE_V1_PREDICT, POST, KSERVE_V1_PREDICT, KSERVE_V1, TENSORS)                              \
    X(KSERVE_V1_EXPLAIN, POST, KSERVE_V1_EXPLAIN, KSERVE_V1, TENSORS)                              \
    X(KSERVE_V2_MODEL, GET, KSERVE_V2_MODEL, KSERVE_V2, NONE)                                      \
    X(KSERVE_V2_READY, GET, KSERVE_V2_READY, KSERVE_V2, NONE)                                      \
    X(KSERVE_V2_INFER, POST, KSERVE_V2_INFER, KSERVE_V2, TENSORS)                                  \
    X(KSERVE_V2_GENERATE, POST, KSERVE_V2_GENERATE, KSERVE_V2, TENSORS)                            \
    X(KSERVE_V2_GENERATE_STREAM, POST, KSERVE_V2_GENERATE_STREAM, KSERVE_V2, TENSORS)

enum ai_endpoint {
    AI_ENDPOINT_NONE,
#define X(name, method, where, dialect, body) AI_ENDPOINT_##name,
    AI_FIXED_ENDPOINTS(X) AI_KSERVE_ENDPOINTS(X)
#undef X
        AI_ENDPOINT_COUNT_,
};

struct ai_endpoint_row {
    const char *name; /* "CHAT_COMPLETIONS" */
    enum http_method method;
    struct str path;       /* empty for KServe endpoints */
    enum kserve_call call; /* KSERVE_NONE for fixed paths */
    enum ai_dialect dialect;
    enum ai_body body;
};

/* `call` is what kserve_parse made of the same path. */
enum ai_endpoint ai_endpoint_find(enum http_method method, struct str path, enum kserve_call call);
/* Whose API a path belongs to, whatever the method and however much of the request is understood:
 * its callers read errors in that API's shape. */
enum ai_dialect ai_dialect_of_path(struct str path);
/* Never NULL; AI_ENDPOINT_NONE gives a row of nothing. */
const struct ai_endpoint_row *ai_endpoint_row(enum ai_endpoint endpoint);
