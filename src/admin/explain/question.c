/* See question.h. Whatever ends a line would end the head that is made of it, and is refused; all
 * else is left to the gateway's own reader, which says of it what it says of any request. */
#include "admin/explain/question.h"

#include "base/limits.h"
#include "http/grammar.h"

enum { QUESTION_HTTP_PORT = 80, QUESTION_HTTPS_PORT = 443 };

static const struct str question_schemes[] = {{"http://", 7}, {"https://", 8}};

static bool question_is_one_line(struct str text)
{
    return str_find_char(text, '\r', 0) < 0 && str_find_char(text, '\n', 0) < 0 &&
           str_find_char(text, '\0', 0) < 0;
}

/* The end of the authority, where path or query begins. */
static size_t question_authority_end(struct str rest)
{
    size_t n = 0;

    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?' && rest.ptr[n] != '#')
        n++;
    return n;
}

static int question_read_url(struct question *q, struct str url, struct buf *ret_why)
{
    struct str rest, host;
    uint16_t port;
    size_t n;

    q->is_tls = str_starts_with_nocase(url, question_schemes[1]);
    if (!q->is_tls && !str_starts_with_nocase(url, question_schemes[0])) {
        buf_printf(ret_why,
                   "the URL must begin with http:// or https://, as in 'POST http://host/path'");
        return QUESTION_BAD;
    }
    rest = str_slice(url, question_schemes[q->is_tls].len, url.len);
    n = question_authority_end(rest);
    q->authority = str_slice(rest, 0, n);
    q->target = str_slice(rest, n, rest.len);
    if (!grammar_host_parse(q->authority, &host, &port)) {
        buf_printf(ret_why, "the URL names no valid host: expected http://host[:port]/path");
        return QUESTION_BAD;
    }
    if (q->target.len == 0)
        q->target = STR("/");
    if (q->target.ptr[0] != '/') {
        buf_printf(ret_why, "the URL has no path: expected http://host[:port]/path");
        return QUESTION_BAD;
    }
    q->has_port = port != 0;
    q->port = port        ? port
              : q->is_tls ? (uint16_t)QUESTION_HTTPS_PORT
                          : (uint16_t)QUESTION_HTTP_PORT;
    return 0;
}

int question_read(struct question *q, struct str request, struct buf *ret_why)
{
    struct str rest = str_trim(request);
    struct str method = STR("GET");

    if (!question_is_one_line(request)) {
        buf_printf(ret_why, "a request is one line: 'POST http://host/path'");
        return QUESTION_BAD;
    }
    if (rest.len > LIMIT_TARGET_BYTES) {
        buf_printf(ret_why, "the request line is too long");
        return QUESTION_BAD;
    }
    if (str_find_char(rest, ' ', 0) >= 0) {
        struct str part;

        if (!str_split(&rest, ' ', &part))
            return QUESTION_BAD;
        method = part;
        rest = str_trim(rest);
    }
    if (!grammar_is_token(method) || str_find_char(rest, ' ', 0) >= 0) {
        buf_printf(ret_why, "expected a method and a URL: 'POST http://host/path'");
        return QUESTION_BAD;
    }
    q->method = method;
    return question_read_url(q, rest, ret_why);
}

static int question_put_header(struct question *q, struct str name, struct str value,
                               struct buf *ret_why)
{
    if (q->n_headers == QUESTION_HEADERS_MAX) {
        buf_printf(ret_why, "more than %d headers", QUESTION_HEADERS_MAX);
        return QUESTION_BAD;
    }
    q->headers[q->n_headers++] = (struct question_header){name, value};
    return 0;
}

int question_add_header(struct question *q, struct str line, struct buf *ret_why)
{
    ssize_t colon = str_find_char(line, ':', 0);
    struct str name = str_slice(line, 0, colon < 0 ? 0 : (size_t)colon);

    if (colon <= 0 || !grammar_is_token(name)) {
        buf_printf(ret_why, "a header is written 'Name: value'");
        return QUESTION_BAD;
    }
    if (!question_is_one_line(line)) {
        buf_printf(ret_why, "header %.*s: its value has a line end in it", STR_ARG(name));
        return QUESTION_BAD;
    }
    if (line.len > LIMIT_HEAD_BYTES) {
        buf_printf(ret_why, "header %.*s: its value is too long", STR_ARG(name));
        return QUESTION_BAD;
    }
    if (str_eq_nocase(name, STR("content-length")) ||
        str_eq_nocase(name, STR("transfer-encoding"))) {
        buf_printf(ret_why, "header %.*s is written by itself, from the body", STR_ARG(name));
        return QUESTION_BAD;
    }
    return question_put_header(q, name, str_trim(str_slice(line, (size_t)colon + 1, line.len)),
                               ret_why);
}

int question_add_token(struct question *q, struct str token, struct arena *a, struct buf *ret_why)
{
    token = str_trim(token);
    while (token.len > 0 && (token.ptr[token.len - 1] == '\n' || token.ptr[token.len - 1] == '\r'))
        token.len--;
    if (token.len == 0 || !grammar_is_value(token) || str_find_char(token, ' ', 0) >= 0) {
        buf_printf(ret_why, "the token is empty, or has a blank or a control character in it");
        return QUESTION_BAD;
    }
    return question_put_header(q, STR("authorization"), arena_join(a, STR("Bearer "), token),
                               ret_why);
}

static bool question_has(const struct question *q, struct str name)
{
    for (uint32_t i = 0; i < q->n_headers; i++) {
        if (str_eq_nocase(q->headers[i].name, name))
            return true;
    }
    return false;
}

void question_format(const struct question *q, struct buf *out)
{
    ssize_t hash = str_find_char(q->target, '#', 0);
    struct str target = hash < 0 ? q->target : str_slice(q->target, 0, (size_t)hash);

    buf_printf(out, "%.*s %.*s HTTP/1.1\r\n", STR_ARG(q->method), STR_ARG(target));
    if (!question_has(q, STR("host")))
        buf_printf(out, "Host: %.*s\r\n", STR_ARG(q->authority));
    for (uint32_t i = 0; i < q->n_headers; i++)
        buf_printf(out, "%.*s: %.*s\r\n", STR_ARG(q->headers[i].name),
                   STR_ARG(q->headers[i].value));
    if (q->has_body)
        buf_printf(out, "Content-Length: %zu\r\n", q->body.len);
    buf_printf(out, "\r\n");
}
