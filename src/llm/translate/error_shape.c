/* Reading and writing of error documents.
 *
 * The statuses and types are those that Anthropic documents; OpenAI's libraries choose their class
 * by status and show type and code as they come. Inside a stream there is no status, so the
 * upstream's own word is brought to the same set of types. What an upstream answers instead of JSON
 * (a load balancer's page) is quoted only when it is short plain text. */
#include "llm/translate/error_shape.h"

#include <stdio.h>

#include "llm/translate/document.h"
#include "llm/translate/writer.h"

enum { QUOTE_BYTES_MAX = 1024, MESSAGE_BYTES_MAX = 4096, WORD_BYTES_MAX = 256 };

static const struct {
    unsigned status;
    struct str type;
    struct str code;
} by_status[] = {
    {400, STR("invalid_request_error"), {"", 0}},
    {401, STR("authentication_error"), STR("invalid_api_key")},
    {402, STR("billing_error"), {"", 0}},
    {403, STR("permission_error"), {"", 0}},
    {404, STR("not_found_error"), STR("model_not_found")},
    {413, STR("request_too_large"), {"", 0}},
    {429, STR("rate_limit_error"), STR("rate_limit_exceeded")},
    {500, STR("api_error"), {"", 0}},
    {504, STR("timeout_error"), {"", 0}},
    {529, STR("overloaded_error"), {"", 0}},
};

/* Words of other servers for the types above. */
static const struct {
    struct str word;
    struct str type;
} synonyms[] = {
    {STR("invalid_api_key"), STR("authentication_error")},
    {STR("insufficient_quota"), STR("rate_limit_error")},
    {STR("rate_limit_exceeded"), STR("rate_limit_error")},
    {STR("requests"), STR("rate_limit_error")},
    {STR("tokens"), STR("rate_limit_error")},
    {STR("context_length_exceeded"), STR("invalid_request_error")},
    {STR("BadRequestError"), STR("invalid_request_error")},
    {STR("NotFoundError"), STR("not_found_error")},
};

static size_t find_status(unsigned status)
{
    size_t found = 0;

    for (size_t i = 0; i < N_ELEMENTS(by_status); i++) {
        if (by_status[i].status == status)
            return i;
        if (status >= 500 && by_status[i].status == 500)
            found = i;
    }
    return found;
}

struct str error_shape_type(unsigned status)
{
    return by_status[find_status(status)].type;
}

static struct str known_type(struct str word)
{
    for (size_t i = 0; i < N_ELEMENTS(by_status); i++) {
        if (str_eq(word, by_status[i].type))
            return by_status[i].type;
    }
    for (size_t i = 0; i < N_ELEMENTS(synonyms); i++) {
        if (str_eq(word, synonyms[i].word))
            return synonyms[i].type;
    }
    return error_shape_type(500);
}

static void member_or_null(struct writer *w, const char *key, struct str value)
{
    if (value.len > 0)
        writer_member(w, key, value);
    else
        writer_member_raw(w, key, STR("null"));
}

static void write_openai(struct writer *w, const struct error_shape *e, struct str type)
{
    struct str code = e->code;

    if (code.len == 0 && e->status != 0)
        code = by_status[find_status(e->status)].code;
    writer_member_open(w, "error", '{');
    writer_member(w, "message", e->message);
    writer_member(w, "type", type);
    member_or_null(w, "param", e->param);
    member_or_null(w, "code", code);
    writer_close(w, '}');
}

static void write_anthropic(struct writer *w, const struct error_shape *e, struct str type)
{
    writer_member(w, "type", STR("error"));
    writer_member_open(w, "error", '{');
    writer_member(w, "type", type);
    writer_member(w, "message", e->message);
    writer_close(w, '}');
}

/* The "error" of the Open Inference Protocol is the message and nothing else: an object in its
 * place is shown as it stands, or breaks clients that read a string. */
static void write_kserve(struct writer *w, const struct error_shape *e)
{
    writer_member(w, "error", e->message);
    if (e->code.len > 0)
        writer_member(w, "code", e->code);
}

void error_shape_write(const struct error_shape *e, enum ai_dialect dialect, struct buf *out)
{
    struct writer w = {.out = out};
    struct str type = e->type.len > 0 ? e->type : error_shape_type(e->status);

    writer_open(&w, '{');
    switch (dialect) {
    case AI_DIALECT_ANTHROPIC:
        write_anthropic(&w, e, type);
        break;
    case AI_DIALECT_KSERVE_V1:
    case AI_DIALECT_KSERVE_V2:
        write_kserve(&w, e);
        break;
    case AI_DIALECT_NONE:
    case AI_DIALECT_OPENAI:
    case AI_DIALECT_COHERE:
        write_openai(&w, e, type);
        break;
    }
    writer_close(&w, '}');
}

void error_shape_write_frame(const struct error_shape *e, enum ai_dialect dialect, struct buf *out)
{
    buf_append_str(out,
                   dialect == AI_DIALECT_ANTHROPIC ? STR("event: error\ndata: ") : STR("data: "));
    error_shape_write(e, dialect, out);
    buf_append_str(out, STR("\n\n"));
}

static bool is_short_text(struct str body)
{
    body = document_trim(body);
    if (body.len == 0 || body.len > QUOTE_BYTES_MAX || body.ptr[0] == '<' || body.ptr[0] == '{')
        return false;
    for (size_t i = 0; i < body.len; i++) {
        unsigned char c = (unsigned char)body.ptr[i];

        if (c == 0x7f || (c < 0x20 && c != '\n' && c != '\r' && c != '\t'))
            return false;
    }
    return true;
}

/* A copy in the room, which was made large enough before. */
static struct str keep(struct buf *room, struct str s, size_t max)
{
    size_t at = room->len;

    buf_append_str(room, str_slice(s, 0, max));
    return str_make(room->ptr + at, room->len - at);
}

static struct str find_message(const json_t *root, const json_t *inner, struct str body)
{
    struct str message = document_str(inner, "message");

    if (message.len == 0)
        message = document_str(root, "error"); /* a bare sentence, as some servers send */
    if (message.len == 0)
        message = document_str(root, "message");
    if (message.len == 0 && !root && is_short_text(body))
        message = document_trim(body);
    return message;
}

void error_shape_read(unsigned status, struct str body, struct buf *room, struct error_shape *ret)
{
    json_t *root AUTO(document_free) = NULL;
    int r = document_load(body, &root);
    const json_t *inner = document_object(root, "error");
    struct str message = find_message(root, inner, body);
    char text[64];

    (void)r; /* what is no document has no members */
    if (message.len == 0) {
        snprintf(text, sizeof text, "The upstream failed with status %u and no message.", status);
        message = str_of(text);
    }
    buf_clear(room);
    buf_reserve(room, MESSAGE_BYTES_MAX + 2 * WORD_BYTES_MAX);
    *ret = (struct error_shape){.status = status};
    if (status == 0)
        ret->type = known_type(document_str(inner, "type"));
    ret->message = keep(room, message, MESSAGE_BYTES_MAX);
    ret->param = keep(room, document_str(inner, "param"), WORD_BYTES_MAX);
    ret->code = keep(room, document_str(inner, "code"), WORD_BYTES_MAX);
}
