/* Request heads (RFC 9112 3): request line, target forms, Host, Expect, Upgrade. The head is a
 * writable copy in the exchange's arena, and all strings of the request point into it.
 * Worker-local. Late headers, virtual hosts and methods are the gateway's business. */
#include "base/limits.h"
#include "http/grammar.h"
#include "http/h1_internal.h"
#include "http/target.h"

int h1_request_check_start(struct h1 *c, struct str input)
{
    size_t n = http_method_span(str_slice(input, 0, HTTP_METHOD_BYTES + 1));

    if (n > HTTP_METHOD_BYTES || (n < input.len && (n == 0 || input.ptr[n] != ' ')))
        return h1_fail(c, H1_ERROR_BAD_REQUEST_LINE);
    return 0;
}

/* The line, whole, has neither a path nor a version in it: nobody who speaks HTTP/1 has written it.
 */
static bool h1_is_no_http(struct str line)
{
    for (size_t i = 0; i < line.len && line.ptr[i] != '\r'; i++) {
        struct str rest = str_slice(line, i, line.len);

        if (str_starts_with(rest, STR(" /")) || str_starts_with_nocase(rest, STR(" HTTP/")))
            return false;
    }
    return true;
}

/* method SP target SP version CRLF; steps behind it. */
static int h1_request_line_read(struct h1 *c, struct h1_fields *f, struct http_request *ret)
{
    struct str rest = str_make(f->cursor, (size_t)(f->end - f->cursor));
    size_t n = http_method_span(rest);

    /* h1_request_check_start has seen the method and its space. */
    ret->method_text = str_slice(rest, 0, n);
    ret->method = http_method_parse(ret->method_text);
    rest = str_slice(rest, n + 1, rest.len);
    n = grammar_span(rest, GRAMMAR_TARGET);
    ret->target = str_slice(rest, 0, n);
    if (n == 0 || rest.ptr[n] == '\r' || rest.ptr[n] == '\n')
        return h1_fail(c, H1_ERROR_BAD_REQUEST_LINE);
    if (rest.ptr[n] != ' ')
        return h1_fail(c, H1_ERROR_BAD_TARGET);
    if (n > LIMIT_TARGET_BYTES)
        return h1_fail(c, H1_ERROR_TARGET_TOO_LONG);
    rest = str_slice(rest, n + 1, rest.len);
    ssize_t cr = str_find_char(rest, '\r', 0);

    if (cr < 0 || rest.ptr[cr + 1] != '\n')
        return h1_fail(c, H1_ERROR_BAD_REQUEST_LINE);
    f->cursor += rest.ptr - f->cursor + cr + 2;
    return h1_version_parse(c, str_slice(rest, 0, (size_t)cr), H1_ERROR_BAD_REQUEST_LINE,
                            &ret->minor_version);
}

static int h1_request_line_parse(struct h1 *c, struct h1_fields *f, struct http_request *ret)
{
    struct str line = str_make(f->cursor, (size_t)(f->end - f->cursor));
    int r = h1_request_line_read(c, f, ret);

    if (r && c->error == H1_ERROR_BAD_REQUEST_LINE && h1_is_no_http(line))
        return h1_fail(c, H1_ERROR_NOT_HTTP);
    return r;
}

/* Splits "http://authority/path" (RFC 9112 3.2.2); *rest is what follows the authority. */
static int h1_absolute_parse(struct h1 *c, struct http_request *ret, struct str *rest)
{
    bool is_https = str_starts_with_nocase(*rest, STR("https://"));
    size_t start = is_https ? 8 : 7;
    size_t end = start;

    if (!is_https && !str_starts_with_nocase(*rest, STR("http://")))
        return h1_fail(c, H1_ERROR_BAD_TARGET);
    while (end < rest->len && rest->ptr[end] != '/' && rest->ptr[end] != '?')
        end++;
    /* RFC 9110 4.2.1: without a host it is invalid, whatever Host says. */
    if (end == start)
        return h1_fail(c, H1_ERROR_BAD_HOST);
    ret->authority = str_slice(*rest, start, end);
    *rest = str_slice(*rest, end, rest->len);
    /* A scheme that is not the connection's would end in redirects and X-Forwarded-Proto. */
    ret->scheme = is_https ? STR("https") : STR("http");
    if (c->options.scheme.len > 0 && !str_eq(ret->scheme, c->options.scheme))
        return h1_fail(c, H1_ERROR_BAD_TARGET);
    return 0;
}

static int h1_target_parse(struct h1 *c, struct arena *arena, struct http_request *ret)
{
    struct str rest = ret->target;

    ret->scheme = c->options.scheme.len > 0 ? c->options.scheme : STR("http");
    if (ret->method == HTTP_METHOD_CONNECT)
        return h1_fail(c, H1_ERROR_CONNECT_METHOD);
    if (rest.ptr[0] != '/' && !str_eq(rest, STR("*"))) {
        int r = h1_absolute_parse(c, ret, &rest);

        if (r)
            return r;
        /* RFC 9112 3.2.4: no path at all is "*" for OPTIONS, the root for the others. */
        if (rest.len == 0)
            rest = ret->method == HTTP_METHOD_OPTIONS ? STR("*") : STR("/");
    }
    enum h1_error error = target_read(rest, c->options.path_reading, arena, ret);

    return error == H1_ERROR_NONE ? 0 : h1_fail(c, error);
}

/* Exactly one Host in 1.1, and an absolute target must agree with it: RFC 9112 3.2.2 lets the
 * target win, but whoever looks at Host behind us would then see another site. */
static int h1_host_check(struct h1 *c, const struct h1_fields *f, struct arena *arena,
                         struct http_request *ret)
{
    bool is_absolute = ret->authority.len > 0;

    if (f->n_host > 1 || (f->n_host == 0 && ret->minor_version > 0))
        return h1_fail(c, H1_ERROR_BAD_HOST);
    if (f->n_host == 1 && is_absolute && !str_eq_nocase(f->host, ret->authority))
        return h1_fail(c, H1_ERROR_BAD_HOST);
    if (!is_absolute)
        ret->authority = f->host;
    if (f->n_host == 0 && !is_absolute)
        return 0;
    enum h1_error error = target_read_host(arena, ret);

    return error == H1_ERROR_NONE ? 0 : h1_fail(c, error);
}

static int h1_expect_check(struct h1 *c, const struct h1_fields *f, struct http_request *ret)
{
    if (f->n_expect == 0)
        return 0;
    if (f->n_expect > 1 || !str_eq_nocase(f->expect, STR("100-continue")))
        return h1_fail(c, H1_ERROR_BAD_EXPECT);
    /* RFC 9110 10.1.1: ignored in 1.0, and needless without content. */
    ret->expects_continue = ret->minor_version > 0 && ret->body != HTTP_BODY_NONE &&
                            !(ret->body == HTTP_BODY_LENGTH && ret->content_length == 0);
    return 0;
}

/* Only WebSocket can be judged by its head: h2c or TLS would open a tunnel for unseen requests. */
static void h1_upgrade_note(struct http_request *ret, struct str protocol)
{
    bool is_empty =
        ret->body == HTTP_BODY_NONE || (ret->body == HTTP_BODY_LENGTH && ret->content_length == 0);

    if (!str_eq_nocase(protocol, STR("websocket")))
        ret->other_upgrade = is_empty ? protocol : STR("");
    else if (ret->method == HTTP_METHOD_GET && ret->body == HTTP_BODY_NONE)
        ret->upgrade = protocol;
}

int h1_request_parse(struct h1 *c, char *head, size_t len, struct arena *arena,
                     struct http_request *ret)
{
    struct h1_fields f = {.cursor = head, .end = head + len, .headers = &ret->headers};

    *ret = (struct http_request){0};
    http_headers_init(&ret->headers, arena);
    int r = h1_request_line_parse(c, &f, ret);

    if (!r)
        r = h1_target_parse(c, arena, ret);
    if (!r)
        r = h1_fields_parse(c, &f);
    if (!r)
        r = h1_host_check(c, &f, arena, ret);
    if (!r)
        r = h1_framing_parse(c, &f, ret->minor_version, &ret->body, &ret->content_length);
    if (!r && f.n_connection > 0)
        r = h1_connection_apply(c, &f);
    if (!r)
        r = h1_expect_check(c, &f, ret);
    if (r)
        return r;
    ret->connection = f.connection;
    ret->has_te_trailers = f.has_te_trailers;
    ret->is_keep_alive = !f.is_close && (ret->minor_version > 0 || f.is_keep_alive);
    if (f.is_upgrade && f.n_upgrade == 1 && ret->minor_version > 0)
        h1_upgrade_note(ret, f.upgrade);
    return 0;
}
