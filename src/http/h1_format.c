/* Messages to bytes. Room is asked for once per head, then bytes are only copied. Framing headers
 * are written here and nowhere else, from body and content_length, so that what we send can never
 * contradict itself. A value that came from elsewhere (a claim, a manifest) and holds a byte which
 * may not stand in a field value gets spaces in its place: nothing can end a header line but we. */
#include "http/grammar.h"
#include "http/h1.h"
#include "http/h1_spelling.h"

#define FRAMING_BYTES 192u /* status line, framing, connection: everything but names and values */

static char *put(char *p, struct str s)
{
    if (s.len > 0)
        memcpy(p, s.ptr, s.len);
    return p + s.len;
}

#define PUT(p, literal) (memcpy((p), "" literal, sizeof(literal) - 1), (p) + sizeof(literal) - 1)

static char *put_u64(char *p, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;

    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(p, str_make(digits + n, sizeof digits - n));
}

static char *put_value(char *p, struct str value)
{
    char *end = put(p, value);
    size_t n = grammar_value_span(value);

    if (UNLIKELY(n < value.len)) {
        for (; n < value.len; n++) {
            if (!grammar_is(p[n], GRAMMAR_VALUE))
                p[n] = ' ';
        }
    }
    return end;
}

static size_t h1_headers_bytes(const struct http_headers *headers)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < headers->n; i++)
        bytes += headers->items[i].name.len + headers->items[i].value.len + 4;
    return bytes;
}

static char *put_headers(char *p, const struct http_headers *headers)
{
    for (unsigned i = 0; i < headers->n; i++) {
        p = put(p, headers->items[i].name);
        p = PUT(p, ": ");
        p = put_value(p, headers->items[i].value);
        p = PUT(p, "\r\n");
    }
    return p;
}

static char *put_length(char *p, uint64_t length)
{
    p = PUT(p, "content-length: ");
    p = put_u64(p, length);
    return PUT(p, "\r\n");
}

static char *put_upgrade(char *p, struct str upgrade)
{
    p = PUT(p, "connection: upgrade\r\nupgrade: ");
    p = put_value(p, upgrade);
    return PUT(p, "\r\n");
}

/* In the head (or last chunk) that begins at `start` and ends where `out` does. */
static void put_spelling(struct buf *out, size_t start, const struct http_headers *headers)
{
    if (UNLIKELY(headers->spelling != NULL))
        h1_spelling_write(headers->spelling, out->ptr + start, out->len - start);
}

void h1_format_request(struct buf *out, const struct http_request *request)
{
    size_t bytes = request->method_text.len + request->path.len + request->query.len +
                   request->authority.len + request->upgrade.len +
                   h1_headers_bytes(&request->headers) + FRAMING_BYTES;
    char *p = buf_reserve(out, bytes);

    p = put(p, request->method_text);
    p = PUT(p, " ");
    p = put(p, request->path);
    if (request->query.ptr) {
        p = PUT(p, "?");
        p = put(p, request->query);
    }
    p = PUT(p, " HTTP/1.1\r\nhost: ");
    p = put_value(p, request->authority);
    p = PUT(p, "\r\n");
    p = put_headers(p, &request->headers);
    if (request->body == HTTP_BODY_LENGTH)
        p = put_length(p, request->content_length);
    else if (request->body == HTTP_BODY_CHUNKED)
        p = PUT(p, "transfer-encoding: chunked\r\n");
    if (request->upgrade.len > 0)
        p = put_upgrade(p, request->upgrade);
    else if (request->has_te_trailers)
        p = PUT(p, "connection: te\r\nte: trailers\r\n");
    p = PUT(p, "\r\n");
    size_t start = out->len;

    out->len = (size_t)(p - out->ptr);
    put_spelling(out, start, &request->headers);
}

static char *put_status_line(char *p, const struct http_response *response)
{
    struct str reason = response->reason;

    if (reason.len == 0)
        reason = http_status_reason(response->status);
    p = PUT(p, "HTTP/1.1 ");
    p = put_u64(p, response->status);
    p = PUT(p, " ");
    p = put_value(p, reason);
    return PUT(p, "\r\n");
}

void h1_format_response(struct buf *out, const struct http_response *response, bool keep_alive)
{
    size_t bytes = response->reason.len + response->upgrade.len +
                   h1_headers_bytes(&response->headers) + FRAMING_BYTES;
    char *p = buf_reserve(out, bytes);

    p = put_status_line(p, response);
    p = put_headers(p, &response->headers);
    if (response->body == HTTP_BODY_LENGTH ||
        (response->body == HTTP_BODY_NONE && response->has_content_length))
        p = put_length(p, response->content_length);
    else if (response->body == HTTP_BODY_CHUNKED)
        p = PUT(p, "transfer-encoding: chunked\r\n");
    if (response->status == 101)
        p = put_upgrade(p, response->upgrade);
    else if (response->status >= 200 && (!keep_alive || response->body == HTTP_BODY_UNTIL_CLOSE))
        p = PUT(p, "connection: close\r\n");
    else if (response->status >= 200 && response->minor_version == 0)
        p = PUT(p, "connection: keep-alive\r\n"); /* RFC 9112 C.2.2 */
    p = PUT(p, "\r\n");
    size_t start = out->len;

    out->len = (size_t)(p - out->ptr);
    put_spelling(out, start, &response->headers);
}

void h1_format_chunk_size(struct buf *out, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char text[18];
    size_t start = 16;

    text[16] = '\r';
    text[17] = '\n';
    do {
        text[--start] = digits[n & 15];
        n >>= 4;
    } while (n > 0);
    buf_append(out, text + start, sizeof text - start);
}

void h1_format_last_chunk(struct buf *out, const struct http_headers *trailers)
{
    size_t bytes = trailers ? h1_headers_bytes(trailers) : 0;
    char *p = buf_reserve(out, bytes + 8);

    p = PUT(p, "0\r\n");
    if (trailers)
        p = put_headers(p, trailers);
    p = PUT(p, "\r\n");
    size_t start = out->len;

    out->len = (size_t)(p - out->ptr);
    if (trailers)
        put_spelling(out, start, trailers);
}
