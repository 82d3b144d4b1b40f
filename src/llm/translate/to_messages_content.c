/* OpenAI messages -> Anthropic's `system` and `messages`.
 *
 * Anthropic's turns alternate and hold blocks. So a turn stays open while messages of its side come
 * (a tool's result speaks for the user), and is begun by its first block only, since empty content
 * is refused there. Each message's own place is kept for faults. Tool arguments are JSON inside a
 * string here and a value there, hence a document of their own, bounded like any. Images travel
 * as data URLs here and as their parts there; the base64 itself is not looked into. */
#include "llm/translate/to_messages.h"

enum turn { TURN_NONE, TURN_USER, TURN_ASSISTANT };

struct turns {
    const struct reading *r;
    struct writer *w;     /* the messages */
    struct writer system; /* blocks of `system`, in a buffer of its own */
    enum turn open;
};

static const struct str image_types[] = {STR("image/jpeg"), STR("image/png"), STR("image/gif"),
                                         STR("image/webp")};

bool to_messages_write_cache_control(const struct reading *r, const struct place *at,
                                     const json_t *object, struct writer *w)
{
    const json_t *mark;

    if (!reading_get(r, at, object, "cache_control", WANT_OBJECT, &mark))
        return false;
    if (mark)
        writer_member_json(w, "cache_control", mark);
    return true;
}

static void close_turn(struct turns *s)
{
    if (s->open != TURN_NONE) {
        writer_close(s->w, ']');
        writer_close(s->w, '}');
    }
    s->open = TURN_NONE;
}

static void open_turn(struct turns *s, enum turn turn)
{
    if (s->open == turn)
        return;
    close_turn(s);
    s->open = turn;
    writer_open(s->w, '{');
    writer_member(s->w, "role", turn == TURN_USER ? STR("user") : STR("assistant"));
    writer_member_open(s->w, "content", '[');
}

static void open_block(struct writer *w, struct str type)
{
    writer_open(w, '{');
    writer_member(w, "type", type);
}

/* The block of a text; none for an empty one, which Anthropic refuses. `part` may carry a mark. */
static bool write_text(const struct reading *r, const struct place *at, struct str text,
                       const json_t *part, struct writer *w)
{
    if (text.len == 0)
        return true;
    open_block(w, STR("text"));
    writer_member(w, "text", text);
    if (!to_messages_write_cache_control(r, at, part, w))
        return false;
    writer_close(w, '}');
    return true;
}

/* "data:image/png;base64,AAAA" (RFC 2397) to its media type and data. */
static bool split_data_url(struct str url, struct str *ret_type, struct str *ret_data)
{
    struct str head;
    ssize_t comma = str_find_char(url, ',', 0);

    if (comma < 0 || !str_starts_with_nocase(url, STR("data:")))
        return false;
    head = str_slice(url, 5, (size_t)comma);
    if (!str_ends_with_nocase(head, STR(";base64")))
        return false;
    head.len -= STR(";base64").len;
    ssize_t semicolon = str_find_char(head, ';', 0);

    *ret_type = str_slice(head, 0, semicolon < 0 ? head.len : (size_t)semicolon);
    *ret_data = str_slice(url, (size_t)comma + 1, url.len);
    return ret_data->len > 0;
}

static bool is_image_type(struct str type)
{
    for (size_t i = 0; i < N_ELEMENTS(image_types); i++) {
        if (str_eq_nocase(type, image_types[i]))
            return true;
    }
    return false;
}

static void write_base64(struct writer *w, struct str block, struct str type, struct str data)
{
    open_block(w, block);
    writer_member_open(w, "source", '{');
    writer_member(w, "type", STR("base64"));
    writer_member(w, "media_type", type);
    writer_member(w, "data", data);
    writer_close(w, '}');
}

static bool write_data_url(const struct reading *r, const struct place *at, struct str url,
                           struct writer *w)
{
    struct str type;
    struct str data;

    if (!split_data_url(url, &type, &data))
        return reading_fault(r, at, NULL, "A data URL must hold a media type and base64 data.");
    if (str_eq_nocase(type, STR("application/pdf")))
        write_base64(w, STR("document"), STR("application/pdf"), data);
    else if (is_image_type(type))
        write_base64(w, STR("image"), type, data);
    else
        return reading_fault(r, at, NULL,
                             "The backend takes JPEG, PNG, GIF and WebP images and PDF documents.");
    return true;
}

static bool write_image(const struct reading *r, const struct place *at, const json_t *part,
                        struct writer *w)
{
    struct place inner = {at, "image_url", 0};
    struct place place = {&inner, "url", 0};
    const json_t *image;
    struct str url;

    if (!reading_need(r, at, part, "image_url", WANT_OBJECT, &image) ||
        !reading_text(r, &inner, image, "url", &url))
        return false;
    if (str_starts_with_nocase(url, STR("https://")) ||
        str_starts_with_nocase(url, STR("http://"))) {
        open_block(w, STR("image"));
        writer_member_open(w, "source", '{');
        writer_member(w, "type", STR("url"));
        writer_member(w, "url", url);
        writer_close(w, '}');
    } else if (!write_data_url(r, &place, url, w)) {
        return false;
    }
    if (!to_messages_write_cache_control(r, at, part, w))
        return false;
    writer_close(w, '}');
    return true;
}

static bool write_file(const struct reading *r, const struct place *at, const json_t *part,
                       struct writer *w)
{
    struct place inner = {at, "file", 0};
    struct place place = {&inner, "file_data", 0};
    const json_t *file;
    struct str data;

    if (!reading_need(r, at, part, "file", WANT_OBJECT, &file))
        return false;
    if (json_object_get(file, "file_id"))
        return reading_fault(r, &inner, "file_id",
                             "The backend does not know uploaded files; send 'file_data'.");
    if (!reading_text(r, &inner, file, "file_data", &data) || !write_data_url(r, &place, data, w) ||
        !to_messages_write_cache_control(r, at, part, w))
        return false;
    writer_close(w, '}');
    return true;
}

static bool write_part(const struct reading *r, const struct place *at, const json_t *part,
                       struct writer *w)
{
    struct str type;
    struct str text;

    if (!reading_type(r, at, part, WANT_OBJECT) || !reading_text(r, at, part, "type", &type))
        return false;
    if (str_eq(type, STR("text")))
        return reading_text(r, at, part, "text", &text) && write_text(r, at, text, part, w);
    if (str_eq(type, STR("refusal")))
        return reading_text(r, at, part, "refusal", &text) && write_text(r, at, text, NULL, w);
    if (str_eq(type, STR("image_url")))
        return write_image(r, at, part, w);
    if (str_eq(type, STR("file")))
        return write_file(r, at, part, w);
    return reading_fault(r, at, "type", "The backend does not support content of this type.");
}

/* A string, or parts; `may_media` only where Anthropic takes more than text. */
static bool write_content(const struct reading *r, const struct place *at, const json_t *content,
                          bool may_media, struct writer *w)
{
    const json_t *part;
    size_t i;

    if (!content || json_is_null(content))
        return true;
    if (json_is_string(content))
        return write_text(r, at, document_text(content), NULL, w);
    if (!json_is_array(content)) {
        return reading_fault(r, at, NULL,
                             "'content' must be a string or an array of content parts.");
    }
    json_array_foreach(content, i, part)
    {
        struct place place = {at, NULL, i};
        struct str type = document_str(part, "type");

        if (!may_media && !str_eq(type, STR("text")) && !str_eq(type, STR("refusal")))
            return reading_fault(r, &place, "type", "Messages of this role hold text only.");
        if (!write_part(r, &place, part, w))
            return false;
    }
    return true;
}

static bool is_empty_content(const json_t *content)
{
    return !content || json_is_null(content) ||
           (json_is_string(content) && json_string_length(content) == 0) ||
           (json_is_array(content) && json_array_size(content) == 0);
}

static bool need_content(const struct turns *s, const struct place *at, const json_t *message)
{
    const json_t *content = json_object_get(message, "content");

    return (content && !json_is_null(content)) ||
           reading_fault(s->r, at, "content", "The message has no 'content'.");
}

/* Blocks of content, in a turn that is opened only when there are any. */
static bool write_turn_content(struct turns *s, const struct place *at, const json_t *message,
                               enum turn turn)
{
    struct place place = {at, "content", 0};
    const json_t *content = json_object_get(message, "content");
    struct buf blocks AUTO(buf_deinit) = {0};
    struct writer w = {.out = &blocks};

    if (is_empty_content(content))
        return true;
    if (!write_content(s->r, &place, content, turn == TURN_USER, &w))
        return false;
    if (blocks.len == 0)
        return true;
    open_turn(s, turn);
    writer_raw(s->w, buf_str(&blocks));
    return true;
}

static bool write_tool_call(struct turns *s, const struct place *at, const json_t *call)
{
    struct place inner = {at, "function", 0};
    json_t *arguments AUTO(document_free) = NULL;
    const json_t *function;
    struct str id;
    struct str name;
    struct str text;

    if (!reading_type(s->r, at, call, WANT_OBJECT) || !reading_text(s->r, at, call, "id", &id) ||
        !reading_need(s->r, at, call, "function", WANT_OBJECT, &function) ||
        !reading_text(s->r, &inner, function, "name", &name) ||
        !reading_text(s->r, &inner, function, "arguments", &text))
        return false;
    if (document_trim(text).len > 0 && document_load(text, &arguments) != 0)
        return reading_fault(s->r, &inner, "arguments",
                             "The arguments of a tool call must be a JSON object.");
    open_turn(s, TURN_ASSISTANT);
    open_block(s->w, STR("tool_use"));
    writer_member(s->w, "id", id);
    writer_member(s->w, "name", name);
    if (arguments)
        writer_member_json(s->w, "input", arguments);
    else
        writer_member_raw(s->w, "input", STR("{}"));
    if (!to_messages_write_cache_control(s->r, at, call, s->w))
        return false;
    writer_close(s->w, '}');
    return true;
}

static bool write_assistant(struct turns *s, const struct place *at, const json_t *message)
{
    struct place list = {at, "tool_calls", 0};
    const json_t *calls;
    const json_t *call;
    const json_t *refusal;
    size_t i;

    if (json_is_object(json_object_get(message, "function_call")))
        return reading_fault(s->r, at, "function_call",
                             "'function_call' is not supported by the backend; use 'tool_calls'.");
    if (!write_turn_content(s, at, message, TURN_ASSISTANT) ||
        !reading_get(s->r, at, message, "refusal", WANT_STRING, &refusal) ||
        !reading_get(s->r, at, message, "tool_calls", WANT_ARRAY, &calls))
        return false;
    if (refusal && json_string_length(refusal) > 0) {
        open_turn(s, TURN_ASSISTANT);
        if (!write_text(s->r, at, document_text(refusal), NULL, s->w))
            return false;
    }
    json_array_foreach(calls, i, call)
    {
        struct place place = {&list, NULL, i};

        if (!write_tool_call(s, &place, call))
            return false;
    }
    return true;
}

static bool write_tool_result(struct turns *s, const struct place *at, const json_t *message)
{
    struct place place = {at, "content", 0};
    const json_t *content = json_object_get(message, "content");
    struct str id;

    if (!need_content(s, at, message) || !reading_text(s->r, at, message, "tool_call_id", &id))
        return false;
    open_turn(s, TURN_USER);
    open_block(s->w, STR("tool_result"));
    writer_member(s->w, "tool_use_id", id);
    if (!is_empty_content(content)) {
        writer_member_open(s->w, "content", '[');
        if (!write_content(s->r, &place, content, true, s->w))
            return false;
        writer_close(s->w, ']');
    }
    if (!to_messages_write_cache_control(s->r, at, message, s->w))
        return false;
    writer_close(s->w, '}');
    return true;
}

static bool write_message(struct turns *s, const struct place *at, const json_t *message)
{
    struct place place = {at, "content", 0};
    struct str role;

    if (!reading_type(s->r, at, message, WANT_OBJECT) ||
        !reading_text(s->r, at, message, "role", &role))
        return false;
    if (str_eq(role, STR("system")) || str_eq(role, STR("developer"))) {
        return need_content(s, at, message) &&
               write_content(s->r, &place, json_object_get(message, "content"), false, &s->system);
    }
    if (str_eq(role, STR("user")))
        return need_content(s, at, message) && write_turn_content(s, at, message, TURN_USER);
    if (str_eq(role, STR("assistant")))
        return write_assistant(s, at, message);
    if (str_eq(role, STR("tool")))
        return write_tool_result(s, at, message);
    return reading_fault(s->r, at, "role", "The backend does not support messages of this role.");
}

bool to_messages_write_messages(const struct reading *r, const json_t *root, struct writer *w)
{
    static const struct place list = {NULL, "messages", 0};
    struct buf system AUTO(buf_deinit) = {0};
    struct turns s = {.r = r, .w = w, .system = {.out = &system}};
    const json_t *messages;
    const json_t *message;
    size_t before;
    size_t i;

    if (!reading_need(r, NULL, root, "messages", WANT_ARRAY, &messages))
        return false;
    writer_member_open(w, "messages", '[');
    before = w->out->len;
    json_array_foreach(messages, i, message)
    {
        struct place at = {&list, NULL, i};

        if (!write_message(&s, &at, message))
            return false;
    }
    close_turn(&s);
    if (w->out->len == before)
        return reading_fault(r, NULL, "messages", "'messages' holds no user or assistant message.");
    writer_close(w, ']');
    if (system.len > 0) {
        writer_member_open(w, "system", '[');
        writer_raw(w, buf_str(&system));
        writer_close(w, ']');
    }
    return true;
}
