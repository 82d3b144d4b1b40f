/* Finding the end of a head and reading its header lines, for requests, responses and trailers
 * alike (RFC 9112 2.1, 2.2, 5). Works on the connection's bytes (find) and then on one writable
 * copy in the exchange's arena (parse), where names are lowered in place. Worker-local.
 *
 * Errors depend on the bytes alone and never on how they were cut into reads: whatever can be
 * refused before the head is complete is also looked for first when it comes in one piece.
 * What the fields mean is left to h1_fields.c, h1_request.c and h1_response.c. */
#include "base/assert.h"
#include "base/limits.h"
#include "http/grammar.h"
#include "http/h1_internal.h"

/* A start line beyond this has a target over the limit: method, version and spaces fit the rest. */
#define START_LINE_BYTES (LIMIT_TARGET_BYTES + 64u)

static enum h1_error h1_start_line_error(const struct h1 *c)
{
    return c->options.is_client ? H1_ERROR_BAD_STATUS_LINE : H1_ERROR_BAD_REQUEST_LINE;
}

/* Judges the line feed at `i`; *ret_is_end: the head ends there. */
static int h1_line_end(struct h1 *c, struct str input, size_t i, bool *ret_is_end)
{
    bool is_first = c->n_lines == 0;

    if (is_first && i > START_LINE_BYTES)
        return h1_fail(c,
                       c->options.is_client ? H1_ERROR_BAD_STATUS_LINE : H1_ERROR_TARGET_TOO_LONG);
    if (i == 0 || input.ptr[i - 1] != '\r')
        return h1_fail(c, is_first ? h1_start_line_error(c) : H1_ERROR_BAD_HEADER);
    *ret_is_end = i >= 3 && input.ptr[i - 2] == '\n' && input.ptr[i - 3] == '\r';
    if (!*ret_is_end && ++c->n_lines > LIMIT_HEADER_COUNT + 1)
        return h1_fail(c, H1_ERROR_TOO_MANY_HEADERS);
    return 0;
}

int h1_head_find(struct h1 *c, struct str input, size_t limit, size_t *ret_len)
{
    size_t end = MIN(input.len, limit);

    while (c->scanned < end) {
        const char *lf = memchr(input.ptr + c->scanned, '\n', end - c->scanned);
        bool is_end = false;

        if (!lf) {
            c->scanned = (uint32_t)end;
            break;
        }
        size_t i = (size_t)(lf - input.ptr);
        int r = h1_line_end(c, input, i, &is_end);

        if (r)
            return r;
        c->scanned = (uint32_t)i + 1;
        if (is_end) {
            *ret_len = i + 1;
            return 0;
        }
    }
    if (c->n_lines == 0 && c->scanned > START_LINE_BYTES)
        return h1_fail(c,
                       c->options.is_client ? H1_ERROR_BAD_STATUS_LINE : H1_ERROR_TARGET_TOO_LONG);
    if (end == limit)
        return h1_fail(c, H1_ERROR_HEAD_TOO_LARGE);
    return H1_MORE;
}

int h1_trailers_find(struct h1 *c, struct str input, size_t *ret_len)
{
    size_t end = MIN(input.len, (size_t)LIMIT_TRAILER_BYTES);

    while (c->scanned < end) {
        const char *lf = memchr(input.ptr + c->scanned, '\n', end - c->scanned);

        if (!lf) {
            c->scanned = (uint32_t)end;
            break;
        }
        size_t i = (size_t)(lf - input.ptr);

        if (i == 0 || input.ptr[i - 1] != '\r' || c->n_lines++ > LIMIT_HEADER_COUNT)
            return h1_fail(c, H1_ERROR_BAD_TRAILER);
        c->scanned = (uint32_t)i + 1;
        if (i == 1 || (i >= 3 && input.ptr[i - 2] == '\n')) {
            *ret_len = i + 1;
            return 0;
        }
    }
    return end == LIMIT_TRAILER_BYTES ? h1_fail(c, H1_ERROR_BAD_TRAILER) : H1_MORE;
}

int h1_version_parse(struct h1 *c, struct str text, enum h1_error bad_line, uint8_t *ret_minor)
{
    if (text.len != 8 || memcmp(text.ptr, "HTTP/", 5) != 0 || text.ptr[6] != '.' ||
        text.ptr[5] < '0' || text.ptr[5] > '9' || text.ptr[7] < '0' || text.ptr[7] > '9')
        return h1_fail(c, bad_line);
    if (text.ptr[5] != '1' || text.ptr[7] > '1')
        return h1_fail(c, H1_ERROR_BAD_VERSION);
    *ret_minor = (uint8_t)(text.ptr[7] - '0');
    return 0;
}

/* Lowers the name at f->cursor in place and steps behind its colon. */
static int h1_name_parse(struct h1 *c, struct h1_fields *f, struct str *ret_name)
{
    char *start = f->cursor;
    char *p = start;
    bool has_underscore = false;
    uint8_t lower;

    /* The empty line at the end stops this loop: CR is no tchar. */
    for (;;) {
        while ((lower = grammar_lower_token[(uint8_t)*p]) != 0)
            *p++ = (char)lower;
        if (*p != '_')
            break;
        if (!c->options.allows_underscore)
            return h1_fail(c, H1_ERROR_UNDERSCORE_HEADER);
        has_underscore = true;
        p++;
    }
    if (p == start || *p != ':')
        return h1_fail(c, H1_ERROR_BAD_HEADER);
    *ret_name = str_make(start, (size_t)(p - start));
    if (UNLIKELY(has_underscore) && header_is_framing_alias(*ret_name)) /* whatever is allowed */
        return h1_fail(c, H1_ERROR_UNDERSCORE_HEADER);
    f->cursor = p + 1;
    return 0;
}

/* The value at f->cursor, trimmed; steps to the next line. */
static int h1_value_parse(struct h1 *c, struct h1_fields *f, struct str *ret_value)
{
    char *start = f->cursor;

    while (*start == ' ' || *start == '\t')
        start++;
    size_t n = grammar_value_span(str_make(start, (size_t)(f->end - start)));

    /* The last two bytes before f->end are CR LF: start + n stops there at the latest. */
    if (start[n] != '\r' || start[n + 1] != '\n')
        return h1_fail(c, H1_ERROR_BAD_HEADER);
    f->cursor = start + n + 2;
    while (n > 0 && (start[n - 1] == ' ' || start[n - 1] == '\t'))
        n--;
    *ret_value = str_make(start, n);
    return 0;
}

static int h1_connection_note(struct h1 *c, struct h1_fields *f, struct str value)
{
    char *p = (char *)(uintptr_t)value.ptr; /* of f's own writable copy */

    str_lower(value, p);
    if (++f->n_connection > 4)
        return h1_fail(c, H1_ERROR_BAD_CONNECTION);
    f->connection = f->n_connection == 1 ? value
                                         : arena_printf(f->headers->arena, "%.*s, %.*s",
                                                        STR_ARG(f->connection), STR_ARG(value));
    return 0;
}

static inline void h1_note(struct str *slot, uint8_t *n, struct str value)
{
    *slot = value;
    *n = (uint8_t)(*n < 2 ? *n + 1 : 2);
}

/* White space around a value may be a tab (RFC 9110 5.6.3), but readers differ about it: for nginx
 * it is a part of the value, for llhttp of a coding or length. What one of two readers does not see
 * of length, coding or host is where smuggling begins, and nobody in earnest sends tabs. One inside
 * a value makes it none. */
static bool h1_has_tab(const struct h1_fields *f, const struct http_header *header)
{
    const char *line_end = f->cursor - 2; /* before CR LF */

    for (const char *p = header->name.ptr + header->name.len + 1; p < header->value.ptr; p++) {
        if (*p == '\t')
            return true;
    }
    for (const char *p = header->value.ptr + header->value.len; p < line_end; p++) {
        if (*p == '\t')
            return true;
    }
    return false;
}

/* Takes note of the framing and hop-by-hop headers; the others stay in their slot of the list. */
static int h1_field_sort(struct h1 *c, struct h1_fields *f, const struct http_header *header)
{
    switch (header->id) {
    case HEADER_HOST:
        if (c->options.is_client)
            break;
        if (h1_has_tab(f, header))
            return h1_fail(c, H1_ERROR_BAD_HOST);
        h1_note(&f->host, &f->n_host, header->value);
        return 0;
    case HEADER_CONTENT_LENGTH:
        if (h1_has_tab(f, header))
            return h1_fail(c, H1_ERROR_BAD_CONTENT_LENGTH);
        h1_note(&f->content_length, &f->n_content_length, header->value);
        return 0;
    case HEADER_TRANSFER_ENCODING:
        if (h1_has_tab(f, header))
            return h1_fail(c, H1_ERROR_BAD_TRANSFER_ENCODING);
        h1_note(&f->transfer_encoding, &f->n_transfer_encoding, header->value);
        return 0;
    case HEADER_CONNECTION:
        return h1_connection_note(c, f, header->value);
    case HEADER_UPGRADE:
        h1_note(&f->upgrade, &f->n_upgrade, header->value);
        return 0;
    case HEADER_EXPECT:
        if (c->options.is_client)
            break;
        h1_note(&f->expect, &f->n_expect, header->value);
        return 0;
    case HEADER_TE:
        f->has_te_trailers |= grammar_list_has(header->value, STR("trailers"));
        return 0;
    case HEADER_KEEP_ALIVE:
    case HEADER_PROXY_CONNECTION:
    case HEADER_TRAILER:
        return 0;
    default:
        break;
    }
    http_headers_took(f->headers, header->id);
    return 0;
}

int h1_fields_parse(struct h1 *c, struct h1_fields *f)
{
    /* n_lines counts the line ends before the empty line: an upper bound of what comes. A few more
     * for what the gateway adds. */
    http_headers_reserve(f->headers, c->n_lines + 8);
    while (*f->cursor != '\r') {
        /* Parsed where it will stand: copying it there was a quarter of this function's time. */
        struct http_header *header = &f->headers->items[f->headers->n];
        int r = h1_name_parse(c, f, &header->name);

        if (!r)
            r = h1_value_parse(c, f, &header->value);
        if (r)
            return r;
        header->id = header_id_find(header->name);
        r = h1_field_sort(c, f, header);
        if (r)
            return r;
    }
    /* A CR that begins a line and is not the empty line at the very end. */
    if (f->cursor + 2 != f->end)
        return h1_fail(c, H1_ERROR_BAD_HEADER);
    return 0;
}
