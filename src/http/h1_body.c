/* Content of a message (RFC 9112 6 and 7.1): by length, until close, or chunked. DATA spans borrow
 * from the input. A chunk-size line is read only when it is complete in the input, but judged byte
 * by byte before that, so that its errors do not depend on how the bytes were cut.
 *
 *   chunked:  SIZE -> DATA -> END -> SIZE ... -> SIZE with 0 -> state TRAILERS */
#include "base/limits.h"
#include "http/grammar.h"
#include "http/h1_internal.h"

static int h1_event_data(struct h1 *c, struct str *input, struct h1_event *ret_event)
{
    size_t n = MIN(input->len, c->body_left);

    ret_event->type = H1_EVENT_DATA;
    ret_event->data = str_slice(*input, 0, n);
    *input = str_slice(*input, n, input->len);
    c->body_left -= n;
    return H1_EVENT;
}

/* A quoted string at s[*i], which is its opening quote (RFC 9110 5.6.4). 0, H1_MORE or H1_ERROR
 * (c->error not set). */
static int h1_quoted_skip(struct str s, size_t *i)
{
    for (size_t k = *i + 1; k < s.len; k++) {
        if (s.ptr[k] == '"') {
            *i = k + 1;
            return 0;
        }
        if (s.ptr[k] == '\\' && ++k == s.len)
            return H1_MORE;
        if (!grammar_is(s.ptr[k], GRAMMAR_VALUE))
            return H1_ERROR;
    }
    return H1_MORE;
}

/* ";name[=value]" at s[*i]. No white space around ';' and '=': RFC 9112 7.1.1 only tolerates it,
 * and readers differ about it. */
static int h1_extension_skip(struct str s, size_t *i)
{
    size_t start = *i + 1;
    size_t n = grammar_span(str_slice(s, start, s.len), GRAMMAR_TOKEN);

    *i = start + n;
    if (*i == s.len)
        return H1_MORE;
    if (n == 0)
        return H1_ERROR;
    if (s.ptr[*i] != '=')
        return 0;
    start = *i + 1;
    if (start == s.len)
        return H1_MORE;
    *i = start;
    if (s.ptr[start] == '"')
        return h1_quoted_skip(s, i);
    n = grammar_span(str_slice(s, start, s.len), GRAMMAR_TOKEN);
    *i = start + n;
    if (*i == s.len)
        return H1_MORE;
    return n > 0 ? 0 : H1_ERROR;
}

/* chunk-size [ chunk-ext ] CRLF (RFC 9112 7.1); the extensions are dropped. */
static int h1_chunk_line(struct str s, size_t *ret_len, uint64_t *ret_size)
{
    size_t i = 0;
    uint64_t size = 0;

    for (; i < s.len && grammar_is(s.ptr[i], GRAMMAR_HEX); i++) {
        if (i == 16)
            return H1_ERROR;
        size = size << 4 | grammar_hex(s.ptr[i]);
    }
    if (size > INT64_MAX || (i == 0 && s.len > 0))
        return H1_ERROR;
    while (i < s.len && s.ptr[i] == ';') {
        int r = h1_extension_skip(s, &i);

        if (r)
            return r;
    }
    if (i < s.len && s.ptr[i] != '\r')
        return H1_ERROR;
    if (s.len - i < 2)
        return H1_MORE;
    if (s.ptr[i + 1] != '\n')
        return H1_ERROR;
    *ret_len = i + 2;
    *ret_size = size;
    return 0;
}

static int h1_chunk_size(struct h1 *c, struct str *input)
{
    size_t len;
    uint64_t size;
    int r = h1_chunk_line(str_slice(*input, 0, LIMIT_CHUNK_LINE_BYTES), &len, &size);

    if (r == H1_ERROR || (r == H1_MORE && input->len >= LIMIT_CHUNK_LINE_BYTES))
        return h1_fail(c, H1_ERROR_BAD_CHUNK);
    if (r)
        return r;
    *input = str_slice(*input, len, input->len);
    c->body_left = size;
    c->chunk_state = H1_CHUNK_DATA;
    if (size == 0) {
        c->state = H1_STATE_TRAILERS;
        c->scanned = 0;
        c->n_lines = 0;
    }
    return 0;
}

static int h1_chunk_end(struct h1 *c, struct str *input)
{
    if ((input->len > 0 && input->ptr[0] != '\r') || (input->len > 1 && input->ptr[1] != '\n'))
        return h1_fail(c, H1_ERROR_BAD_CHUNK);
    if (input->len < 2)
        return H1_MORE;
    *input = str_slice(*input, 2, input->len);
    c->chunk_state = H1_CHUNK_SIZE;
    return 0;
}

static int h1_trailers_next(struct h1 *c, struct str *input, struct arena *arena,
                            struct h1_event *ret_event)
{
    size_t len;
    int r = h1_trailers_find(c, *input, &len);

    if (r)
        return r;
    struct str section = str_slice(*input, 0, len);

    *input = str_slice(*input, len, input->len);
    if (len == 2)
        return h1_end(c, ret_event);
    r = h1_trailers_parse(c, section, arena, &ret_event->trailers);
    if (r)
        return r;
    if (ret_event->trailers.n == 0)
        return h1_end(c, ret_event);
    c->state = H1_STATE_END;
    ret_event->type = H1_EVENT_TRAILERS;
    return H1_EVENT;
}

/* One move: 0 when there is an event (*ret_has_event) or only the state went on. */
static int h1_chunked_step(struct h1 *c, struct str *input, struct h1_event *ret_event,
                           bool *ret_has_event)
{
    if (c->chunk_state == H1_CHUNK_SIZE)
        return h1_chunk_size(c, input);
    if (c->chunk_state == H1_CHUNK_END)
        return h1_chunk_end(c, input);
    if (input->len == 0)
        return H1_MORE;
    *ret_has_event = true;
    h1_event_data(c, input, ret_event);
    if (c->body_left == 0)
        c->chunk_state = H1_CHUNK_END;
    return 0;
}

static NOINLINE int h1_chunked_next(struct h1 *c, struct str *input, struct arena *arena,
                                    struct h1_event *ret_event)
{
    bool has_event = false;

    while (c->state == H1_STATE_BODY) {
        int r = h1_chunked_step(c, input, ret_event, &has_event);

        if (r || has_event)
            return r;
    }
    return h1_trailers_next(c, input, arena, ret_event);
}

int h1_body_next(struct h1 *c, struct str *input, struct arena *arena, struct h1_event *ret_event)
{
    if (c->body == HTTP_BODY_CHUNKED)
        return h1_chunked_next(c, input, arena, ret_event);
    if (input->len == 0)
        return H1_MORE;
    h1_event_data(c, input, ret_event);
    if (c->body_left == 0)
        c->state = H1_STATE_END;
    return H1_EVENT;
}
