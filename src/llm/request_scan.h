/* What the body of a request to an AI endpoint says, read as it arrives: the model, whether the
 * answer is to be streamed, how many tokens it may have, how many rows come in; and whether the
 * fields that the endpoint needs are there and of their type. Values that only the model server can
 * judge are left to it. Pure; one scan belongs to one thread. */
#pragma once

#include "base/buf.h"
#include "llm/ai_endpoint.h"
#include "llm/json/json_scan.h"

/* X(name, path) of every field that some endpoint has. */
#define REQUEST_FIELDS(X)                                                                          \
    X(BODY, "")                                                                                    \
    X(MODEL, "model")                                                                              \
    X(STREAM, "stream")                                                                            \
    X(STREAM_OPTIONS, "stream_options")                                                            \
    X(INCLUDE_USAGE, "stream_options.include_usage")                                               \
    X(MAX_TOKENS, "max_tokens")                                                                    \
    X(MAX_COMPLETION_TOKENS, "max_completion_tokens")                                              \
    X(MAX_OUTPUT_TOKENS, "max_output_tokens")                                                      \
    X(N, "n")                                                                                      \
    X(MESSAGES, "messages")                                                                        \
    X(PROMPT, "prompt")                                                                            \
    X(INPUT, "input")                                                                              \
    X(VOICE, "voice")                                                                              \
    X(QUERY, "query")                                                                              \
    X(DOCUMENTS, "documents")                                                                      \
    X(INSTANCES, "instances")                                                                      \
    X(INPUTS, "inputs")                                                                            \
    X(SHAPE, "inputs.*.shape")                                                                     \
    X(LENGTH, "inputs.*.shape.*")                                                                  \
    X(COLUMN, "inputs.{*}")                                                                        \
    X(PARAMETERS, "parameters")                                                                    \
    X(PARAMETERS_MAX_TOKENS, "parameters.max_tokens")

enum request_field {
#define X(name, path) REQUEST_FIELD_##name,
    REQUEST_FIELDS(X)
#undef X
        REQUEST_FIELD_COUNT_,
};

/* X(name, code, sentence): conditions of a scan, with the provider's `code`; "%s": the field. */
#define REQUEST_ERRORS(X)                                                                          \
    X(NOT_JSON, "invalid_json", "The request body is not valid JSON.")                             \
    X(NOT_OBJECT, "invalid_type", "The request body must be a JSON object.")                       \
    X(TOO_DEEP, "invalid_json", "The request body is nested too deeply.")                          \
    X(BAD_UTF8, "invalid_json", "The request body is not valid UTF-8.")                            \
    X(DUPLICATE_FIELD, "duplicate_parameter", "Parameter '%s' is given more than once.")           \
    X(ESCAPED_FIELD, "invalid_parameter_name", "Parameter '%s' is not spelt as it should be.")     \
    X(MISSING_FIELD, "missing_required_parameter", "Missing required parameter: '%s'.")            \
    X(WRONG_TYPE, "invalid_type", "Parameter '%s' is of the wrong type.")                          \
    X(OUT_OF_RANGE, "invalid_value", "Parameter '%s' is not a whole number within its range.")     \
    X(BAD_MODEL, "invalid_value",                                                                  \
      "Parameter '%s' is empty, too long, or holds a character that "                              \
      "no model name has.")

enum request_error {
    REQUEST_OK_,
#define X(name, code, sentence) REQUEST_##name,
    REQUEST_ERRORS(X)
#undef X
};

struct request_value {
    bool is_present; /* and its value is not null */
    bool is_null;
    enum json_type type;
    uint64_t begin, end; /* of the value in the body */
    uint64_t n_items, n_bytes;
    int64_t integer; /* of a number that passed its range */
};

/* Worker-local, fixed size (2.5 KiB). Read through the functions below. */
struct request_scan {
    enum ai_endpoint endpoint;
    enum request_error error; /* sticky: the first one in the order of the bytes */
    struct str param;
    bool is_in_shape;        /* of a tensor, past its first dimension */
    int64_t most_rows;       /* the largest first dimension so far */
    uint64_t longest_column; /* items of the longest column that has ended */
    size_t model_len;
    char model[LIMIT_MODEL_NAME_BYTES];
    struct request_value values[REQUEST_FIELD_COUNT_];
    struct json_scan json;
};

void request_scan_init(struct request_scan *s, enum ai_endpoint endpoint);
/* 0 or enum request_error, which stays. The struct must not move between calls. */
MUST_USE int request_scan_feed(struct request_scan *s, struct str span);
/* The body ends here: 0 when it is whole and has what the endpoint needs. A KServe body in the
 * binary form is fed as far as Inference-Header-Content-Length says. */
MUST_USE int request_scan_end(struct request_scan *s);

/* The model is known, and nothing was wrong so far. What follows may still be a violation. */
bool request_scan_has_model(const struct request_scan *s);
/* Borrows from the scan; empty until it is known. */
struct str request_scan_model(const struct request_scan *s);
const struct request_value *request_scan_value(const struct request_scan *s,
                                               enum request_field field);
/* "stream":true, or an endpoint that always streams. */
bool request_scan_is_stream(const struct request_scan *s);
/* "stream_options":{"include_usage":true} */
bool request_scan_has_include_usage(const struct request_scan *s);
/* Tokens that one answer may have, the largest of the bounds given; -1: no bound given. */
int64_t request_scan_max_tokens(const struct request_scan *s);
/* Answers asked for ("n"): 1 or more. */
int64_t request_scan_n_answers(const struct request_scan *s);
/* Rows of a KServe prediction so far, 1 or more: instances, those of the longest column, or the
 * largest first dimension of a tensor: which of several is the batch is the model's to know. */
int64_t request_scan_n_rows(const struct request_scan *s);
/* A tensor's shape tells all rows at once, and columns are equally long: none are to be expected.
 */
bool request_scan_has_all_rows(const struct request_scan *s);
/* The field that the error is about, as the endpoint's API spells its path; or empty. */
struct str request_scan_param(const struct request_scan *s);
/* The provider's word for the error; never NULL. */
const char *request_error_code(enum request_error error);
/* A sentence for the client, field named. */
void request_scan_explain(const struct request_scan *s, struct buf *out);
