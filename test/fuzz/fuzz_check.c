/* Fuzz target of the answers of authorizers by gRPC. The first byte says where the rest is: in an
 * answer's content as it comes ('a'), or in one message, whose prefix is made here ('m'). Beyond
 * not crashing: nothing is allowed that could not be read, what is to be written frames no message,
 * names no host and ends no line, a no is no success, and all of it is bounded. Then the same bytes
 * ask: a question is one message, whatever a request holds. */
#include "base/assert.h"
#include "base/limits.h"
#include "http/grammar.h"
#include "upstream/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_name(struct str name)
{
    enum header_id id = header_id_find(name);

    ASSERT(grammar_is_token(name) && !header_is_framing(id) && id != HEADER_HOST);
}

static void check_answer_read(const struct check_answer *answer, int r)
{
    ASSERT(r != CHECK_MALFORMED || !answer->is_allowed);
    ASSERT(answer->answer_edits.n <= LIMIT_HEADER_COUNT);
    ASSERT(answer->request_edits.n <= LIMIT_HEADER_COUNT);
    VEC_FOREACH (&answer->answer_edits, e) {
        check_name(e->name);
        ASSERT(grammar_is_value(e->value));
    }
    VEC_FOREACH (&answer->request_edits, e) {
        check_name(e->name);
        ASSERT(grammar_is_value(e->value));
    }
    VEC_FOREACH (&answer->request_removals, name)
        check_name(*name);
    if (r == 0 && !answer->is_allowed)
        ASSERT(answer->status >= 300 && answer->status <= 599);
}

static void play_question(struct str text, struct arena *a)
{
    struct http_request q = {.method_text = STR("GET"), .path = text, .query = text};
    struct check_subject subject = {.request = &q, .source_ip = text, .destination = text};
    struct check_scope scope = {0};
    struct buf out = {0};
    size_t n;

    http_headers_init(&q.headers, a);
    http_headers_add(&q.headers, STR("x-a"), text);
    check_format(&subject, &scope, &out);
    ASSERT(out.len >= 5 && out.ptr[0] == 0);
    n = (size_t)(unsigned char)out.ptr[1] << 24 | (size_t)(unsigned char)out.ptr[2] << 16 |
        (size_t)(unsigned char)out.ptr[3] << 8 | (unsigned char)out.ptr[4];
    ASSERT(n == out.len - 5);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct check_answer answer;
    struct buf content = {0};
    const char *why = NULL;
    struct arena arena;
    int r;

    if (size == 0 || size > LIMIT_EXT_AUTH_ANSWER_BYTES)
        return 0;
    arena_init(&arena, 16384);
    if (bytes[0] == 'm') {
        buf_append(&content, "\0\0", 2);
        buf_append_char(&content, (char)((size - 1) >> 16));
        buf_append_char(&content, (char)((size - 1) >> 8));
        buf_append_char(&content, (char)(size - 1));
    }
    buf_append(&content, bytes + 1, size - 1);
    r = check_parse(buf_str(&content), &arena, &answer, &why);
    ASSERT(r == 0 || (r > 0 && why != NULL));
    check_answer_read(&answer, r);
    play_question(str_make(bytes + 1, size - 1), &arena);
    buf_deinit(&content);
    arena_deinit(&arena);
    return 0;
}
