/* OpenAI chat completion -> Anthropic Messages answer, complete or as an event stream.
 *
 *   BEFORE -first chunk-> WITHIN -[DONE], or the end behind a finish_reason-> AFTER
 *
 * OpenAI's deltas name what they add to, Anthropic's blocks are opened and closed one after the
 * other: a block stays open until a delta of another kind, or of another tool call, comes. A call
 * is another one when its index or its id is (servers exist that count every call 0); one that was
 * closed cannot be added to, and breaks the stream. Usage comes with the last chunk, so
 * message_start says 0 and message_delta tells all. `head` holds the id of the open call. Owner:
 * the exchange. Pure. */
#include "base/limits.h"
#include "llm/translate/translator.h"

enum { ID_BYTES_MAX = 256 };
enum { OPEN_NOTHING, OPEN_TEXT, OPEN_TOOL };

static struct str stop_reason(struct str finish)
{
    if (str_eq(finish, STR("length")))
        return STR("max_tokens");
    if (str_eq(finish, STR("tool_calls")) || str_eq(finish, STR("function_call")))
        return STR("tool_use");
    if (str_eq(finish, STR("content_filter")))
        return STR("refusal");
    return STR("end_turn");
}

/* prompt_tokens are all of the prompt; Anthropic counts what came from a cache apart. */
static void read_usage(const json_t *usage, struct translate_usage *u)
{
    const json_t *details = document_object(usage, "prompt_tokens_details");
    uint64_t prompt = 0;

    if (document_count(usage, "prompt_tokens", &prompt)) {
        u->cache_read = 0;
        (void)document_count(details, "cached_tokens", &u->cache_read);
        u->cache_read = MIN(u->cache_read, prompt);
        u->input = prompt - u->cache_read;
    }
    (void)document_count(usage, "completion_tokens", &u->output);
}

static void write_usage(const struct translate_usage *u, struct writer *w)
{
    writer_member_open(w, "usage", '{');
    writer_member_u64(w, "input_tokens", u->input);
    writer_member_u64(w, "cache_creation_input_tokens", u->cache_creation);
    writer_member_u64(w, "cache_read_input_tokens", u->cache_read);
    writer_member_u64(w, "output_tokens", u->output);
    writer_close(w, '}');
}

/* Members of a message up to `content`. */
static void write_head(const struct translate *t, const json_t *root, struct writer *w)
{
    struct str model = document_str(root, "model");

    writer_member(w, "id", str_slice(document_str(root, "id"), 0, ID_BYTES_MAX));
    writer_member(w, "type", STR("message"));
    writer_member(w, "role", STR("assistant"));
    writer_member(w, "model",
                  str_slice(model.len > 0 ? model : buf_str(&t->model), 0, LIMIT_MODEL_NAME_BYTES));
}

/* A call's id; a counted one where a server gives none, since the client must answer to it. */
static void write_id(struct writer *w, struct str id, uint64_t place)
{
    char made[32];

    if (id.len == 0) {
        snprintf(made, sizeof made, "call_%llu", (unsigned long long)place);
        id = str_of(made);
    }
    writer_member(w, "id", id);
}

static void write_text_block(struct str text, struct writer *w)
{
    if (text.len == 0)
        return;
    writer_open(w, '{');
    writer_member(w, "type", STR("text"));
    writer_member(w, "text", text);
    writer_close(w, '}');
}

/* Arguments that were cut off by the token bound are no JSON: the call comes without any. */
static void write_tool_block(const json_t *call, uint64_t place, struct writer *w)
{
    json_t *arguments AUTO(document_free) = NULL;
    const json_t *function = document_object(call, "function");
    int r = document_load(document_str(function, "arguments"), &arguments);

    writer_open(w, '{');
    writer_member(w, "type", STR("tool_use"));
    write_id(w, document_str(call, "id"), place);
    writer_member(w, "name", document_str(function, "name"));
    if (r == 0)
        writer_member_json(w, "input", arguments);
    else
        writer_member_raw(w, "input", STR("{}"));
    writer_close(w, '}');
}

int from_chat_write(struct translate *t, const json_t *root, struct buf *out)
{
    const json_t *choice = json_array_get(document_array(root, "choices"), 0);
    const json_t *message = document_object(choice, "message");
    struct writer w = {.out = out};
    const json_t *call;
    size_t i;

    if (!message)
        return TRANSLATE_BAD_ANSWER;
    read_usage(document_object(root, "usage"), &t->usage);
    writer_open(&w, '{');
    write_head(t, root, &w);
    writer_member_open(&w, "content", '[');
    write_text_block(document_str(message, "content"), &w);
    write_text_block(document_str(message, "refusal"), &w);
    json_array_foreach(document_array(message, "tool_calls"), i, call)
    {
        if (json_is_object(call))
            write_tool_block(call, i, &w);
    }
    writer_close(&w, ']');
    writer_member(&w, "stop_reason", stop_reason(document_str(choice, "finish_reason")));
    writer_member_raw(&w, "stop_sequence", STR("null"));
    write_usage(&t->usage, &w);
    writer_close(&w, '}');
    return 0;
}

static struct writer open_event(struct str name, struct buf *out)
{
    struct writer w = {.out = out};

    buf_append_str(out, STR("event: "));
    buf_append_str(out, name);
    buf_append_str(out, STR("\ndata: "));
    writer_open(&w, '{');
    writer_member(&w, "type", name);
    return w;
}

static void close_event(struct writer *w)
{
    writer_close(w, '}');
    buf_append_str(w->out, STR("\n\n"));
}

static void start_message(struct translate *t, const json_t *chunk, struct buf *out)
{
    static const struct translate_usage nothing;
    struct writer w = open_event(STR("message_start"), out);

    t->stage = TRANSLATE_WITHIN;
    writer_member_open(&w, "message", '{');
    write_head(t, chunk, &w);
    writer_member_raw(&w, "content", STR("[]"));
    writer_member_raw(&w, "stop_reason", STR("null"));
    writer_member_raw(&w, "stop_sequence", STR("null"));
    write_usage(&nothing, &w);
    writer_close(&w, '}');
    close_event(&w);
}

static void close_block(struct translate *t, struct buf *out)
{
    struct writer w;

    if (t->open == OPEN_NOTHING)
        return;
    t->open = OPEN_NOTHING;
    w = open_event(STR("content_block_stop"), out);
    writer_member_u64(&w, "index", t->n_blocks - 1);
    close_event(&w);
}

/* The event up to the block's own members. */
static struct writer open_block(struct translate *t, uint8_t kind, struct buf *out)
{
    struct writer w;

    close_block(t, out);
    t->open = kind;
    w = open_event(STR("content_block_start"), out);
    writer_member_u64(&w, "index", t->n_blocks++);
    writer_member_open(&w, "content_block", '{');
    return w;
}

static void write_delta(const struct translate *t, struct str type, const char *key,
                        struct str text, struct buf *out)
{
    struct writer w = open_event(STR("content_block_delta"), out);

    writer_member_u64(&w, "index", t->n_blocks - 1);
    writer_member_open(&w, "delta", '{');
    writer_member(&w, "type", type);
    writer_member(&w, key, text);
    writer_close(&w, '}');
    close_event(&w);
}

static void on_text(struct translate *t, struct str text, struct buf *out)
{
    if (text.len == 0)
        return;
    if (t->open != OPEN_TEXT) {
        struct writer w = open_block(t, OPEN_TEXT, out);

        writer_member(&w, "type", STR("text"));
        writer_member(&w, "text", STR(""));
        writer_close(&w, '}');
        close_event(&w);
    }
    write_delta(t, STR("text_delta"), "text", text, out);
}

static void start_tool(struct translate *t, const json_t *call, uint64_t place, struct buf *out)
{
    struct str id = str_slice(document_str(call, "id"), 0, ID_BYTES_MAX);
    struct writer w = open_block(t, OPEN_TOOL, out);

    t->place = place;
    buf_clear(&t->head);
    buf_append_str(&t->head, id);
    writer_member(&w, "type", STR("tool_use"));
    write_id(&w, id, t->n_blocks - 1);
    writer_member(&w, "name", document_str(document_object(call, "function"), "name"));
    writer_member_raw(&w, "input", STR("{}"));
    writer_close(&w, '}');
    close_event(&w);
}

static int on_tool_call(struct translate *t, const json_t *call, struct buf *out)
{
    const json_t *function = document_object(call, "function");
    struct str id = str_slice(document_str(call, "id"), 0, ID_BYTES_MAX);
    struct str arguments = document_str(function, "arguments");
    uint64_t place = 0;
    bool is_same;

    (void)document_count(call, "index", &place);
    is_same =
        t->open == OPEN_TOOL && place == t->place && (id.len == 0 || str_eq(id, buf_str(&t->head)));
    if (!is_same) {
        /* Without a name it is no call that begins, but one that was closed. */
        if (document_str(function, "name").len == 0)
            return TRANSLATE_BAD_ANSWER;
        start_tool(t, call, place, out);
    }
    if (arguments.len > 0)
        write_delta(t, STR("input_json_delta"), "partial_json", arguments, out);
    return 0;
}

static int on_choice(struct translate *t, const json_t *choice, struct buf *out)
{
    const json_t *delta = document_object(choice, "delta");
    struct str finish = document_str(choice, "finish_reason");
    const json_t *call;
    uint64_t index = 0;
    size_t i;

    (void)document_count(choice, "index", &index);
    if (index > 0)
        return 0;
    on_text(t, document_str(delta, "content"), out);
    on_text(t, document_str(delta, "refusal"), out);
    json_array_foreach(document_array(delta, "tool_calls"), i, call)
    {
        int condition = on_tool_call(t, call, out);

        if (condition != 0)
            return condition;
    }
    if (finish.len > 0)
        t->finish = stop_reason(finish);
    return 0;
}

/* The text of an event that adds to the open block and says nothing else. */
static struct str find_lone_text(const struct translate *t, const json_t *event,
                                 uint64_t n_blocks_before)
{
    const json_t *choices = document_array(event, "choices");
    const json_t *choice = json_array_get(choices, 0);
    const json_t *delta = document_object(choice, "delta");

    if (t->open != OPEN_TEXT || t->n_blocks != n_blocks_before || json_array_size(choices) != 1 ||
        json_integer_value(json_object_get(choice, "index")) != 0 ||
        document_object(event, "usage") || document_str(choice, "finish_reason").len > 0 ||
        document_str(delta, "refusal").len > 0)
        return STR_NULL;
    return document_str(delta, "content");
}

bool from_chat_on_lone_text(struct translate *t, struct str text, struct buf *out)
{
    if (t->open != OPEN_TEXT)
        return false;
    if (text.len > 0) {
        buf_append_str(out, STR("event: content_block_delta\ndata: "
                                "{\"type\":\"content_block_delta\",\"index\":"));
        buf_append_u64(out, t->n_blocks - 1);
        buf_append_str(out, STR(",\"delta\":{\"type\":\"text_delta\",\"text\":\""));
        buf_append_str(out, text);
        buf_append_str(out, STR("\"}}\n\n"));
    }
    return true;
}

int from_chat_on_event(struct translate *t, const json_t *event, struct buf *out)
{
    const json_t *error = json_object_get(event, "error");
    const json_t *choices = document_array(event, "choices");
    const json_t *choice;
    uint64_t n_blocks = t->n_blocks;
    size_t i;

    if (t->stage == TRANSLATE_AFTER)
        return 0;
    if (error && !json_is_null(error))
        return TRANSLATE_FAILED;
    if (!choices)
        return TRANSLATE_BAD_ANSWER;
    read_usage(document_object(event, "usage"), &t->usage);
    /* Azure's first chunk has no choice: only what its filters think of the prompt. */
    if (t->stage == TRANSLATE_BEFORE && json_array_size(choices) > 0)
        start_message(t, event, out);
    json_array_foreach(choices, i, choice)
    {
        int condition = on_choice(t, choice, out);

        if (condition != 0)
            return condition;
    }
    t->lone_text = find_lone_text(t, event, n_blocks);
    return 0;
}

int from_chat_on_done(struct translate *t, bool is_said, struct buf *out)
{
    struct writer w;

    if (t->stage == TRANSLATE_AFTER)
        return 0;
    if (t->stage == TRANSLATE_BEFORE || (t->finish.len == 0 && !is_said))
        return TRANSLATE_BAD_ANSWER;
    close_block(t, out);
    w = open_event(STR("message_delta"), out);
    writer_member_open(&w, "delta", '{');
    writer_member(&w, "stop_reason", t->finish.len > 0 ? t->finish : STR("end_turn"));
    writer_member_raw(&w, "stop_sequence", STR("null"));
    writer_close(&w, '}');
    write_usage(&t->usage, &w);
    close_event(&w);
    w = open_event(STR("message_stop"), out);
    close_event(&w);
    t->stage = TRANSLATE_AFTER;
    return 0;
}
