/* The translator's frame: documents in, documents out; bytes of a stream to frames, frames to the
 * translator of the pair; every failure to an error in the client's shape.
 *
 * Most frames of a stream differ in nothing but their text. One that was a text delta and no more
 * is remembered by its shape; the next one of that shape is compared instead of parsed, and the
 * text goes from string to string as it stands, escapes included.
 *
 * A frame that comes in pieces is collected in `line`, at most LIMIT_EVENT_BYTES. A stream that
 * fails says so once and is BROKEN from then on. A last frame without its blank line counts, since
 * servers do end that way. Owner: the exchange; memory on the heap, freed by translate_deinit. */
#include "llm/translate/translate.h"

#include "base/limits.h"
#include "llm/translate/translator.h"

static const struct translator chat_at_messages = {
    .client = AI_DIALECT_OPENAI,
    .write_request = to_messages_write,
    .write_answer = from_messages_write,
    .on_event = from_messages_on_event,
    .on_lone_text = from_messages_on_lone_text,
    .text_key = "\"text\":",
    .on_done = from_messages_on_done,
};
static const struct translator messages_at_chat = {
    .client = AI_DIALECT_ANTHROPIC,
    .write_request = to_chat_write,
    .write_answer = from_chat_write,
    .on_event = from_chat_on_event,
    .on_lone_text = from_chat_on_lone_text,
    .text_key = "\"content\":",
    .on_done = from_chat_on_done,
};

const struct translator *translate_find(enum ai_endpoint endpoint, enum llm_schema schema)
{
    if (translate_verdict(endpoint, schema) != TRANSLATE_BODIES)
        return NULL;
    return schema == LLM_SCHEMA_ANTHROPIC ? &chat_at_messages : &messages_at_chat;
}

void translate_init(struct translate *t, const struct translator *translator, uint64_t now_s)
{
    *t = (struct translate){.translator = translator, .now_s = now_s};
}

void translate_deinit(struct translate *t)
{
    buf_deinit(&t->model);
    buf_deinit(&t->line);
    buf_deinit(&t->head);
    *t = (struct translate){0};
}

int translate_request(struct translate *t, struct str body, struct str model, struct arena *arena,
                      struct buf *out, struct translate_fault *ret_fault)
{
    struct reading r = {arena, ret_fault};
    json_t *root AUTO(document_free) = NULL;
    struct str asked;

    *ret_fault = (struct translate_fault){0};
    if (!reading_load(&r, body, &root) || !reading_text(&r, NULL, root, "model", &asked) ||
        !t->translator->write_request(t, &r, root, model.len > 0 ? model : asked, out))
        return TRANSLATE_BAD_REQUEST;
    buf_clear(&t->model);
    buf_append_str(&t->model, str_slice(asked, 0, LIMIT_MODEL_NAME_BYTES));
    return 0;
}

int translate_answer(struct translate *t, struct str body, struct buf *out)
{
    json_t *root AUTO(document_free) = NULL;

    if (document_load(body, &root) != 0)
        return TRANSLATE_BAD_ANSWER;
    return t->translator->write_answer(t, root, out);
}

/* Ends the stream with an error frame: the upstream's own words, or ours. */
static int break_stream(struct translate *t, int condition, struct str event, struct buf *out)
{
    struct error_shape e = {.type = error_shape_type(502),
                            .message = STR("The upstream's answer is malformed or incomplete.")};
    struct buf room AUTO(buf_deinit) = {0};

    if (condition == TRANSLATE_FAILED)
        error_shape_read(0, event, &room, &e);
    error_shape_write_frame(&e, t->translator->client, out);
    t->stage = TRANSLATE_BROKEN;
    t->condition = condition;
    return condition;
}

/* Without escapes, and with the key once, the key can only be the one that the text was found at.
 */
static void learn(struct translate *t, struct str data)
{
    struct str key = str_of(t->translator->text_key);
    ssize_t at = str_find_char(data, '\\', 0) < 0 ? str_find(data, key) : -1;
    size_t begin = (size_t)at + key.len;
    size_t end;

    if (at < 0 || str_find(str_slice(data, begin, data.len), key) >= 0)
        return;
    begin += str_starts_with(str_slice(data, begin, data.len), STR(" ")) ? 2 : 1;
    end = begin + t->lone_text.len;
    if (end >= data.len || data.ptr[begin - 1] != '"' || data.ptr[end] != '"')
        return;
    struct event_slot slot = {EVENT_SLOT_TEXT, begin, end};

    event_shape_learn(&t->shape, data, &slot, 1, begin - 1);
    t->shape_tail = data.len - end;
}

static bool is_lone_text(struct translate *t, struct str data, struct buf *out)
{
    uint64_t n_bytes;
    size_t quote;

    return t->stage == TRANSLATE_WITHIN && event_shape_match(&t->shape, data, &n_bytes, &quote) &&
           t->translator->on_lone_text(t, str_slice(data, quote + 1, data.len - t->shape_tail),
                                       out);
}

static int on_frame(struct translate *t, struct str data, struct buf *out)
{
    json_t *root AUTO(document_free) = NULL;
    int condition;

    data = document_trim(data);
    if (data.len == 0 || is_lone_text(t, data, out))
        return 0;
    t->lone_text = STR_NULL;
    if (str_eq(data, STR("[DONE]")))
        condition = t->translator->on_done(t, true, out);
    else if (document_load(data, &root) != 0)
        condition = t->stage == TRANSLATE_AFTER ? 0 : TRANSLATE_BAD_ANSWER;
    else
        condition = t->translator->on_event(t, root, out);
    if (condition != 0)
        return break_stream(t, condition, data, out);
    if (t->lone_text.len > 0)
        learn(t, data);
    t->lone_text = STR_NULL;
    return 0;
}

static int on_event(struct translate *t, const struct event *event, struct buf *out)
{
    int condition = 0;

    if (event->is_cut) {
        condition = break_stream(t, TRANSLATE_BAD_ANSWER, STR(""), out);
    } else if (event->is_whole) {
        condition = on_frame(t, event->data, out);
    } else if (event->has_data) {
        buf_append_str(&t->line, event->data);
        condition = on_frame(t, buf_str(&t->line), out);
    }
    buf_clear(&t->line);
    return condition;
}

int translate_feed(struct translate *t, struct str bytes, struct buf *out)
{
    struct event event;

    while (t->stage != TRANSLATE_BROKEN) {
        switch (event_stream_next(&t->events, &bytes, &event)) {
        case EVENT_STREAM_MORE:
            return 0;
        case EVENT_STREAM_DATA:
            buf_append_str(&t->line, event.data);
            break;
        case EVENT_STREAM_FRAME:
            if (on_event(t, &event, out) != 0)
                return t->condition;
            break;
        }
    }
    return t->condition;
}

int translate_end(struct translate *t, struct buf *out)
{
    struct event event;

    if (t->stage != TRANSLATE_BROKEN &&
        event_stream_end(&t->events, &event) == EVENT_STREAM_FRAME && on_event(t, &event, out) != 0)
        return t->condition;
    if (t->stage == TRANSLATE_BROKEN)
        return t->condition;
    int condition = t->translator->on_done(t, false, out);

    return condition == 0 ? 0 : break_stream(t, condition, STR(""), out);
}

void translate_error(const struct translate *t, unsigned status, struct str body, struct buf *out)
{
    struct buf room AUTO(buf_deinit) = {0};
    struct error_shape e;

    error_shape_read(status, body, &room, &e);
    error_shape_write(&e, t->translator->client, out);
}

void translate_fault_write(const struct translate *t, const struct translate_fault *fault,
                           struct buf *out)
{
    struct error_shape e = {.status = 400, .message = fault->sentence, .param = fault->param};

    error_shape_write(&e, t->translator->client, out);
}

static const struct str anthropic_names[] = {
    STR("anthropic-version"),
    STR("anthropic-beta"),
    STR("anthropic-dangerous-direct-browser-access"),
};
static const struct str openai_names[] = {
    STR("openai-organization"),
    STR("openai-project"),
    STR("openai-beta"),
};

void translate_headers(enum ai_endpoint endpoint, const struct translate_target *target,
                       struct translate_headers *ret)
{
    bool is_translated = translate_verdict(endpoint, target->schema) == TRANSLATE_BODIES;
    bool is_anthropic = target->schema == LLM_SCHEMA_ANTHROPIC;

    *ret = (struct translate_headers){0};
    if (is_anthropic && (is_translated || target->version.len > 0)) {
        ret->set_name = STR("anthropic-version");
        ret->set_value = target->version.len > 0 ? target->version : STR("2023-06-01");
    }
    if (is_translated) {
        ret->removes = is_anthropic ? openai_names : anthropic_names;
        ret->n_removes = is_anthropic ? N_ELEMENTS(openai_names) : N_ELEMENTS(anthropic_names);
    }
}
