/* Anthropic Messages request -> OpenAI Chat Completions request.
 *
 * `max_tokens` goes as `max_completion_tokens`, which OpenAI's current models demand and the common
 * model servers take. A stream always asks for usage, since message_delta must tell it. Tools that
 * the provider itself would run (web search, code execution, MCP servers) are refused; what only
 * tunes (top_k, thinking, cache marks, service_tier, the effort of output_config) is left out.
 * Messages are written by to_chat_content.c. Owner: the caller's buffer. Pure. */
#include "llm/translate/to_chat.h"

static bool check_refused(const struct reading *r, const json_t *root)
{
    static const char *const keys[] = {"mcp_servers", "container", "context_management"};

    for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
        const json_t *value = json_object_get(root, keys[i]);
        bool is_nothing =
            !value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0);

        if (!is_nothing)
            return reading_fault(r, NULL, keys[i], "'%s' is not supported by the backend.",
                                 keys[i]);
    }
    return true;
}

static bool write_max_tokens(const struct reading *r, const json_t *root, struct writer *w)
{
    const json_t *value;

    if (!reading_need(r, NULL, root, "max_tokens", WANT_INTEGER, &value))
        return false;
    if (json_integer_value(value) < 1)
        return reading_fault(r, NULL, "max_tokens", "'max_tokens' must be at least 1.");
    writer_member_json(w, "max_completion_tokens", value);
    return true;
}

static bool write_sampling(const struct reading *r, const json_t *root, struct writer *w)
{
    static const struct place list = {NULL, "stop_sequences", 0};
    const json_t *value;
    const json_t *item;
    size_t i;

    if (!reading_get(r, NULL, root, "temperature", WANT_NUMBER, &value))
        return false;
    if (value)
        writer_member_json(w, "temperature", value);
    if (!reading_get(r, NULL, root, "top_p", WANT_NUMBER, &value))
        return false;
    if (value)
        writer_member_json(w, "top_p", value);
    if (!reading_get(r, NULL, root, "stop_sequences", WANT_ARRAY, &value))
        return false;
    json_array_foreach(value, i, item)
    {
        struct place at = {&list, NULL, i};

        if (!reading_type(r, &at, item, WANT_STRING))
            return false;
    }
    if (json_array_size(value) > 0)
        writer_member_json(w, "stop", value);
    return true;
}

static bool write_user(const struct reading *r, const json_t *root, struct writer *w)
{
    static const struct place at = {NULL, "metadata", 0};
    const json_t *metadata;
    const json_t *user;

    if (!reading_get(r, NULL, root, "metadata", WANT_OBJECT, &metadata) ||
        !reading_get(r, &at, metadata, "user_id", WANT_STRING, &user))
        return false;
    if (user)
        writer_member_json(w, "user", user);
    return true;
}

static bool write_tool(const struct reading *r, const struct place *at, const json_t *tool,
                       struct writer *w)
{
    const json_t *value;
    struct str name;

    if (!reading_type(r, at, tool, WANT_OBJECT) ||
        !reading_get(r, at, tool, "type", WANT_STRING, &value))
        return false;
    if (value && !str_eq(document_text(value), STR("custom")))
        return reading_fault(r, at, "type", "The backend supports custom tools only.");
    if (!reading_text(r, at, tool, "name", &name))
        return false;
    writer_open(w, '{');
    writer_member(w, "type", STR("function"));
    writer_member_open(w, "function", '{');
    writer_member(w, "name", name);
    if (!reading_get(r, at, tool, "description", WANT_STRING, &value))
        return false;
    if (value)
        writer_member_json(w, "description", value);
    if (!reading_need(r, at, tool, "input_schema", WANT_OBJECT, &value))
        return false;
    writer_member_json(w, "parameters", value);
    if (!reading_get(r, at, tool, "strict", WANT_BOOL, &value))
        return false;
    if (json_is_true(value))
        writer_member_raw(w, "strict", STR("true"));
    writer_close(w, '}');
    writer_close(w, '}');
    return true;
}

static bool write_tool_choice(const struct reading *r, const json_t *root, struct writer *w)
{
    static const struct place at = {NULL, "tool_choice", 0};
    const json_t *choice;
    const json_t *is_serial;
    struct str type;
    struct str name;

    if (!reading_get(r, NULL, root, "tool_choice", WANT_OBJECT, &choice))
        return false;
    if (!choice)
        return true;
    if (!reading_text(r, &at, choice, "type", &type) ||
        !reading_get(r, &at, choice, "disable_parallel_tool_use", WANT_BOOL, &is_serial))
        return false;
    if (str_eq(type, STR("auto")) || str_eq(type, STR("none"))) {
        writer_member(w, "tool_choice", type);
    } else if (str_eq(type, STR("any"))) {
        writer_member(w, "tool_choice", STR("required"));
    } else if (str_eq(type, STR("tool"))) {
        if (!reading_text(r, &at, choice, "name", &name))
            return false;
        writer_member_open(w, "tool_choice", '{');
        writer_member(w, "type", STR("function"));
        writer_member_open(w, "function", '{');
        writer_member(w, "name", name);
        writer_close(w, '}');
        writer_close(w, '}');
    } else {
        return reading_fault(r, &at, "type",
                             "'tool_choice.type' must be 'auto', 'any', 'tool' or 'none'.");
    }
    if (json_is_true(is_serial))
        writer_member_raw(w, "parallel_tool_calls", STR("false"));
    return true;
}

/* Anthropic's format is a bare schema; OpenAI's has a name, too. */
static bool write_format(const struct reading *r, const json_t *root, struct writer *w)
{
    static const struct place outer = {NULL, "output_config", 0};
    static const struct place at = {&outer, "format", 0};
    const json_t *config;
    const json_t *format;
    const json_t *schema;
    struct str type;

    if (!reading_get(r, NULL, root, "output_config", WANT_OBJECT, &config) ||
        !reading_get(r, &outer, config, "format", WANT_OBJECT, &format))
        return false;
    if (!format)
        return true;
    if (!reading_text(r, &at, format, "type", &type))
        return false;
    if (!str_eq(type, STR("json_schema")))
        return reading_fault(r, &at, "type", "The backend supports format 'json_schema' only.");
    if (!reading_need(r, &at, format, "schema", WANT_OBJECT, &schema))
        return false;
    writer_member_open(w, "response_format", '{');
    writer_member(w, "type", STR("json_schema"));
    writer_member_open(w, "json_schema", '{');
    writer_member(w, "name", STR("answer"));
    writer_member_raw(w, "strict", STR("true"));
    writer_member_json(w, "schema", schema);
    writer_close(w, '}');
    writer_close(w, '}');
    return true;
}

static bool write_stream(struct translate *t, const struct reading *r, const json_t *root,
                         struct writer *w)
{
    const json_t *stream;

    if (!reading_get(r, NULL, root, "stream", WANT_BOOL, &stream))
        return false;
    t->is_stream = json_is_true(stream);
    if (t->is_stream) {
        writer_member_raw(w, "stream", STR("true"));
        writer_member_raw(w, "stream_options", STR("{\"include_usage\":true}"));
    }
    return true;
}

bool to_chat_write(struct translate *t, const struct reading *r, const json_t *root,
                   struct str model, struct buf *out)
{
    struct writer w = {.out = out};

    if (!check_refused(r, root))
        return false;
    writer_open(&w, '{');
    writer_member(&w, "model", model);
    if (!write_max_tokens(r, root, &w) || !to_chat_write_messages(r, root, &w) ||
        !write_sampling(r, root, &w) || !tools_write(r, root, write_tool, write_tool_choice, &w) ||
        !write_format(r, root, &w) || !write_user(r, root, &w) || !write_stream(t, r, root, &w))
        return false;
    writer_close(&w, '}');
    return true;
}
