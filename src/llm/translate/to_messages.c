/* OpenAI Chat Completions request -> Anthropic Messages request.
 *
 * Said otherwise there: system and developer messages become `system`, wherever they stood; the
 * token bound is obligatory (DEFAULT_MAX_TOKENS when the client gives none, which every model
 * accepts); temperature ends at 1. What would change the meaning or the shape of the answer and has
 * no counterpart is refused (n > 1, logprobs, audio, json_object, functions, custom tools); what
 * only tunes sampling or bookkeeping (penalties, seed, store, service_tier, reasoning_effort) is
 * left out. `thinking` and `cache_control`, which Anthropic's users add to OpenAI requests, pass.
 * Messages are written by to_messages_content.c. Owner: the caller's buffer. Pure. */
#include "llm/translate/to_messages.h"

enum { DEFAULT_MAX_TOKENS = 4096 };

static const struct {
    const char *key;
    const char *why;
} refused[] = {
    {"functions", "'functions' is not supported by the backend; use 'tools'."},
    {"function_call", "'function_call' is not supported by the backend; use 'tool_choice'."},
    {"audio", "Audio output is not supported by the backend."},
    {"logit_bias", "'logit_bias' is not supported by the backend."},
    {"top_logprobs", "'top_logprobs' is not supported by the backend."},
    {"web_search_options", "'web_search_options' is not supported by the backend."},
};

static bool is_nothing(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_integer(value) && json_integer_value(value) == 0);
}

static bool check_refused(const struct reading *r, const json_t *root)
{
    const json_t *value;
    const json_t *item;
    size_t i;

    for (i = 0; i < N_ELEMENTS(refused); i++) {
        if (!is_nothing(json_object_get(root, refused[i].key)))
            return reading_fault(r, NULL, refused[i].key, "%s", refused[i].why);
    }
    if (!reading_get(r, NULL, root, "logprobs", WANT_BOOL, &value))
        return false;
    if (json_is_true(value))
        return reading_fault(r, NULL, "logprobs", "'logprobs' is not supported by the backend.");
    if (!reading_get(r, NULL, root, "n", WANT_INTEGER, &value))
        return false;
    if (value && json_integer_value(value) != 1)
        return reading_fault(r, NULL, "n", "The backend gives one choice: 'n' must be 1.");
    if (!reading_get(r, NULL, root, "modalities", WANT_ARRAY, &value))
        return false;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item) || !str_eq(document_text(item), STR("text")))
            return reading_fault(r, NULL, "modalities", "The backend answers with text only.");
    }
    return true;
}

static bool write_max_tokens(const struct reading *r, const json_t *root, struct writer *w)
{
    const char *key = "max_completion_tokens";
    const json_t *value;

    if (!reading_get(r, NULL, root, key, WANT_INTEGER, &value))
        return false;
    if (!value) {
        key = "max_tokens";
        if (!reading_get(r, NULL, root, key, WANT_INTEGER, &value))
            return false;
    }
    if (value && json_integer_value(value) < 1)
        return reading_fault(r, NULL, key, "'%s' must be at least 1.", key);
    writer_member_u64(w, "max_tokens",
                      value ? (uint64_t)json_integer_value(value) : DEFAULT_MAX_TOKENS);
    return true;
}

static bool write_sampling(const struct reading *r, const json_t *root, struct writer *w)
{
    const json_t *value;

    if (!reading_get(r, NULL, root, "temperature", WANT_NUMBER, &value))
        return false;
    if (value && json_number_value(value) > 1)
        writer_member_u64(w, "temperature", 1);
    else if (value && json_number_value(value) < 0)
        writer_member_u64(w, "temperature", 0);
    else if (value)
        writer_member_json(w, "temperature", value);
    if (!reading_get(r, NULL, root, "top_p", WANT_NUMBER, &value))
        return false;
    if (value)
        writer_member_json(w, "top_p", value);
    if (!reading_get(r, NULL, root, "thinking", WANT_OBJECT, &value))
        return false;
    if (value)
        writer_member_json(w, "thinking", value);
    return true;
}

static bool write_stop(const struct reading *r, const json_t *root, struct writer *w)
{
    const json_t *stop = json_object_get(root, "stop");
    const json_t *item;
    size_t i;

    if (json_is_string(stop)) {
        writer_member_open(w, "stop_sequences", '[');
        writer_json(w, stop);
        writer_close(w, ']');
        return true;
    }
    if (is_nothing(stop))
        return true;
    if (!json_is_array(stop))
        return reading_fault(r, NULL, "stop", "'stop' must be a string or an array of strings.");
    writer_member_open(w, "stop_sequences", '[');
    json_array_foreach(stop, i, item)
    {
        struct place at = {&(struct place){NULL, "stop", 0}, NULL, i};

        if (!reading_type(r, &at, item, WANT_STRING))
            return false;
        writer_json(w, item);
    }
    writer_close(w, ']');
    return true;
}

/* OpenAI lets a function go without parameters; `input_schema` must be there. */
static bool write_tool(const struct reading *r, const struct place *at, const json_t *tool,
                       struct writer *w)
{
    struct place inner = {at, "function", 0};
    const json_t *function;
    const json_t *value;
    struct str text;

    if (!reading_type(r, at, tool, WANT_OBJECT) || !reading_text(r, at, tool, "type", &text))
        return false;
    if (!str_eq(text, STR("function")))
        return reading_fault(r, at, "type", "The backend supports tools of type 'function' only.");
    if (!reading_need(r, at, tool, "function", WANT_OBJECT, &function) ||
        !reading_text(r, &inner, function, "name", &text))
        return false;
    writer_open(w, '{');
    writer_member(w, "name", text);
    if (!reading_get(r, &inner, function, "description", WANT_STRING, &value))
        return false;
    if (value)
        writer_member_json(w, "description", value);
    if (!reading_get(r, &inner, function, "parameters", WANT_OBJECT, &value))
        return false;
    if (value && json_object_size(value) > 0)
        writer_member_json(w, "input_schema", value);
    else
        writer_member_raw(w, "input_schema", STR("{\"type\":\"object\",\"properties\":{}}"));
    if (!reading_get(r, &inner, function, "strict", WANT_BOOL, &value))
        return false;
    if (json_is_true(value))
        writer_member_raw(w, "strict", STR("true"));
    if (!to_messages_write_cache_control(r, at, tool, w))
        return false;
    writer_close(w, '}');
    return true;
}

/* Fills `*ret_type` with Anthropic's word; `*ret_name` only for a tool that is named. */
static bool read_tool_choice(const struct reading *r, const json_t *choice, struct str *ret_type,
                             struct str *ret_name)
{
    static const struct place at = {NULL, "tool_choice", 0};
    static const struct place inner = {&at, "function", 0};
    const json_t *function;
    struct str word;

    *ret_name = STR_NULL;
    *ret_type = STR("tool");
    if (json_is_object(choice)) {
        if (!reading_text(r, &at, choice, "type", &word))
            return false;
        if (!str_eq(word, STR("function")))
            return reading_fault(r, &at, "type",
                                 "The backend supports a tool_choice of type 'function' only.");
        return reading_need(r, &at, choice, "function", WANT_OBJECT, &function) &&
               reading_text(r, &inner, function, "name", ret_name);
    }
    if (!reading_type(r, &at, choice, WANT_STRING))
        return false;
    word = document_text(choice);
    if (str_eq(word, STR("auto")))
        *ret_type = STR("auto");
    else if (str_eq(word, STR("none")))
        *ret_type = STR("none");
    else if (str_eq(word, STR("required")))
        *ret_type = STR("any");
    else
        return reading_fault(r, &at, NULL,
                             "'tool_choice' must be 'auto', 'none', 'required' or a function.");
    return true;
}

static bool write_tool_choice(const struct reading *r, const json_t *root, struct writer *w)
{
    const json_t *choice = json_object_get(root, "tool_choice");
    const json_t *parallel;
    struct str type = STR("auto");
    struct str name = STR_NULL;

    if (!reading_get(r, NULL, root, "parallel_tool_calls", WANT_BOOL, &parallel))
        return false;
    if (!is_nothing(choice) && !read_tool_choice(r, choice, &type, &name))
        return false;
    if (is_nothing(choice) && !json_is_false(parallel))
        return true;
    writer_member_open(w, "tool_choice", '{');
    writer_member(w, "type", type);
    if (name.ptr)
        writer_member(w, "name", name);
    if (json_is_false(parallel) && !str_eq(type, STR("none")))
        writer_member_raw(w, "disable_parallel_tool_use", STR("true"));
    writer_close(w, '}');
    return true;
}

static bool write_format(const struct reading *r, const json_t *root, struct writer *w)
{
    static const struct place at = {NULL, "response_format", 0};
    static const struct place inner = {&at, "json_schema", 0};
    const json_t *format;
    const json_t *wrapper;
    const json_t *schema;
    struct str type;

    if (!reading_get(r, NULL, root, "response_format", WANT_OBJECT, &format))
        return false;
    if (!format)
        return true;
    if (!reading_text(r, &at, format, "type", &type))
        return false;
    if (str_eq(type, STR("text")))
        return true;
    if (!str_eq(type, STR("json_schema")))
        return reading_fault(
            r, &at, "type", "The backend supports response formats 'text' and 'json_schema' only.");
    if (!reading_need(r, &at, format, "json_schema", WANT_OBJECT, &wrapper) ||
        !reading_need(r, &inner, wrapper, "schema", WANT_OBJECT, &schema))
        return false;
    writer_member_open(w, "output_config", '{');
    writer_member_open(w, "format", '{');
    writer_member(w, "type", STR("json_schema"));
    writer_member_json(w, "schema", schema);
    writer_close(w, '}');
    writer_close(w, '}');
    return true;
}

static bool write_stream(struct translate *t, const struct reading *r, const json_t *root,
                         struct writer *w)
{
    static const struct place at = {NULL, "stream_options", 0};
    const json_t *stream;
    const json_t *options;
    const json_t *usage;

    if (!reading_get(r, NULL, root, "stream", WANT_BOOL, &stream) ||
        !reading_get(r, NULL, root, "stream_options", WANT_OBJECT, &options) ||
        !reading_get(r, &at, options, "include_usage", WANT_BOOL, &usage))
        return false;
    t->is_stream = json_is_true(stream);
    t->wants_usage = json_is_true(usage);
    if (t->is_stream)
        writer_member_raw(w, "stream", STR("true"));
    return true;
}

static bool write_user(const struct reading *r, const json_t *root, struct writer *w)
{
    const json_t *user;

    if (!reading_get(r, NULL, root, "user", WANT_STRING, &user))
        return false;
    if (!user)
        return true;
    writer_member_open(w, "metadata", '{');
    writer_member_json(w, "user_id", user);
    writer_close(w, '}');
    return true;
}

bool to_messages_write(struct translate *t, const struct reading *r, const json_t *root,
                       struct str model, struct buf *out)
{
    struct writer w = {.out = out};

    if (!check_refused(r, root))
        return false;
    writer_open(&w, '{');
    writer_member(&w, "model", model);
    if (!write_max_tokens(r, root, &w) || !to_messages_write_messages(r, root, &w) ||
        !write_sampling(r, root, &w) || !write_stop(r, root, &w) ||
        !tools_write(r, root, write_tool, write_tool_choice, &w) || !write_format(r, root, &w) ||
        !write_user(r, root, &w) || !write_stream(t, r, root, &w))
        return false;
    writer_close(&w, '}');
    return true;
}
