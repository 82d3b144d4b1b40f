/* Fuzz target of translation. The first byte says what the rest is, in lower case for a chat client
 * at Anthropic, in upper case for a messages client at OpenAI:
 *   r  a request;
 *   a  a complete answer;
 *   s  an event stream, fed whole and in pieces whose sizes follow the second byte;
 *   e  an error document.
 * Beyond not crashing: conditions are those of the header, what is accepted becomes a JSON
 * document, what comes out is bounded by what went in, the output of a stream is the same however
 * it is cut, each of its data lines is JSON, and equal to what is said when no frame's shape is
 * remembered. */
#include <jansson.h>

#include "base/assert.h"
#include "llm/translate/translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    DOCUMENT_RATIO = 16, /* escapes take six bytes for one, and strings may be wrapped */
    STREAM_RATIO = 128,  /* each chunk repeats an id and a model name of bounded lengths */
    SLACK_BYTES = 16384,
};

static void check_document(struct str text)
{
    json_t *root = json_loadb(text.ptr ? text.ptr : "", text.len,
                              JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);

    ASSERT(json_is_object(root));
    json_decref(root);
}

static bool next_frame(struct str *out, struct str *ret_line)
{
    while (str_split(out, '\n', ret_line)) {
        if (str_starts_with(*ret_line, STR("data: ")) && !str_eq(*ret_line, STR("data: [DONE]"))) {
            *ret_line = str_slice(*ret_line, 6, ret_line->len);
            return true;
        }
    }
    return false;
}

static void check_frames(struct str out, struct str other)
{
    struct str line;
    struct str other_line;

    while (next_frame(&out, &line)) {
        bool has_other = next_frame(&other, &other_line);

        ASSERT(has_other);
        json_t *have = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, NULL);
        json_t *want = json_loadb(other_line.ptr, other_line.len, JSON_ALLOW_NUL, NULL);

        ASSERT(json_is_object(have) && json_equal(have, want));
        json_decref(have);
        json_decref(want);
    }
    bool has_more = next_frame(&other, &other_line);

    ASSERT(!has_more);
}

static void play_request(struct translate *t, struct str text)
{
    struct buf out = {0};
    struct translate_fault fault = {0};
    struct arena arena;

    arena_init(&arena, 4096);
    int r = translate_request(t, text, STR("served"), &arena, &out, &fault);

    ASSERT(r == 0 || r == TRANSLATE_BAD_REQUEST);
    if (r != 0) {
        ASSERT(fault.sentence.len > 0);
        buf_clear(&out);
        translate_fault_write(t, &fault, &out);
    }
    ASSERT(out.len <= DOCUMENT_RATIO * text.len + SLACK_BYTES);
    check_document(buf_str(&out));
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void play_answer(struct translate *t, struct str text)
{
    struct buf out = {0};
    int r = translate_answer(t, text, &out);

    ASSERT(r == 0 || r == TRANSLATE_BAD_ANSWER);
    ASSERT((r == 0) == (out.len > 0));
    ASSERT(r != 0 || out.len <= DOCUMENT_RATIO * text.len + SLACK_BYTES);
    if (r == 0)
        check_document(buf_str(&out));
    buf_deinit(&out);
}

static void play_stream(const struct translator *translator, struct str text, size_t step,
                        bool may_remember, struct buf *out)
{
    struct translate t;
    int r = 0;

    translate_init(&t, translator, 1);
    t.wants_usage = true;
    for (size_t i = 0; i < text.len; i += step) {
        r = translate_feed(&t, str_slice(text, i, i + step), out);
        if (!may_remember)
            t.shape.n_slots = 0;
    }
    ASSERT(r == 0 || r == TRANSLATE_BAD_ANSWER || r == TRANSLATE_FAILED);
    int end = translate_end(&t, out);

    ASSERT(r == 0 || end == r);
    ASSERT(end != 0 || t.stage == TRANSLATE_AFTER);
    ASSERT(out->len <= STREAM_RATIO * text.len + SLACK_BYTES);
    translate_deinit(&t);
}

static void play_streams(const struct translator *translator, struct str text)
{
    struct buf whole = {0};
    struct buf pieces = {0};
    struct buf unshaped = {0};
    size_t step = text.len > 0 ? (unsigned char)text.ptr[0] % 61 + 1 : 1;

    text = str_slice(text, 1, text.len);
    play_stream(translator, text, text.len + 1, true, &whole);
    play_stream(translator, text, step, true, &pieces);
    play_stream(translator, text, 1, false, &unshaped);
    ASSERT(str_eq(buf_str(&whole), buf_str(&pieces)));
    check_frames(buf_str(&whole), buf_str(&unshaped));
    buf_deinit(&unshaped);
    buf_deinit(&whole);
    buf_deinit(&pieces);
}

static void play_error(struct translate *t, struct str text)
{
    struct buf out = {0};

    translate_error(t, 503, text, &out);
    ASSERT(out.len <= DOCUMENT_RATIO * text.len + SLACK_BYTES);
    check_document(buf_str(&out));
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = str_make(bytes + 1, size > 0 ? size - 1 : 0);
    const struct translator *translator;
    struct translate t;

    if (size == 0)
        return 0;
    translator = bytes[0] >= 'a'
                     ? translate_find(AI_ENDPOINT_CHAT_COMPLETIONS, LLM_SCHEMA_ANTHROPIC)
                     : translate_find(AI_ENDPOINT_MESSAGES, LLM_SCHEMA_OPENAI);
    translate_init(&t, translator, 1);
    switch (str_lower_char((char)bytes[0])) {
    case 'r':
        play_request(&t, rest);
        break;
    case 'a':
        play_answer(&t, rest);
        break;
    case 's':
        play_streams(translator, rest);
        break;
    default:
        play_error(&t, rest);
        break;
    }
    translate_deinit(&t);
    return 0;
}
