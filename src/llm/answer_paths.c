/* The tables: X(path, take, count). Sources: the OpenAI API reference (chat, completions,
 * embeddings, images, audio, responses and their stream events), Anthropic's Messages API and its
 * streaming page, Cohere's rerank v2, the KServe V1 and Open Inference (V2) protocols; besides them
 * the spellings of vLLM, DeepSeek, Groq and OpenRouter. `count` is INPUT where it does not matter.
 */
#include "llm/answer_paths.h"

#define COUNTS_OPENAI(X, at)                                                                       \
    X(at "prompt_tokens", COUNT, INPUT)                                                            \
    X(at "input_tokens", COUNT, INPUT)                                                             \
    X(at "completion_tokens", COUNT, OUTPUT)                                                       \
    X(at "output_tokens", COUNT, OUTPUT)                                                           \
    X(at "total_tokens", COUNT, TOTAL)                                                             \
    X(at "prompt_tokens_details.cached_tokens", COUNT, CACHED)                                     \
    X(at "input_tokens_details.cached_tokens", COUNT, CACHED)                                      \
    X(at "prompt_cache_hit_tokens", COUNT, CACHED)                                                 \
    X(at "prompt_tokens_details.cache_write_tokens", COUNT, CACHE_WRITTEN)                         \
    X(at "completion_tokens_details.reasoning_tokens", COUNT, REASONING)                           \
    X(at "output_tokens_details.reasoning_tokens", COUNT, REASONING)

#define COUNTS_ANTHROPIC(X, at)                                                                    \
    X(at "input_tokens", COUNT, INPUT)                                                             \
    X(at "output_tokens", COUNT, OUTPUT)                                                           \
    X(at "cache_read_input_tokens", COUNT, CACHE_READ)                                             \
    X(at "cache_creation_input_tokens", COUNT, CACHE_CREATED)

/* A message, or the delta of one. */
#define TEXTS_CHAT(X, at)                                                                          \
    X(at "content", TEXT, INPUT)                                                                   \
    X(at "content.*.text", TEXT, INPUT)                                                            \
    X(at "reasoning_content", TEXT, INPUT)                                                         \
    X(at "reasoning", TEXT, INPUT)                                                                 \
    X(at "refusal", TEXT, INPUT)                                                                   \
    X(at "tool_calls.*.function.name", TEXT, INPUT)                                                \
    X(at "tool_calls.*.function.arguments", TEXT, INPUT)                                           \
    X(at "function_call.name", TEXT, INPUT)                                                        \
    X(at "function_call.arguments", TEXT, INPUT)

#define PATHS_OPENAI(X)                                                                            \
    X("usage", USAGE, INPUT)                                                                       \
    COUNTS_OPENAI(X, "usage.")                                                                     \
    COUNTS_OPENAI(X, "x_groq.usage.")                                                              \
    X("meta.billed_units.input_tokens", COUNT, INPUT)                                              \
    X("meta.billed_units.output_tokens", COUNT, OUTPUT)                                            \
    X("meta.tokens.input_tokens", COUNT, INPUT)                                                    \
    X("meta.tokens.output_tokens", COUNT, OUTPUT)                                                  \
    X("choices", CHOICES, INPUT)                                                                   \
    TEXTS_CHAT(X, "choices.*.delta.")                                                              \
    TEXTS_CHAT(X, "choices.*.message.")                                                            \
    X("choices.*.text", TEXT, INPUT)                                                               \
    X("choices.*.finish_reason", FINISH, INPUT)                                                    \
    X("text", TEXT, INPUT)                                                                         \
    X("delta", DELTA, INPUT)                                                                       \
    X("model", MODEL, INPUT)                                                                       \
    X("error", ERROR, INPUT)                                                                       \
    X("object", TYPE, INPUT)                                                                       \
    X("type", TYPE, INPUT)                                                                         \
    X("created", NUMBER, INPUT)                                                                    \
    X("obfuscation", FILLER, INPUT)                                                                \
    X("b64_json", MEDIA, INPUT)

/* The stream of /v1/audio/speech (stream_format "sse"); a recording is no text. */
#define PATHS_SPEECH(X)                                                                            \
    COUNTS_OPENAI(X, "usage.")                                                                     \
    X("audio", MEDIA, INPUT)                                                                       \
    X("error", ERROR, INPUT)                                                                       \
    X("type", TYPE, INPUT)

#define PATHS_RESPONSES(X)                                                                         \
    COUNTS_OPENAI(X, "usage.")                                                                     \
    COUNTS_OPENAI(X, "response.usage.")                                                            \
    X("delta", DELTA, INPUT)                                                                       \
    X("output.*.content.*.text", TEXT, INPUT)                                                      \
    X("output.*.content.*.refusal", TEXT, INPUT)                                                   \
    X("output.*.summary.*.text", TEXT, INPUT)                                                      \
    X("output.*.name", TEXT, INPUT)                                                                \
    X("output.*.arguments", TEXT, INPUT)                                                           \
    X("model", MODEL, INPUT)                                                                       \
    X("response.model", MODEL, INPUT)                                                              \
    X("status", FINISH, INPUT)                                                                     \
    X("error", ERROR, INPUT)                                                                       \
    X("response.error", ERROR, INPUT)                                                              \
    X("type", TYPE, INPUT)                                                                         \
    X("sequence_number", NUMBER, INPUT)                                                            \
    X("obfuscation", FILLER, INPUT)

#define PATHS_ANTHROPIC(X)                                                                         \
    COUNTS_ANTHROPIC(X, "usage.")                                                                  \
    COUNTS_ANTHROPIC(X, "message.usage.")                                                          \
    X("delta.text", TEXT, INPUT)                                                                   \
    X("delta.thinking", TEXT, INPUT)                                                               \
    X("delta.partial_json", TEXT, INPUT)                                                           \
    X("content_block.name", TEXT, INPUT)                                                           \
    X("content.*.text", TEXT, INPUT)                                                               \
    X("content.*.thinking", TEXT, INPUT)                                                           \
    X("content.*.name", TEXT, INPUT)                                                               \
    X("content.*.input", VALUE, INPUT)                                                             \
    X("delta.stop_reason", FINISH, INPUT)                                                          \
    X("stop_reason", FINISH, INPUT)                                                                \
    X("model", MODEL, INPUT)                                                                       \
    X("message.model", MODEL, INPUT)                                                               \
    X("error", ERROR, INPUT)                                                                       \
    X("type", TYPE, INPUT)

#define PATHS_PREDICT(X)                                                                           \
    COUNTS_OPENAI(X, "usage.")                                                                     \
    X("predictions", ROWS, INPUT)                                                                  \
    X("outputs", ROWS, INPUT)                                                                      \
    X("outputs.{*}", ROWS, INPUT)                                                                  \
    X("explanations", ROWS, INPUT)                                                                 \
    X("error", ERROR, INPUT)

#define PATHS_INFER(X)                                                                             \
    COUNTS_OPENAI(X, "usage.")                                                                     \
    COUNTS_OPENAI(X, "parameters.")                                                                \
    X("outputs.*.shape", SHAPE, INPUT)                                                             \
    X("outputs.*.shape.*", LENGTH, INPUT)                                                          \
    X("text_output", TEXT, INPUT)                                                                  \
    X("model_name", MODEL, INPUT)                                                                  \
    X("error", ERROR, INPUT)

/* The text of a count tells nothing that its number does not. */
enum {
    TEXT_OF_COUNT,
    TEXT_OF_USAGE = 0,
    TEXT_OF_CHOICES = 0,
    TEXT_OF_MODEL = 1,
    TEXT_OF_FINISH = 1
};
enum { TEXT_OF_TEXT, TEXT_OF_DELTA = 0, TEXT_OF_VALUE = 0, TEXT_OF_FILLER = 0, TEXT_OF_NUMBER = 0 };
enum { TEXT_OF_MEDIA };
enum { TEXT_OF_ERROR, TEXT_OF_TYPE = 1, TEXT_OF_ROWS = 0, TEXT_OF_SHAPE = 0, TEXT_OF_LENGTH = 0 };

#define JSON_ROW(path, take, count)   {path, TEXT_OF_##take},
#define ANSWER_ROW(path, take, count) {ANSWER_TAKE_##take, ANSWER_##count},
#define TABLE(name, PATHS)                                                                         \
    JSON_PATHS(name##_paths, PATHS(JSON_ROW))                                                      \
    static const struct answer_path name##_takes[] = {PATHS(ANSWER_ROW)};                          \
    static const struct answer_paths name = {&name##_paths, name##_takes};

TABLE(openai, PATHS_OPENAI)
TABLE(speech, PATHS_SPEECH)
TABLE(responses, PATHS_RESPONSES)
TABLE(anthropic, PATHS_ANTHROPIC)
TABLE(predict, PATHS_PREDICT)
TABLE(infer, PATHS_INFER)

const struct answer_paths *answer_paths_of(enum ai_endpoint endpoint)
{
    switch (endpoint) {
    case AI_ENDPOINT_CHAT_COMPLETIONS:
    case AI_ENDPOINT_COMPLETIONS:
    case AI_ENDPOINT_EMBEDDINGS:
    case AI_ENDPOINT_IMAGES:
    case AI_ENDPOINT_TRANSCRIPTIONS:
    case AI_ENDPOINT_TRANSLATIONS:
    case AI_ENDPOINT_RERANK:
    case AI_ENDPOINT_COHERE_RERANK:
        return &openai;
    case AI_ENDPOINT_SPEECH:
        return &speech;
    case AI_ENDPOINT_RESPONSES:
        return &responses;
    case AI_ENDPOINT_MESSAGES:
    case AI_ENDPOINT_ANTHROPIC_MESSAGES:
        return &anthropic;
    case AI_ENDPOINT_KSERVE_V1_PREDICT:
    case AI_ENDPOINT_KSERVE_V1_EXPLAIN:
        return &predict;
    case AI_ENDPOINT_KSERVE_V2_INFER:
    case AI_ENDPOINT_KSERVE_V2_GENERATE:
    case AI_ENDPOINT_KSERVE_V2_GENERATE_STREAM:
        return &infer;
    default:
        return NULL;
    }
}

bool answer_is_text(enum ai_endpoint endpoint)
{
    switch (endpoint) {
    case AI_ENDPOINT_CHAT_COMPLETIONS:
    case AI_ENDPOINT_COMPLETIONS:
    case AI_ENDPOINT_RESPONSES:
    case AI_ENDPOINT_TRANSCRIPTIONS:
    case AI_ENDPOINT_TRANSLATIONS:
    case AI_ENDPOINT_MESSAGES:
    case AI_ENDPOINT_ANTHROPIC_MESSAGES:
    case AI_ENDPOINT_KSERVE_V2_GENERATE:
    case AI_ENDPOINT_KSERVE_V2_GENERATE_STREAM:
        return true;
    default:
        return false;
    }
}
