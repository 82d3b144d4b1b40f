/* Heads and trailers of HTTP/2 as messages (RFC 9113 8), and back. nghttp2 has refused before what
 * the RFC calls malformed (order, doubles and absence of pseudo-headers, upper case, headers of a
 * connection, a content length that content contradicts); here stands what this gateway asks
 * besides, the same as of HTTP/1. Of several errors the first is told. */
#include "base/limits.h"
#include "http/grammar.h"
#include "http/h2_internal.h"
#include "http/target.h"

static void h2_head_fail(struct h2_stream *s, enum h1_error error)
{
    if (s->error == H1_ERROR_NONE)
        s->error = error;
}

void h2_head_begin(struct h2_stream *s)
{
    struct http_request *q = s->request;

    s->n_head_bytes = 0;
    s->host = s->cookie = STR_NULL;
    s->cookie_room = 0;
    s->n_host = 0;
    s->has_content_length = s->expects_continue = false;
    if (s->h2->options.is_client) {
        *s->response = (struct http_response){.minor_version = 1, .is_keep_alive = true};
        http_headers_init(&s->response->headers, s->arena);
        return;
    }
    *q = (struct http_request){.minor_version = 1, .is_keep_alive = true};
    q->scheme = s->h2->options.scheme.len > 0 ? s->h2->options.scheme : STR("http");
    http_headers_init(&q->headers, s->arena);
}

/* ---- fields ---- */

/* Lower case is nghttp2's to check; what remains is which bytes there are at all. */
static bool h2_name_check(struct h2_stream *s, struct str name)
{
    bool has_underscore = false;

    for (size_t i = 0; i < name.len; i++) {
        if (grammar_lower_token[(uint8_t)name.ptr[i]] == (uint8_t)name.ptr[i] && name.ptr[i] != 0)
            continue;
        if (name.ptr[i] != '_' || !s->h2->options.allows_underscore) {
            h2_head_fail(s, name.ptr[i] == '_' ? H1_ERROR_UNDERSCORE_HEADER : H1_ERROR_BAD_HEADER);
            return false;
        }
        has_underscore = true;
    }
    if (name.len == 0)
        h2_head_fail(s, H1_ERROR_BAD_HEADER);
    if (UNLIKELY(has_underscore) && header_is_framing_alias(name)) {
        h2_head_fail(s, H1_ERROR_UNDERSCORE_HEADER);
        return false;
    }
    return name.len > 0;
}

/* Its bound first: nothing of a field that is too much is kept. */
static bool h2_field_fits(struct h2_stream *s, const struct http_headers *headers, struct str name,
                          struct str value)
{
    uint32_t limit = s->h2->options.head_bytes_limit ? s->h2->options.head_bytes_limit
                                                     : (uint32_t)LIMIT_HEAD_BYTES;

    if (name.len + value.len + 32 > limit - s->n_head_bytes) {
        h2_head_fail(s, H1_ERROR_HEAD_TOO_LARGE);
        return false;
    }
    s->n_head_bytes += (uint32_t)(name.len + value.len + 32); /* as RFC 9113 6.5.2 counts */
    if (headers->n < LIMIT_HEADER_COUNT)
        return true;
    h2_head_fail(s, H1_ERROR_TOO_MANY_HEADERS);
    return false;
}

static void h2_take_length(struct h2_stream *s, struct str value, uint64_t *ret)
{
    if (s->has_content_length || !str_to_u64(value, ret) || *ret > INT64_MAX)
        h2_head_fail(s, H1_ERROR_BAD_CONTENT_LENGTH);
    s->has_content_length = true;
}

static void h2_request_pseudo(struct h2_stream *s, struct str name, struct str value)
{
    struct http_request *q = s->request;

    if (str_eq(name, STR(":method"))) {
        q->method_text = arena_str(s->arena, value);
        q->method = http_method_parse(q->method_text);
        if (value.len == 0 || value.len > HTTP_METHOD_BYTES || http_method_span(value) != value.len)
            h2_head_fail(s, H1_ERROR_BAD_REQUEST_LINE);
    } else if (str_eq(name, STR(":path"))) {
        if (value.len > LIMIT_TARGET_BYTES)
            h2_head_fail(s, H1_ERROR_TARGET_TOO_LONG);
        else
            q->target = arena_str(s->arena, value);
    } else if (str_eq(name, STR(":authority"))) {
        q->authority = arena_str(s->arena, value);
    } else if (str_eq(name, STR(":protocol"))) {
        q->is_tunnel = true;
        if (str_eq(value, STR("websocket")))
            q->upgrade = STR("websocket");
    }
    /* ":scheme": a peer in front of us may have another scheme towards its client: this
     * connection's counts.
     */
}

/* Room grows by doubling: joined anew each time, crumbs of a byte on the wire (RFC 7541 6.1) would
 * take the square of their number. */
static void h2_join_cookie(struct h2_stream *s, struct str crumb)
{
    size_t n_before = s->cookie.len > 0 ? s->cookie.len + STR("; ").len : 0;
    size_t n = n_before + crumb.len;

    if (crumb.len == 0)
        return; /* joined it would be a space at the end, which HTTP/1 does not keep */
    if (n > s->cookie_room) {
        size_t room = n_before == 0 ? n : 2 * n;
        char *grown = arena_bytes(s->arena, room);

        if (n_before > 0)
            memcpy(grown, s->cookie.ptr, s->cookie.len);
        s->cookie.ptr = grown;
        s->cookie_room = room;
    }
    char *end = (char *)(uintptr_t)s->cookie.ptr + s->cookie.len;

    if (n_before > 0) {
        *end++ = ';';
        *end++ = ' ';
    }
    memcpy(end, crumb.ptr, crumb.len);
    s->cookie.len = n;
}

/* The codec's own: framing, hop by hop. True: it is no header of the message. */
static bool h2_request_own(struct h2_stream *s, enum header_id id, struct str value)
{
    struct http_request *q = s->request;

    switch (id) {
    case HEADER_HOST:
        s->host = arena_str(s->arena, value);
        s->n_host = (uint8_t)MIN(s->n_host + 1, 2);
        return true;
    case HEADER_CONTENT_LENGTH:
        h2_take_length(s, value, &q->content_length);
        return true;
    case HEADER_COOKIE:
        h2_join_cookie(s, value);
        return true;
    case HEADER_EXPECT:
        if (!str_eq_nocase(value, STR("100-continue")) || s->expects_continue)
            h2_head_fail(s, H1_ERROR_BAD_EXPECT);
        s->expects_continue = true;
        return true;
    case HEADER_TE:
        q->has_te_trailers = true; /* nghttp2 lets no other value pass */
        return true;
    case HEADER_TRAILER:
        return true;
    default:
        return false;
    }
}

static void h2_request_field(struct h2_stream *s, struct str name, struct str value)
{
    struct http_request *q = s->request;

    if (!h2_field_fits(s, &q->headers, name, value))
        return;
    if (name.len > 0 && name.ptr[0] == ':') {
        h2_request_pseudo(s, name, value);
        return;
    }
    if (!h2_name_check(s, name))
        return;
    if (!grammar_is_value(value)) {
        h2_head_fail(s, H1_ERROR_BAD_HEADER);
        return;
    }
    if (h2_request_own(s, header_id_find(name), value))
        return;
    http_headers_add(&q->headers, arena_str(s->arena, name), arena_str(s->arena, value));
}

static void h2_response_field(struct h2_stream *s, struct str name, struct str value)
{
    struct http_response *r = s->response;
    uint64_t status;

    if (!h2_field_fits(s, &r->headers, name, value))
        return;
    if (str_eq(name, STR(":status"))) {
        if (value.len != 3 || !str_to_u64(value, &status) || status < 100 || status > 599)
            h2_head_fail(s, H1_ERROR_BAD_STATUS_LINE);
        else
            r->status = (uint16_t)status;
        return;
    }
    if (!h2_name_check(s, name))
        return;
    switch (header_id_find(name)) {
    case HEADER_CONTENT_LENGTH:
        h2_take_length(s, value, &r->content_length);
        return;
    case HEADER_TE:
    case HEADER_TRAILER:
        return;
    default:
        break;
    }
    if (!grammar_is_value(value))
        h2_head_fail(s, H1_ERROR_BAD_HEADER);
    else
        http_headers_add(&r->headers, arena_str(s->arena, name), arena_str(s->arena, value));
}

void h2_head_field(struct h2_stream *s, struct str name, struct str value)
{
    if (s->error != H1_ERROR_NONE)
        return; /* the rest is read for the compression's sake alone */
    if (s->h2->options.is_client)
        h2_response_field(s, name, value);
    else
        h2_request_field(s, name, value);
}

/* ---- ends of heads ---- */

/* As of HTTP/1: one site, named once, or twice alike (RFC 9113 8.3.1). */
static enum h1_error h2_request_host(struct h2_stream *s)
{
    struct http_request *q = s->request;

    if (s->n_host > 1 || (q->authority.len == 0 && s->n_host == 0))
        return H1_ERROR_BAD_HOST;
    if (s->n_host == 1 && q->authority.len > 0 && !str_eq_nocase(s->host, q->authority))
        return H1_ERROR_BAD_HOST;
    if (q->authority.len == 0)
        q->authority = s->host;
    return target_read_host(s->arena, q);
}

static enum h1_error h2_request_end(struct h2_stream *s)
{
    struct http_request *q = s->request;

    if (q->method == HTTP_METHOD_CONNECT && q->upgrade.len == 0)
        return H1_ERROR_CONNECT_METHOD;
    if (q->is_tunnel) {
        q->method = HTTP_METHOD_GET;
        q->method_text = STR("GET");
    }
    if (q->target.len == 0 || grammar_span(q->target, GRAMMAR_TARGET) != q->target.len ||
        (q->target.ptr[0] != '/' && !str_eq(q->target, STR("*"))))
        return H1_ERROR_BAD_TARGET;
    enum h1_error error = target_read(q->target, s->h2->options.path_reading, s->arena, q);

    return error != H1_ERROR_NONE ? error : h2_request_host(s);
}

static enum http_body h2_body_of(const struct h2_stream *s, bool is_last)
{
    if (is_last)
        return HTTP_BODY_NONE;
    return s->has_content_length ? HTTP_BODY_LENGTH : HTTP_BODY_CHUNKED;
}

void h2_head_end(struct h2_stream *s, bool is_last)
{
    enum http_body body = h2_body_of(s, is_last);

    if (s->h2->options.is_client) {
        s->response->body = body;
        s->response->has_content_length = s->has_content_length;
        return;
    }
    struct http_request *q = s->request;

    if (s->cookie.len > 0)
        http_headers_add_id(&q->headers, HEADER_COOKIE, s->cookie);
    q->body = body;
    q->expects_continue = s->expects_continue && body != HTTP_BODY_NONE &&
                          !(body == HTTP_BODY_LENGTH && q->content_length == 0);
    if (s->error == H1_ERROR_NONE)
        h2_head_fail(s, h2_request_end(s));
    if (q->is_tunnel) {
        q->body = HTTP_BODY_NONE; /* what comes is the other protocol's */
        q->expects_continue = false;
    }
}

void h2_trailer_field(struct h2_stream *s, struct str name, struct str value)
{
    if (s->error != H1_ERROR_NONE)
        return;
    if (s->n_head_bytes + name.len + value.len + 32 > LIMIT_TRAILER_BYTES ||
        s->trailers.n >= LIMIT_HEADER_COUNT) {
        h2_head_fail(s, H1_ERROR_BAD_TRAILER);
        return;
    }
    s->n_head_bytes += (uint32_t)(name.len + value.len + 32);
    if (!h2_name_check(s, name) || !grammar_is_value(value))
        s->error = H1_ERROR_BAD_TRAILER; /* whatever the name's check called it */
    else if (!s->is_finished && !header_is_forbidden_trailer(header_id_find(name), name))
        http_headers_add(&s->trailers, arena_str(s->tail, name), arena_str(s->tail, value));
}

/* ---- to fields ---- */

static nghttp2_nv h2_nv(struct str name, struct str value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.ptr,
                        .value = (uint8_t *)(uintptr_t)value.ptr,
                        .namelen = name.len,
                        .valuelen = value.len};
}

/* But for that named `without`. */
static size_t h2_put_headers(const struct http_headers *headers, struct str without,
                             nghttp2_nv *fields, size_t n)
{
    for (unsigned i = 0; i < headers->n; i++) {
        const struct http_header *header = &headers->items[i];

        if (header_is_framing(header->id) || (without.len > 0 && str_eq(header->name, without)))
            continue;
        fields[n] = h2_nv(header->name, header->value);
        /* Not to be found by guessing through the compression, on a connection to a backend that
         * tenants share least of all (RFC 7541 7.1.3). */
        if (header_is_credential(header->id, header->name))
            fields[n].flags = NGHTTP2_NV_FLAG_NO_INDEX;
        n++;
    }
    return n;
}

/* Pseudo-headers and framing that come before the headers. */
enum { H2_OWN_FIELDS = 8 };

size_t h2_fields_of_request(const struct http_request *q, struct arena *arena,
                            nghttp2_nv **ret_fields)
{
    nghttp2_nv *fields = ARENA_ARRAY(arena, nghttp2_nv, q->headers.n + (size_t)H2_OWN_FIELDS);
    struct str path = q->path;
    size_t n = 0;

    if (q->query.ptr)
        path = arena_printf(arena, "%.*s?%.*s", STR_ARG(q->path), STR_ARG(q->query));
    /* An upgrade is an extended CONNECT (RFC 8441 4). */
    if (q->upgrade.len > 0)
        fields[n++] = h2_nv(STR(":protocol"), arena_lower(arena, q->upgrade));
    fields[n++] = h2_nv(STR(":method"), q->upgrade.len > 0 ? STR("CONNECT") : q->method_text);
    fields[n++] = h2_nv(STR(":scheme"), q->scheme);
    if (q->authority.len > 0) /* of HTTP/1.0 without Host: none, which is not an empty one */
        fields[n++] = h2_nv(STR(":authority"), q->authority);
    fields[n++] = h2_nv(STR(":path"), path);
    /* It has no handshake of its own (RFC 8441 5). */
    n = h2_put_headers(&q->headers, q->upgrade.len > 0 ? STR("sec-websocket-key") : STR_NULL,
                       fields, n);
    if (q->body == HTTP_BODY_LENGTH)
        fields[n++] = h2_nv(STR("content-length"), arena_u64(arena, q->content_length));
    if (q->has_te_trailers)
        fields[n++] = h2_nv(STR("te"), STR("trailers"));
    *ret_fields = fields;
    return n;
}

size_t h2_fields_of_response(const struct http_response *r, struct arena *arena,
                             nghttp2_nv **ret_fields)
{
    nghttp2_nv *fields = ARENA_ARRAY(arena, nghttp2_nv, r->headers.n + (size_t)H2_OWN_FIELDS);
    /* A length of nothing that nobody told is for HTTP/1 alone: a head that is trailers too (gRPC)
     * has none. */
    bool has_length = r->body == HTTP_BODY_LENGTH
                          ? r->content_length > 0 || r->has_content_length
                          : r->body == HTTP_BODY_NONE && r->has_content_length;
    size_t n = 0;

    fields[n++] = h2_nv(STR(":status"), arena_u64(arena, r->status));
    n = h2_put_headers(&r->headers, STR_NULL, fields, n);
    if (has_length)
        fields[n++] = h2_nv(STR("content-length"), arena_u64(arena, r->content_length));
    *ret_fields = fields;
    return n;
}

size_t h2_fields_of_trailers(const struct http_headers *trailers, struct arena *arena,
                             nghttp2_nv **ret_fields)
{
    nghttp2_nv *fields = ARENA_ARRAY(arena, nghttp2_nv, trailers->n + (size_t)1);

    *ret_fields = fields;
    return h2_put_headers(trailers, STR_NULL, fields, 0);
}

bool h2_is_begun(const struct h2_stream *s)
{
    /* nghttp2 opens the stream when it puts the head out. */
    return s->h2 && nghttp2_session_find_stream(s->h2->session, s->id) != NULL;
}
