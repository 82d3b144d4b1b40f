/* Anthropic Messages answer -> OpenAI chat completion, complete or as an event stream.
 *
 *   BEFORE -message_start-> WITHIN -message_stop-> AFTER
 *
 * Texts of all blocks make one content; tool_use blocks become tool calls, counted from 0; thinking
 * becomes `reasoning_content`, as servers of open models name it. Blocks of the provider's own
 * tools are left out. Usage in a stream is cumulative: the last word counts, message_start's
 * included. Every chunk repeats id, model and time, which are written once, into `head`. What comes
 * after message_stop, pings and unknown events say nothing. Owner: the exchange. Pure. */
#include "base/limits.h"
#include "llm/translate/translator.h"

enum { ID_BYTES_MAX = 256 };
enum { OPEN_NOTHING, OPEN_TOOL };

static struct str finish_reason(struct str stop_reason)
{
    static const struct {
        struct str stop;
        struct str finish;
    } rows[] = {
        {STR("max_tokens"), STR("length")},
        {STR("model_context_window_exceeded"), STR("length")},
        {STR("tool_use"), STR("tool_calls")},
        {STR("refusal"), STR("content_filter")},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        if (str_eq(stop_reason, rows[i].stop))
            return rows[i].finish;
    }
    return STR("stop"); /* end_turn, stop_sequence, pause_turn */
}

static void read_usage(const json_t *usage, struct translate_usage *u)
{
    (void)document_count(usage, "input_tokens", &u->input);
    (void)document_count(usage, "cache_read_input_tokens", &u->cache_read);
    (void)document_count(usage, "cache_creation_input_tokens", &u->cache_creation);
    (void)document_count(usage, "output_tokens", &u->output);
}

/* OpenAI's prompt_tokens are all of the prompt, however they were read. */
static void write_usage(const struct translate_usage *u, struct writer *w)
{
    uint64_t prompt = u->input + u->cache_read + u->cache_creation;

    writer_member_open(w, "usage", '{');
    writer_member_u64(w, "prompt_tokens", prompt);
    writer_member_u64(w, "completion_tokens", u->output);
    writer_member_u64(w, "total_tokens", prompt + u->output);
    writer_member_open(w, "prompt_tokens_details", '{');
    writer_member_u64(w, "cached_tokens", u->cache_read);
    writer_close(w, '}');
    writer_close(w, '}');
}

/* Members id to model, of a message. */
static void write_head(const struct translate *t, const json_t *message, struct str object,
                       struct writer *w)
{
    struct str model = document_str(message, "model");

    writer_member(w, "id", str_slice(document_str(message, "id"), 0, ID_BYTES_MAX));
    writer_member(w, "object", object);
    writer_member_u64(w, "created", t->now_s);
    writer_member(w, "model",
                  str_slice(model.len > 0 ? model : buf_str(&t->model), 0, LIMIT_MODEL_NAME_BYTES));
}

/* All blocks' `key` of this type, one after the other. */
static void collect(const json_t *content, struct str type, const char *key, struct buf *out)
{
    const json_t *block;
    size_t i;

    json_array_foreach(content, i, block)
    {
        if (str_eq(document_str(block, "type"), type))
            buf_append_str(out, document_str(block, key));
    }
}

static void write_tool_calls(const json_t *content, struct writer *w)
{
    const json_t *block;
    bool has_any = false;
    size_t i;

    json_array_foreach(content, i, block)
    {
        const json_t *input = document_object(block, "input");

        if (!str_eq(document_str(block, "type"), STR("tool_use")))
            continue;
        if (!has_any)
            writer_member_open(w, "tool_calls", '[');
        has_any = true;
        writer_open(w, '{');
        writer_member(w, "id", document_str(block, "id"));
        writer_member(w, "type", STR("function"));
        writer_member_open(w, "function", '{');
        writer_member(w, "name", document_str(block, "name"));
        writer_key(w, "arguments");
        if (input)
            writer_json_text(w, input);
        else
            writer_str(w, STR("{}"));
        writer_close(w, '}');
        writer_close(w, '}');
    }
    if (has_any)
        writer_close(w, ']');
}

static void write_message(const json_t *content, struct writer *w)
{
    struct buf text AUTO(buf_deinit) = {0};
    struct buf thinking AUTO(buf_deinit) = {0};

    collect(content, STR("text"), "text", &text);
    collect(content, STR("thinking"), "thinking", &thinking);
    writer_member_open(w, "message", '{');
    writer_member(w, "role", STR("assistant"));
    if (text.len > 0)
        writer_member(w, "content", buf_str(&text));
    else
        writer_member_raw(w, "content", STR("null"));
    writer_member_raw(w, "refusal", STR("null"));
    if (thinking.len > 0)
        writer_member(w, "reasoning_content", buf_str(&thinking));
    write_tool_calls(content, w);
    writer_close(w, '}');
}

int from_messages_write(struct translate *t, const json_t *root, struct buf *out)
{
    const json_t *content = document_array(root, "content");
    struct writer w = {.out = out};

    if (!content)
        return TRANSLATE_BAD_ANSWER;
    read_usage(document_object(root, "usage"), &t->usage);
    writer_open(&w, '{');
    write_head(t, root, STR("chat.completion"), &w);
    writer_member_open(&w, "choices", '[');
    writer_open(&w, '{');
    writer_member_u64(&w, "index", 0);
    write_message(content, &w);
    writer_member_raw(&w, "logprobs", STR("null"));
    writer_member(&w, "finish_reason", finish_reason(document_str(root, "stop_reason")));
    writer_close(&w, '}');
    writer_close(&w, ']');
    write_usage(&t->usage, &w);
    writer_close(&w, '}');
    return 0;
}

/* A chunk up to where its delta's members begin. */
static struct writer open_chunk(const struct translate *t, struct buf *out)
{
    buf_append_str(out, STR("data: "));
    buf_append_str(out, buf_str(&t->head));
    buf_append_str(out, STR(",\"choices\":[{\"index\":0,\"delta\":{"));
    return (struct writer){.out = out};
}

static void close_chunk(const struct translate *t, struct str finish, struct buf *out)
{
    buf_append_str(out, STR("},\"logprobs\":null,\"finish_reason\":"));
    if (finish.len > 0)
        buf_append_json(out, finish);
    else
        buf_append_str(out, STR("null"));
    buf_append_str(out, t->wants_usage ? STR("}],\"usage\":null}\n\n") : STR("}]}\n\n"));
}

static void write_text_chunk(const struct translate *t, const char *key, struct str text,
                             struct buf *out)
{
    struct writer w;

    if (text.len == 0)
        return;
    w = open_chunk(t, out);
    writer_member(&w, key, text);
    close_chunk(t, STR(""), out);
}

static void write_arguments_chunk(const struct translate *t, struct str arguments, struct buf *out)
{
    struct writer w;

    if (arguments.len == 0)
        return;
    w = open_chunk(t, out);
    writer_member_open(&w, "tool_calls", '[');
    writer_open(&w, '{');
    writer_member_u64(&w, "index", t->n_blocks - 1);
    writer_member_open(&w, "function", '{');
    writer_member(&w, "arguments", arguments);
    writer_close(&w, '}');
    writer_close(&w, '}');
    writer_close(&w, ']');
    close_chunk(t, STR(""), out);
}

static int on_message_start(struct translate *t, const json_t *event, struct buf *out)
{
    const json_t *message = document_object(event, "message");
    struct writer head = {.out = &t->head};
    struct writer w;

    if (!message || t->stage != TRANSLATE_BEFORE)
        return TRANSLATE_BAD_ANSWER;
    t->stage = TRANSLATE_WITHIN;
    read_usage(document_object(message, "usage"), &t->usage);
    writer_open(&head, '{');
    write_head(t, message, STR("chat.completion.chunk"), &head);
    w = open_chunk(t, out);
    writer_member(&w, "role", STR("assistant"));
    writer_member(&w, "content", STR(""));
    close_chunk(t, STR(""), out);
    return 0;
}

static void start_tool(struct translate *t, const json_t *block, struct buf *out)
{
    const json_t *input = document_object(block, "input");
    struct writer w = open_chunk(t, out);

    t->open = OPEN_TOOL;
    writer_member_open(&w, "tool_calls", '[');
    writer_open(&w, '{');
    writer_member_u64(&w, "index", t->n_blocks++);
    writer_member(&w, "id", document_str(block, "id"));
    writer_member(&w, "type", STR("function"));
    writer_member_open(&w, "function", '{');
    writer_member(&w, "name", document_str(block, "name"));
    writer_key(&w, "arguments");
    /* As a rule empty, and the deltas bring all. */
    if (json_object_size(input) > 0)
        writer_json_text(&w, input);
    else
        writer_str(&w, STR(""));
    writer_close(&w, '}');
    writer_close(&w, '}');
    writer_close(&w, ']');
    close_chunk(t, STR(""), out);
}

static void on_block_start(struct translate *t, const json_t *event, struct buf *out)
{
    const json_t *block = document_object(event, "content_block");
    struct str type = document_str(block, "type");

    t->open = OPEN_NOTHING;
    if (str_eq(type, STR("tool_use"))) {
        start_tool(t, block, out);
        t->place = UINT64_MAX;
        (void)document_count(event, "index", &t->place);
    } else if (str_eq(type, STR("text"))) {
        write_text_chunk(t, "content", document_str(block, "text"), out);
    } else if (str_eq(type, STR("thinking"))) {
        write_text_chunk(t, "reasoning_content", document_str(block, "thinking"), out);
    }
}

static void on_block_delta(struct translate *t, const json_t *event, struct buf *out)
{
    const json_t *delta = document_object(event, "delta");
    struct str type = document_str(delta, "type");
    uint64_t index = UINT64_MAX;

    if (str_eq(type, STR("text_delta"))) {
        t->lone_text = document_str(delta, "text");
        write_text_chunk(t, "content", t->lone_text, out);
    } else if (str_eq(type, STR("thinking_delta"))) {
        write_text_chunk(t, "reasoning_content", document_str(delta, "thinking"), out);
    } else if (str_eq(type, STR("input_json_delta"))) {
        /* The arguments of a tool of the provider's own have no call that they belong to. */
        (void)document_count(event, "index", &index);
        if (t->open == OPEN_TOOL && index == t->place)
            write_arguments_chunk(t, document_str(delta, "partial_json"), out);
    }
}

static void on_message_delta(struct translate *t, const json_t *event)
{
    struct str stop_reason = document_str(document_object(event, "delta"), "stop_reason");

    if (stop_reason.ptr)
        t->finish = finish_reason(stop_reason);
    read_usage(document_object(event, "usage"), &t->usage);
}

static void on_message_stop(struct translate *t, struct buf *out)
{
    (void)open_chunk(t, out);
    close_chunk(t, t->finish.len > 0 ? t->finish : STR("stop"), out);
    if (t->wants_usage) {
        struct writer w = {.out = out, .needs_comma = true};

        buf_append_str(out, STR("data: "));
        buf_append_str(out, buf_str(&t->head));
        buf_append_str(out, STR(",\"choices\":[]"));
        write_usage(&t->usage, &w);
        buf_append_str(out, STR("}\n\n"));
    }
    buf_append_str(out, STR("data: [DONE]\n\n"));
    t->stage = TRANSLATE_AFTER;
}

int from_messages_on_event(struct translate *t, const json_t *event, struct buf *out)
{
    struct str type = document_str(event, "type");

    if (t->stage == TRANSLATE_AFTER)
        return 0;
    if (str_eq(type, STR("error")))
        return TRANSLATE_FAILED;
    if (str_eq(type, STR("message_start")))
        return on_message_start(t, event, out);
    if (t->stage == TRANSLATE_BEFORE) {
        /* A ping may come first, an event of the message may not. */
        return str_starts_with(type, STR("content_block")) || str_starts_with(type, STR("message_"))
                   ? TRANSLATE_BAD_ANSWER
                   : 0;
    }
    if (str_eq(type, STR("content_block_start")))
        on_block_start(t, event, out);
    else if (str_eq(type, STR("content_block_delta")))
        on_block_delta(t, event, out);
    else if (str_eq(type, STR("message_delta")))
        on_message_delta(t, event);
    else if (str_eq(type, STR("message_stop")))
        on_message_stop(t, out);
    return 0;
}

bool from_messages_on_lone_text(struct translate *t, struct str text, struct buf *out)
{
    if (text.len > 0) {
        (void)open_chunk(t, out);
        buf_append_str(out, STR("\"content\":\""));
        buf_append_str(out, text);
        buf_append_char(out, '"');
        close_chunk(t, STR(""), out);
    }
    return true;
}

int from_messages_on_done(struct translate *t, bool is_said, struct buf *out)
{
    (void)is_said;
    (void)out;
    return t->stage == TRANSLATE_AFTER ? 0 : TRANSLATE_BAD_ANSWER;
}
