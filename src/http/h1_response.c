/* Response heads (RFC 9112 4 and 6.3): status line and where the content ends. As strict as for
 * requests where framing is concerned: a backend that can be made to send doubtful framing must
 * not poison the connection for the next request. Lenient only where nothing hangs on it: the
 * reason phrase and the space before it may be missing. Worker-local. */
#include "http/grammar.h"
#include "http/h1_internal.h"

int h1_response_check_start(struct h1 *c, struct str input)
{
    static const char start[] = "HTTP/";
    size_t n = MIN(input.len, sizeof start - 1);

    return memcmp(input.ptr, start, n) == 0 ? 0 : h1_fail(c, H1_ERROR_BAD_STATUS_LINE);
}

static bool h1_status_parse(struct str text, uint16_t *ret_status)
{
    uint64_t status;

    if (text.len != 3 || !str_to_u64(text, &status) || status < 100 || status > 599)
        return false;
    *ret_status = (uint16_t)status;
    return true;
}

static int h1_status_line_parse(struct h1 *c, struct h1_fields *f, struct http_response *ret)
{
    struct str rest = str_make(f->cursor, (size_t)(f->end - f->cursor));
    size_t n = grammar_value_span(rest);
    struct str line = str_slice(rest, 0, n);

    /* The head ends in CR LF CR LF: two bytes follow whatever n is. */
    if (rest.ptr[n] != '\r' || rest.ptr[n + 1] != '\n' || line.len < 12 || line.ptr[8] != ' ')
        return h1_fail(c, H1_ERROR_BAD_STATUS_LINE);
    int r =
        h1_version_parse(c, str_slice(line, 0, 8), H1_ERROR_BAD_STATUS_LINE, &ret->minor_version);

    if (r)
        return r;
    if (!h1_status_parse(str_slice(line, 9, 12), &ret->status) ||
        (line.len > 12 && line.ptr[12] != ' '))
        return h1_fail(c, H1_ERROR_BAD_STATUS_LINE);
    ret->reason = str_slice(line, 13, line.len);
    f->cursor += n + 2;
    return 0;
}

/* An interim answer (RFC 9110 15.2): without content, whatever it says; one that announces some is
 * read in two ways. No HTTP/1.0 server sends any (there it would be the answer), and what it says
 * of the connection holds for the answer behind it too. */
static int h1_interim_framing(struct h1 *c, struct http_response *ret)
{
    if (ret->minor_version == 0)
        return h1_fail(c, H1_ERROR_BAD_STATUS_LINE);
    if (ret->body == HTTP_BODY_CHUNKED)
        return h1_fail(c, H1_ERROR_BAD_TRANSFER_ENCODING);
    if (ret->content_length > 0)
        return h1_fail(c, H1_ERROR_BAD_CONTENT_LENGTH);
    c->is_last_answer |= !ret->is_keep_alive;
    ret->has_content_length = false;
    ret->body = HTTP_BODY_NONE;
    return 0;
}

/* RFC 9112 6.3, in its order. */
static int h1_response_framing(struct h1 *c, const struct h1_fields *f, struct http_response *ret)
{
    int r = h1_framing_parse(c, f, ret->minor_version, &ret->body, &ret->content_length);

    if (r)
        return r;
    ret->has_content_length = ret->body == HTTP_BODY_LENGTH;
    if (ret->status < 200)
        return h1_interim_framing(c, ret);
    if (ret->status == 204) {
        if (ret->body == HTTP_BODY_CHUNKED)
            return h1_fail(c, H1_ERROR_BAD_TRANSFER_ENCODING);
        /* Forbidden there, yet seen; what it announces may follow, so nobody is next here. */
        if (ret->has_content_length && ret->content_length > 0)
            ret->is_keep_alive = false;
        ret->has_content_length = false;
        ret->content_length = 0;
        ret->body = HTTP_BODY_NONE;
    } else if (c->is_head_answer || ret->status == 304) {
        ret->body = HTTP_BODY_NONE;
    } else if (ret->body == HTTP_BODY_NONE) {
        ret->body = HTTP_BODY_UNTIL_CLOSE;
        ret->is_keep_alive = false;
    }
    return 0;
}

int h1_response_parse(struct h1 *c, char *head, size_t len, struct arena *arena,
                      struct http_response *ret)
{
    struct h1_fields f = {.cursor = head, .end = head + len, .headers = &ret->headers};

    *ret = (struct http_response){0};
    http_headers_init(&ret->headers, arena);
    int r = h1_status_line_parse(c, &f, ret);

    if (!r)
        r = h1_fields_parse(c, &f);
    if (!r && f.n_connection > 0)
        r = h1_connection_apply(c, &f);
    if (r)
        return r;
    ret->is_keep_alive =
        !f.is_close && !c->is_last_answer && (ret->minor_version > 0 || f.is_keep_alive);
    if (ret->status == 101 && f.is_upgrade && f.n_upgrade == 1)
        ret->upgrade = f.upgrade;
    return h1_response_framing(c, &f, ret);
}
