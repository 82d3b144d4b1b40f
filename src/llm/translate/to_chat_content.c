/* Anthropic's `system` and `messages` -> OpenAI messages.
 *
 * One turn may become several messages: each tool_result is a message of role `tool`, which must
 * follow the assistant's calls, so results go first and the rest of the turn behind them as one
 * user message. A `tool` message holds text only: images of a result move to that user message.
 * Thinking of earlier turns is left out, since no other model may read it. A lone text is written
 * as a string, which servers of small models understand. Owner: the caller's buffer. Pure. */
#include "llm/translate/to_chat.h"

/* One turn's parts, as they are found. */
struct parts {
    const struct reading *r;
    struct buf bytes;
    struct writer w;
    size_t n;
    struct str only_text; /* of the first part, if it is a text */
};

static void parts_deinit(struct parts *p)
{
    buf_deinit(&p->bytes);
}

static void add_text(struct parts *p, struct str text)
{
    if (p->n++ == 0)
        p->only_text = text;
    writer_open(&p->w, '{');
    writer_member(&p->w, "type", STR("text"));
    writer_member(&p->w, "text", text);
    writer_close(&p->w, '}');
}

static void write_parts(const struct parts *p, struct writer *w)
{
    writer_key(w, "content");
    if (p->n == 1 && p->only_text.ptr) {
        writer_str(w, p->only_text);
        return;
    }
    writer_open(w, '[');
    writer_raw(w, buf_str(&p->bytes));
    writer_close(w, ']');
}

static void write_data_url(struct writer *w, const char *key, struct str type, struct str data)
{
    struct buf url AUTO(buf_deinit) = {0};

    buf_append_str(&url, STR("data:"));
    buf_append_str(&url, type);
    buf_append_str(&url, STR(";base64,"));
    buf_append_str(&url, data);
    writer_member(w, key, buf_str(&url));
}

/* `source` of an image or a document: either base64 (`*ret_type` and text), a URL or plain text. */
static bool read_source(const struct reading *r, const struct place *at, const json_t *block,
                        struct str *ret_kind, struct str *ret_type, struct str *ret_text)
{
    struct place place = {at, "source", 0};
    const json_t *source;

    *ret_kind = *ret_type = *ret_text = STR_NULL;
    if (!reading_need(r, at, block, "source", WANT_OBJECT, &source) ||
        !reading_text(r, &place, source, "type", ret_kind))
        return false;
    if (str_eq(*ret_kind, STR("base64")))
        return reading_text(r, &place, source, "media_type", ret_type) &&
               reading_text(r, &place, source, "data", ret_text);
    if (str_eq(*ret_kind, STR("url")))
        return reading_text(r, &place, source, "url", ret_text);
    if (str_eq(*ret_kind, STR("text")))
        return reading_text(r, &place, source, "data", ret_text);
    return reading_fault(r, &place, "type", "The backend does not support sources of this type.");
}

static bool add_image(struct parts *p, const struct place *at, const json_t *block)
{
    struct str kind;
    struct str type;
    struct str text;

    if (!read_source(p->r, at, block, &kind, &type, &text))
        return false;
    if (str_eq(kind, STR("text")))
        return reading_fault(p->r, at, "source", "An image is no text.");
    p->n++;
    writer_open(&p->w, '{');
    writer_member(&p->w, "type", STR("image_url"));
    writer_member_open(&p->w, "image_url", '{');
    if (type.ptr)
        write_data_url(&p->w, "url", type, text);
    else
        writer_member(&p->w, "url", text);
    writer_close(&p->w, '}');
    writer_close(&p->w, '}');
    return true;
}

static bool add_document(struct parts *p, const struct place *at, const json_t *block)
{
    const json_t *title;
    struct str kind;
    struct str type;
    struct str text;

    if (!read_source(p->r, at, block, &kind, &type, &text) ||
        !reading_get(p->r, at, block, "title", WANT_STRING, &title))
        return false;
    if (str_eq(kind, STR("url")))
        return reading_fault(p->r, at, "source", "The backend takes no documents by URL.");
    if (str_eq(kind, STR("text"))) {
        add_text(p, text);
        return true;
    }
    p->n++;
    writer_open(&p->w, '{');
    writer_member(&p->w, "type", STR("file"));
    writer_member_open(&p->w, "file", '{');
    writer_member(&p->w, "filename", title ? document_text(title) : STR("document.pdf"));
    write_data_url(&p->w, "file_data", type, text);
    writer_close(&p->w, '}');
    writer_close(&p->w, '}');
    return true;
}

/* Texts go to `text`, one behind the other; images to the user message's parts. */
static bool split_result(struct parts *p, const struct place *at, const json_t *content,
                         struct buf *text)
{
    const json_t *block;
    size_t i;

    if (json_is_string(content))
        buf_append_str(text, document_text(content));
    if (!content || json_is_null(content) || json_is_string(content))
        return true;
    if (!json_is_array(content))
        return reading_fault(p->r, at, NULL, "'content' must be a string or an array of blocks.");
    json_array_foreach(content, i, block)
    {
        struct place place = {at, NULL, i};
        struct str type;
        struct str part;

        if (!reading_type(p->r, &place, block, WANT_OBJECT) ||
            !reading_text(p->r, &place, block, "type", &type))
            return false;
        if (str_eq(type, STR("image"))) {
            if (!add_image(p, &place, block))
                return false;
            continue;
        }
        if (!str_eq(type, STR("text")))
            return reading_fault(p->r, &place, "type",
                                 "The backend does not support tool results of this type.");
        if (!reading_text(p->r, &place, block, "text", &part))
            return false;
        if (text->len > 0)
            buf_append_char(text, '\n');
        buf_append_str(text, part);
    }
    return true;
}

static bool write_tool_result(struct parts *p, const struct place *at, const json_t *block,
                              struct writer *w)
{
    struct place place = {at, "content", 0};
    struct buf text AUTO(buf_deinit) = {0};
    struct str id;

    if (!reading_text(p->r, at, block, "tool_use_id", &id) ||
        !split_result(p, &place, json_object_get(block, "content"), &text))
        return false;
    writer_open(w, '{');
    writer_member(w, "role", STR("tool"));
    writer_member(w, "tool_call_id", id);
    writer_member(w, "content", buf_str(&text));
    writer_close(w, '}');
    return true;
}

static bool write_user_block(struct parts *p, const struct place *at, const json_t *block,
                             struct writer *w)
{
    struct str type;
    struct str text;

    if (!reading_type(p->r, at, block, WANT_OBJECT) ||
        !reading_text(p->r, at, block, "type", &type))
        return false;
    if (str_eq(type, STR("text"))) {
        if (!reading_text(p->r, at, block, "text", &text))
            return false;
        add_text(p, text);
        return true;
    }
    if (str_eq(type, STR("image")))
        return add_image(p, at, block);
    if (str_eq(type, STR("document")))
        return add_document(p, at, block);
    if (str_eq(type, STR("tool_result")))
        return write_tool_result(p, at, block, w);
    return reading_fault(p->r, at, "type", "The backend does not support content of this type.");
}

static bool write_user(const struct reading *r, const struct place *at, const json_t *content,
                       struct writer *w)
{
    struct parts p AUTO(parts_deinit) = {.r = r};
    const json_t *block;
    size_t i;

    p.w.out = &p.bytes;
    if (json_is_string(content))
        add_text(&p, document_text(content));
    json_array_foreach(content, i, block)
    {
        struct place place = {at, NULL, i};

        if (!write_user_block(&p, &place, block, w))
            return false;
    }
    if (p.n > 0) {
        writer_open(w, '{');
        writer_member(w, "role", STR("user"));
        write_parts(&p, w);
        writer_close(w, '}');
    }
    return true;
}

static bool add_tool_call(const struct reading *r, const struct place *at, const json_t *block,
                          struct writer *w)
{
    const json_t *input;
    struct str id;
    struct str name;

    if (!reading_text(r, at, block, "id", &id) || !reading_text(r, at, block, "name", &name) ||
        !reading_need(r, at, block, "input", WANT_OBJECT, &input))
        return false;
    writer_open(w, '{');
    writer_member(w, "id", id);
    writer_member(w, "type", STR("function"));
    writer_member_open(w, "function", '{');
    writer_member(w, "name", name);
    writer_key(w, "arguments");
    writer_json_text(w, input);
    writer_close(w, '}');
    writer_close(w, '}');
    return true;
}

static bool write_assistant_block(struct parts *p, const struct place *at, const json_t *block,
                                  struct writer *calls)
{
    struct str type;
    struct str text;

    if (!reading_type(p->r, at, block, WANT_OBJECT) ||
        !reading_text(p->r, at, block, "type", &type))
        return false;
    if (str_eq(type, STR("thinking")) || str_eq(type, STR("redacted_thinking")))
        return true;
    if (str_eq(type, STR("tool_use")))
        return add_tool_call(p->r, at, block, calls);
    if (!str_eq(type, STR("text")))
        return reading_fault(p->r, at, "type",
                             "The backend does not support content of this type.");
    if (!reading_text(p->r, at, block, "text", &text))
        return false;
    add_text(p, text);
    return true;
}

static bool write_assistant(const struct reading *r, const struct place *at, const json_t *content,
                            struct writer *w)
{
    struct parts p AUTO(parts_deinit) = {.r = r};
    struct buf calls_bytes AUTO(buf_deinit) = {0};
    struct writer calls = {.out = &calls_bytes};
    const json_t *block;
    size_t i;

    p.w.out = &p.bytes;
    if (json_is_string(content))
        add_text(&p, document_text(content));
    json_array_foreach(content, i, block)
    {
        struct place place = {at, NULL, i};

        if (!write_assistant_block(&p, &place, block, &calls))
            return false;
    }
    if (p.n == 0 && calls_bytes.len == 0)
        return true;
    writer_open(w, '{');
    writer_member(w, "role", STR("assistant"));
    if (p.n > 0)
        write_parts(&p, w);
    else
        writer_member_raw(w, "content", STR("null"));
    if (calls_bytes.len > 0) {
        writer_member_open(w, "tool_calls", '[');
        writer_raw(w, buf_str(&calls_bytes));
        writer_close(w, ']');
    }
    writer_close(w, '}');
    return true;
}

/* A string, or blocks of text, which become lines of one system message. */
static bool write_system(const struct reading *r, const json_t *root, struct writer *w)
{
    static const struct place list = {NULL, "system", 0};
    const json_t *system = json_object_get(root, "system");
    struct buf text AUTO(buf_deinit) = {0};
    const json_t *block;
    size_t i;

    if (json_is_string(system))
        buf_append_str(&text, document_text(system));
    else if (system && !json_is_null(system) && !json_is_array(system))
        return reading_fault(r, &list, NULL, "'system' must be a string or an array of blocks.");
    json_array_foreach(system, i, block)
    {
        struct place at = {&list, NULL, i};
        struct str type;
        struct str part;

        if (!reading_type(r, &at, block, WANT_OBJECT) ||
            !reading_text(r, &at, block, "type", &type))
            return false;
        if (!str_eq(type, STR("text")))
            return reading_fault(r, &at, "type", "'system' holds blocks of text only.");
        if (!reading_text(r, &at, block, "text", &part))
            return false;
        if (text.len > 0)
            buf_append_char(&text, '\n');
        buf_append_str(&text, part);
    }
    if (text.len > 0) {
        writer_open(w, '{');
        writer_member(w, "role", STR("system"));
        writer_member(w, "content", buf_str(&text));
        writer_close(w, '}');
    }
    return true;
}

static bool write_message(const struct reading *r, const struct place *at, const json_t *message,
                          struct writer *w)
{
    struct place place = {at, "content", 0};
    const json_t *content;
    struct str role;

    if (!reading_type(r, at, message, WANT_OBJECT) || !reading_text(r, at, message, "role", &role))
        return false;
    content = json_object_get(message, "content");
    if (!json_is_string(content) && !json_is_array(content))
        return reading_fault(r, &place, NULL, "'content' must be a string or an array of blocks.");
    if (str_eq(role, STR("user")))
        return write_user(r, &place, content, w);
    if (str_eq(role, STR("assistant")))
        return write_assistant(r, &place, content, w);
    return reading_fault(r, at, "role", "'role' must be 'user' or 'assistant'.");
}

bool to_chat_write_messages(const struct reading *r, const json_t *root, struct writer *w)
{
    static const struct place list = {NULL, "messages", 0};
    const json_t *messages;
    const json_t *message;
    size_t i;

    if (!reading_need(r, NULL, root, "messages", WANT_ARRAY, &messages))
        return false;
    if (json_array_size(messages) == 0)
        return reading_fault(r, NULL, "messages", "'messages' is empty.");
    writer_member_open(w, "messages", '[');
    if (!write_system(r, root, w))
        return false;
    json_array_foreach(messages, i, message)
    {
        struct place at = {&list, NULL, i};

        if (!write_message(r, &at, message, w))
            return false;
    }
    writer_close(w, ']');
    return true;
}
