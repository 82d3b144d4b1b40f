/* multipart/form-data (RFC 7578, RFC 2046) as it passes: finds the fields `model`, `stream` and
 * `response_format` of OpenAI's transcriptions and translations, and skips everything else.
 *
 * The gateway decides by the model that it reads here, and the upstream reads the form again with a
 * parser of its own. So whatever two parsers may read differently is refused: bare line feeds,
 * lines that only begin like a delimiter, folded headers, escaped names, a field given twice.
 *
 * Exchange-local, one per request, of a fixed size (about 5 KiB); allocates nothing. The verdict
 * and all values are the same however the body is cut into pieces. */
#pragma once

#include "base/arena.h"
#include "base/limits.h"

/* X(name, field, sentence): conditions; `field` is the form field at fault, or "". */
#define MULTIPART_CONDITIONS(X)                                                                    \
    X(NOT_FORM_DATA, "", "The Content-Type must be multipart/form-data in UTF-8.")                 \
    X(BAD_BOUNDARY, "", "The Content-Type names no valid boundary.")                               \
    X(BAD_DELIMITER, "", "A line begins like the boundary, but is no delimiter.")                  \
    X(BAD_PART, "", "The head of a part is malformed or ambiguous.")                               \
    X(HEAD_TOO_LARGE, "", "The head of a part is too large.")                                      \
    X(TOO_MANY_PARTS, "", "The form has too many parts.")                                          \
    X(DUPLICATE_MODEL, "model", "The field 'model' is given twice.")                               \
    X(DUPLICATE_STREAM, "stream", "The field 'stream' is given twice.")                            \
    X(DUPLICATE_FORMAT, "response_format", "The field 'response_format' is given twice.")          \
    X(BAD_MODEL, "model", "The field 'model' is no model name.")                                   \
    X(BAD_STREAM, "stream", "The field 'stream' must be true or false.")                           \
    X(BAD_FORMAT, "response_format", "The field 'response_format' is not valid.")                  \
    X(TRUNCATED, "", "The form ends before its closing boundary.")                                 \
    X(NO_MODEL, "model", "The field 'model' is missing.")

enum multipart_condition {
    MULTIPART_NONE_,
#define X(name, field, sentence) MULTIPART_##name,
    MULTIPART_CONDITIONS(X)
#undef X
};

enum multipart_field {
    MULTIPART_FIELD_OTHER,
    MULTIPART_FIELD_MODEL,
    MULTIPART_FIELD_STREAM,
    MULTIPART_FIELD_FORMAT,
    MULTIPART_FIELD_COUNT,
};

enum {
    MULTIPART_BOUNDARY_MAX = 70, /* RFC 2046, 5.1.1 */
    MULTIPART_VALUE_BYTES = LIMIT_MODEL_NAME_BYTES > LIMIT_MULTIPART_OPTION_BYTES
                                ? LIMIT_MODEL_NAME_BYTES
                                : LIMIT_MULTIPART_OPTION_BYTES,
};

/* Private but for reading it in a debugger. */
struct multipart {
    uint8_t state;     /* enum multipart_state, multipart.c */
    uint8_t condition; /* once not 0, the reader is over */
    uint8_t field;     /* enum multipart_field: whose value passes */
    uint8_t n_matched; /* bytes of `delimiter` that passed */
    uint8_t n_delimiter;
    bool had_cr;      /* a CR stood in front of them */
    bool is_at_start; /* of a content: they may be its first bytes, less the line feed */
    char last_byte;   /* in front of the next one */
    bool has_field[MULTIPART_FIELD_COUNT];
    bool is_stream;
    uint32_t n_parts;
    uint32_t n_head;
    uint32_t n_value;
    uint32_t n_model;
    uint32_t n_format;
    uint64_t offset; /* bytes that passed */
    uint64_t model_offset;
    char delimiter[MULTIPART_BOUNDARY_MAX + 3]; /* "\n--boundary" */
    char model[LIMIT_MODEL_NAME_BYTES];
    char format[LIMIT_MULTIPART_OPTION_BYTES];
    char value[MULTIPART_VALUE_BYTES + 1]; /* with the CR of its end */
    char head[LIMIT_MULTIPART_HEAD_BYTES];
};

/* `content_type` is the request's one Content-Type. 0, MULTIPART_NOT_FORM_DATA or
 * MULTIPART_BAD_BOUNDARY. */
MUST_USE int multipart_init(struct multipart *m, struct str content_type);
/* The next bytes of the body. 0 or a condition; after one, every call answers the same. */
MUST_USE int multipart_feed(struct multipart *m, struct str bytes);
/* The body is over. 0: the form is complete and names its model. */
MUST_USE int multipart_finish(struct multipart *m);

/* Whether the model has passed whole (a later violation can still follow). */
bool multipart_has_model(const struct multipart *m);
/* Borrows from `m`; empty before it passed. Printable ASCII, no spaces at its ends. */
struct str multipart_model(const struct multipart *m);
/* False unless the field says so. */
bool multipart_is_stream(const struct multipart *m);
/* Empty: not given. Borrows from `m`. */
struct str multipart_format(const struct multipart *m);

/* A copy of the whole body, after multipart_finish() gave 0, with another model; nothing else
 * changes. MULTIPART_BAD_MODEL: `model` is no name that could be read again. */
MUST_USE int multipart_replace_model(const struct multipart *m, struct str body, struct str model,
                                     struct arena *arena, struct str *ret_body);

const char *multipart_condition_sentence(int condition);
const char *multipart_condition_field(int condition);
