/* The state machine of the HTTP/1 codec. One struct h1 per connection and direction, embedded in
 * its connection, on that connection's worker; it owns no memory.
 *
 *   HEAD -> BODY -> END -> HEAD ...        content by length or until close
 *   HEAD -> BODY -> TRAILERS -> END        chunked
 *   HEAD -> END                            no content
 *   HEAD or END -> RAW                     after 101
 *   any  -> FAILED                         for good
 *
 * Heads are parsed by h1_request.c and h1_response.c, content by h1_body.c. When to answer, close
 * or reuse is left to the owner. */
#include "http/h1.h"

#include "base/assert.h"
#include "base/limits.h"
#include "http/h1_internal.h"
#include "http/h1_spelling.h"

void h1_init(struct h1 *c, const struct h1_options *options)
{
    *c = (struct h1){.options = *options};
    if (c->options.head_bytes_limit == 0)
        c->options.head_bytes_limit = LIMIT_HEAD_BYTES;
}

void h1_expect_response_to(struct h1 *c, enum http_method method)
{
    c->is_head_answer = method == HTTP_METHOD_HEAD;
}

void h1_set_raw(struct h1 *c)
{
    c->state = H1_STATE_RAW;
}

static void h1_set_head(struct h1 *c)
{
    c->state = H1_STATE_HEAD;
    c->body = HTTP_BODY_NONE;
    c->body_left = 0;
    c->scanned = 0;
    c->n_lines = 0;
    c->has_skipped_crlf = false;
}

int h1_end(struct h1 *c, struct h1_event *ret_event)
{
    h1_set_head(c);
    ret_event->type = H1_EVENT_END;
    return H1_EVENT;
}

/* From the head to what follows it. */
static void h1_head_done(struct h1 *c, enum http_body body, uint64_t length)
{
    c->body = body;
    c->body_left = length;
    c->scanned = 0;
    c->chunk_state = H1_CHUNK_SIZE;
    c->state = H1_STATE_BODY;
    if (body == HTTP_BODY_NONE || (body == HTTP_BODY_LENGTH && length == 0))
        c->state = H1_STATE_END;
    else if (body == HTTP_BODY_CHUNKED)
        c->body_left = 0;
    else if (body == HTTP_BODY_UNTIL_CLOSE)
        c->body_left = UINT64_MAX;
}

/* The complete head at the start of *input: copied, parsed, consumed. */
static int h1_head_parse(struct h1 *c, struct str *input, size_t len, struct arena *arena,
                         struct http_request *ret_request, struct http_response *ret_response)
{
    char *head = arena_bytes(arena, len);
    int r;

    memcpy(head, input->ptr, len);
    if (c->options.is_client) {
        PRE(ret_response);
        r = h1_response_parse(c, head, len, arena, ret_response);
        if (r)
            return r;
        if (UNLIKELY(c->options.keeps_case))
            ret_response->headers.spelling =
                h1_spelling_read(str_slice(*input, 0, len), true, arena);
        h1_head_done(c, ret_response->body, ret_response->content_length);
        if (ret_response->status == 101)
            c->state = H1_STATE_RAW;
    } else {
        PRE(ret_request);
        r = h1_request_parse(c, head, len, arena, ret_request);
        if (r)
            return r;
        if (UNLIKELY(c->options.keeps_case))
            ret_request->headers.spelling =
                h1_spelling_read(str_slice(*input, 0, len), true, arena);
        h1_head_done(c, ret_request->body, ret_request->content_length);
    }
    *input = str_slice(*input, len, input->len);
    return 0;
}

/* The one empty line before a request line (RFC 9112 2.2). H1_MORE while it may still be one. */
static int h1_skip_crlf(struct h1 *c, struct str *input)
{
    if (c->options.is_client || c->has_skipped_crlf || c->scanned > 0 || input->len == 0 ||
        input->ptr[0] != '\r')
        return 0;
    if (input->len == 1)
        return H1_MORE;
    if (input->ptr[1] == '\n') {
        *input = str_slice(*input, 2, input->len);
        c->has_skipped_crlf = true;
    }
    return 0;
}

static NOINLINE int h1_head_next(struct h1 *c, struct str *input, struct arena *arena,
                                 struct http_request *ret_request,
                                 struct http_response *ret_response, struct h1_event *ret_event)
{
    size_t len;
    int r = h1_skip_crlf(c, input);

    if (r || input->len == 0)
        return H1_MORE;
    r = c->options.is_client ? h1_response_check_start(c, *input)
                             : h1_request_check_start(c, *input);
    if (!r)
        r = h1_head_find(c, *input, c->options.head_bytes_limit, &len);
    if (r == H1_ERROR && ret_request)
        *ret_request = (struct http_request){0};
    if (!r)
        r = h1_head_parse(c, input, len, arena, ret_request, ret_response);
    if (r)
        return r;
    ret_event->type = H1_EVENT_HEAD;
    return H1_EVENT;
}

int h1_next(struct h1 *c, struct str *input, struct arena *arena, struct http_request *ret_request,
            struct http_response *ret_response, struct h1_event *ret_event)
{
    *ret_event = (struct h1_event){.stream_id = 1};
    switch (c->state) {
    case H1_STATE_HEAD:
        return h1_head_next(c, input, arena, ret_request, ret_response, ret_event);
    case H1_STATE_BODY:
    case H1_STATE_TRAILERS:
        return h1_body_next(c, input, arena, ret_event);
    case H1_STATE_END:
        return h1_end(c, ret_event);
    case H1_STATE_RAW:
        if (input->len == 0)
            return H1_MORE;
        ret_event->type = H1_EVENT_RAW;
        ret_event->data = *input;
        *input = str_slice(*input, input->len, input->len);
        return H1_EVENT;
    case H1_STATE_FAILED:
        return H1_ERROR;
    }
    UNREACHABLE();
}

int h1_eof(struct h1 *c, struct h1_event *ret_event)
{
    *ret_event = (struct h1_event){.stream_id = 1};
    switch (c->state) {
    case H1_STATE_HEAD:
        if (c->scanned == 0)
            break;
        return h1_fail(c, H1_ERROR_TRUNCATED);
    case H1_STATE_BODY:
        if (c->body == HTTP_BODY_UNTIL_CLOSE)
            break;
        return h1_fail(c, H1_ERROR_TRUNCATED);
    case H1_STATE_TRAILERS:
        return h1_fail(c, H1_ERROR_TRUNCATED);
    case H1_STATE_FAILED:
        return H1_ERROR;
    case H1_STATE_END:
    case H1_STATE_RAW:
        break;
    }
    return h1_end(c, ret_event);
}

const char *h1_error_text(enum h1_error error)
{
    static const char *const texts[] = {
        [H1_ERROR_NONE] = "no error",
        [H1_ERROR_BAD_REQUEST_LINE] = "malformed request line",
        [H1_ERROR_NOT_HTTP] = "no line of HTTP/1",
        [H1_ERROR_BAD_STATUS_LINE] = "malformed status line",
        [H1_ERROR_BAD_VERSION] = "neither HTTP/1.0 nor HTTP/1.1",
        [H1_ERROR_BAD_HEADER] = "malformed header",
        [H1_ERROR_UNDERSCORE_HEADER] = "header name with an underscore",
        [H1_ERROR_HEAD_TOO_LARGE] = "head too large",
        [H1_ERROR_TOO_MANY_HEADERS] = "too many headers",
        [H1_ERROR_TARGET_TOO_LONG] = "request target too long",
        [H1_ERROR_BAD_TARGET] = "malformed request target",
        [H1_ERROR_BAD_PATH] = "ambiguous or malformed path",
        [H1_ERROR_BAD_HOST] = "missing, repeated, malformed or contradicting Host",
        [H1_ERROR_BAD_CONTENT_LENGTH] = "malformed or repeated Content-Length",
        [H1_ERROR_BAD_TRANSFER_ENCODING] = "unacceptable Transfer-Encoding",
        [H1_ERROR_BAD_CONNECTION] = "unacceptable Connection option",
        [H1_ERROR_BAD_CHUNK] = "malformed chunk",
        [H1_ERROR_BAD_TRAILER] = "malformed trailer",
        [H1_ERROR_BAD_EXPECT] = "unknown expectation",
        [H1_ERROR_CONNECT_METHOD] = "CONNECT is not served",
        [H1_ERROR_TRUNCATED] = "closed inside a message",
    };

    return texts[error];
}
