/* CheckRequest and CheckResponse by protobuf-c (authz.proto says which fields). What an authorizer
 * writes is judged before it is kept: names are tokens, values are one line, nothing frames a
 * message or names a host. Reading works in an arena of its own, which ends with the call.
 *
 * Owner: the caller's buffers and arenas. Thread: any; no state. */
#include "upstream/check.h"

#include "base/limits.h"
#include "http/grammar.h"
#include "upstream/authz.pb-c.h"

enum {
    PREFIX_BYTES = 5, /* of a message: compressed or not, length */
    SCRATCH_BYTES = 8192,
    STATUS_FORBIDDEN = 403,
    APPEND_ACTIONS = 4,
};

/* ---- the question ---- */

/* Bytes of the UTF-8 character at `p`, of `n` that are there; 0: none (RFC 3629). */
static size_t utf8_span(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;

    if (len == 0 || len > n || p[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return len;
}

static ProtobufCBinaryData check_text(struct arena *a, struct str text)
{
    uint8_t *copy = (uint8_t *)arena_bytes(a, text.len + 1);

    for (size_t i = 0; i < text.len;) {
        const unsigned char *p = (const unsigned char *)text.ptr + i;
        size_t span = utf8_span(p, text.len - i);

        if (span == 0)
            copy[i] = '!';
        else
            memcpy(copy + i, p, span);
        i += MAX(span, (size_t)1);
    }
    return (ProtobufCBinaryData){text.len, copy};
}

static Authz__Peer *check_peer(struct arena *a, struct str ip, uint32_t port)
{
    Authz__Peer *peer = ARENA_NEW(a, Authz__Peer);
    Authz__Address *address = ARENA_NEW(a, Authz__Address);
    Authz__SocketAddress *socket = ARENA_NEW(a, Authz__SocketAddress);

    authz__peer__init(peer);
    authz__address__init(address);
    authz__socket_address__init(socket);
    socket->address = check_text(a, ip);
    socket->port_value = port;
    address->socket_address = socket;
    peer->address = address;
    return peer;
}

/* "192.0.2.9:443", "[2001:db8::1]:443" */
static Authz__Peer *check_destination(struct arena *a, struct str text)
{
    struct str rest = text;
    ssize_t colon = -1;
    uint64_t port = 0;

    for (ssize_t at = str_find_char(text, ':', 0); at >= 0;
         at = str_find_char(text, ':', (size_t)at + 1))
        colon = at;
    if (colon >= 0 && str_to_u64(str_slice(text, (size_t)colon + 1, text.len), &port))
        rest = str_slice(text, 0, (size_t)colon);
    if (str_starts_with(rest, STR("[")) && str_ends_with(rest, STR("]")))
        rest = str_slice(rest, 1, rest.len - 1);
    return check_peer(a, rest, (uint32_t)port);
}

/* Entries of a map while it is made. */
struct entry_list {
    struct arena *arena;
    Authz__Entry **items;
    size_t n;
};

static void entry_add(struct entry_list *l, struct str key, struct str value)
{
    Authz__Entry *e = ARENA_NEW(l->arena, Authz__Entry);

    authz__entry__init(e);
    e->key = check_text(l->arena, key);
    e->value = check_text(l->arena, value);
    l->items[l->n++] = e;
}

static bool scope_has(const struct check_scope *scope, struct str name)
{
    for (uint32_t i = 0; i < scope->n_headers; i++) {
        if (str_eq(scope->headers[i], name))
            return true;
    }
    return scope->n_headers == 0;
}

/* A map has each key once: lines of one header are joined, where the first stands. */
static void check_headers(const struct http_request *q, const struct check_scope *scope,
                          struct str path, struct entry_list *l)
{
    const struct http_headers *h = &q->headers;

    if (scope->n_headers == 0) {
        entry_add(l, STR(":method"), q->method_text);
        entry_add(l, STR(":path"), path);
        entry_add(l, STR(":authority"), q->authority);
        entry_add(l, STR(":scheme"), q->scheme);
    }
    for (uint16_t i = 0; i < h->n; i++) {
        const struct http_header *item = &h->items[i];

        if (http_headers_find(h, item->name) == item && scope_has(scope, item->name))
            entry_add(l, item->name, http_headers_joined(h, item->name));
    }
}

static Authz__HttpRequest *check_http(struct arena *a, const struct http_request *q,
                                      const struct check_scope *scope)
{
    Authz__HttpRequest *http = ARENA_NEW(a, Authz__HttpRequest);
    struct str path = q->path;
    struct entry_list headers = {a, ARENA_ARRAY(a, Authz__Entry *, q->headers.n + (size_t)4), 0};

    if (q->query.ptr)
        path = arena_printf(a, "%.*s?%.*s", STR_ARG(q->path), STR_ARG(q->query));
    authz__http_request__init(http);
    check_headers(q, scope, path, &headers);
    http->id = check_text(a, http_headers_value(&q->headers, header_name(HEADER_X_REQUEST_ID)));
    http->method = check_text(a, q->method_text);
    http->headers = headers.items;
    http->n_headers = headers.n;
    http->path = check_text(a, path);
    http->host = check_text(a, q->authority);
    http->scheme = check_text(a, q->scheme);
    http->size = q->body == HTTP_BODY_NONE ? 0
                 : q->body == HTTP_BODY_LENGTH
                     ? (int64_t)MIN(q->content_length, (uint64_t)INT64_MAX)
                     : -1;
    http->protocol = check_text(a, q->is_http2             ? STR("HTTP/2")
                                   : q->minor_version == 0 ? STR("HTTP/1.0")
                                                           : STR("HTTP/1.1"));
    return http;
}

static void check_attributes(struct arena *a, const struct check_subject *subject,
                             const struct check_scope *scope, Authz__AttributeContext *attributes)
{
    Authz__Request *request = ARENA_NEW(a, Authz__Request);
    Authz__Timestamp *time = ARENA_NEW(a, Authz__Timestamp);
    struct entry_list contexts = {a, ARENA_ARRAY(a, Authz__Entry *, scope->n_contexts + 1), 0};

    authz__request__init(request);
    authz__timestamp__init(time);
    time->seconds = subject->wall_us / 1000000;
    time->nanos = (int32_t)(subject->wall_us % 1000000) * 1000;
    request->time = time;
    request->http = check_http(a, subject->request, scope);
    for (uint32_t i = 0; i < scope->n_contexts; i++)
        entry_add(&contexts, scope->contexts[i].name, scope->contexts[i].value);
    attributes->source = check_peer(a, subject->source_ip, subject->source_port);
    attributes->source->principal = check_text(a, subject->principal);
    attributes->destination = check_destination(a, subject->destination);
    attributes->request = request;
    attributes->context_extensions = contexts.items;
    attributes->n_context_extensions = contexts.n;
}

void check_format(const struct check_subject *subject, const struct check_scope *scope,
                  struct buf *out)
{
    Authz__CheckRequest question = AUTHZ__CHECK_REQUEST__INIT;
    Authz__AttributeContext attributes = AUTHZ__ATTRIBUTE_CONTEXT__INIT;
    struct arena scratch;
    size_t n;
    char *p;

    arena_init(&scratch, SCRATCH_BYTES);
    check_attributes(&scratch, subject, scope, &attributes);
    question.attributes = &attributes;
    n = authz__check_request__get_packed_size(&question);
    p = buf_reserve(out, n + PREFIX_BYTES);
    p[0] = 0; /* not compressed */
    for (int i = 0; i < 4; i++)
        p[1 + i] = (char)(n >> (24 - 8 * i));
    authz__check_request__pack(&question, (uint8_t *)p + PREFIX_BYTES);
    out->len += n + PREFIX_BYTES;
    arena_deinit(&scratch);
}

/* ---- the answer ---- */

static void *scratch_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void scratch_free(void *arena UNUSED, void *object UNUSED)
{
}

static struct str str_of_data(const ProtobufCBinaryData *d)
{
    return str_make(d->data, d->len);
}

static bool check_may_write(struct str name)
{
    enum header_id id = header_id_find(name);

    return grammar_is_token(name) && !header_is_protected(id, name) && id != HEADER_HOST;
}

/* Envoy's HeaderAppendAction, where `append` does not say it the older way. */
static enum check_action check_action_of(const Authz__HeaderValueOption *o,
                                         enum check_action otherwise)
{
    static const enum check_action actions[APPEND_ACTIONS] = {CHECK_ADD, CHECK_ADD_IF_ABSENT,
                                                              CHECK_SET, CHECK_SET_IF_PRESENT};

    if (o->append)
        return o->append->value ? CHECK_ADD : CHECK_SET;
    if (o->append_action > 0 && o->append_action < APPEND_ACTIONS)
        return actions[o->append_action];
    return otherwise;
}

/* False: it cannot be written. */
static bool check_edit_of(const Authz__HeaderValueOption *o, enum check_action otherwise,
                          struct arena *a, struct check_edit *ret)
{
    const ProtobufCBinaryData *value;

    if (!o->header)
        return false;
    value = o->header->value.len > 0 ? &o->header->value : &o->header->raw_value;
    ret->action = check_action_of(o, otherwise);
    ret->name = arena_lower(a, str_of_data(&o->header->key));
    ret->value = arena_str(a, str_trim(str_of_data(value)));
    return check_may_write(ret->name) && grammar_is_value(ret->value);
}

static void check_read_denied(const Authz__DeniedHttpResponse *no, struct arena *a,
                              struct check_answer *ret)
{
    struct check_edit edit;

    ret->status = STATUS_FORBIDDEN;
    if (!no)
        return;
    /* A no is no success, whatever it calls itself. */
    if (no->status && no->status->code >= 300 && no->status->code <= 599)
        ret->status = (uint16_t)no->status->code;
    ret->body = arena_str(a, str_of_data(&no->body));
    for (size_t i = 0; i < MIN(no->n_headers, (size_t)LIMIT_HEADER_COUNT); i++) {
        if (check_edit_of(no->headers[i], CHECK_ADD, a, &edit))
            VEC_PUSH(a, &ret->answer_edits, edit);
    }
}

/* NULL, or which of its terms is not met here. */
static const char *check_read_allowed(const Authz__OkHttpResponse *yes, struct arena *a,
                                      struct check_answer *ret)
{
    struct check_edit edit;

    if (!yes)
        return NULL;
    if (yes->n_query_parameters_to_set > 0 || yes->n_query_parameters_to_remove > 0)
        return "it changes query parameters, which is not supported";
    if (yes->n_headers > LIMIT_HEADER_COUNT || yes->n_headers_to_remove > LIMIT_HEADER_COUNT ||
        yes->n_response_headers_to_add > LIMIT_HEADER_COUNT)
        return "it writes too many headers";
    for (size_t i = 0; i < yes->n_headers; i++) {
        if (!check_edit_of(yes->headers[i], CHECK_SET, a, &edit))
            return "it writes a header that cannot be written";
        VEC_PUSH(a, &ret->request_edits, edit);
    }
    for (size_t i = 0; i < yes->n_headers_to_remove; i++) {
        struct str name = arena_lower(a, str_of_data(&yes->headers_to_remove[i]));

        if (!check_may_write(name))
            return "it removes a header that cannot be removed";
        VEC_PUSH(a, &ret->request_removals, name);
    }
    for (size_t i = 0; i < yes->n_response_headers_to_add; i++) {
        if (!check_edit_of(yes->response_headers_to_add[i], CHECK_ADD, a, &edit))
            return "it writes a header of the answer that cannot be written";
        VEC_PUSH(a, &ret->answer_edits, edit);
    }
    return NULL;
}

/* The one message in `content`, behind its prefix. False: there is none, or more. */
static bool check_message(struct str content, struct str *ret_message)
{
    const unsigned char *p = (const unsigned char *)content.ptr;
    size_t n;

    if (content.len < PREFIX_BYTES || p[0] != 0) /* nobody asked for a compressed one */
        return false;
    n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    *ret_message = str_slice(content, PREFIX_BYTES, content.len);
    return ret_message->len == n;
}

static int check_read(const Authz__CheckResponse *answer, struct arena *a, struct check_answer *ret,
                      const char **ret_why)
{
    bool has_no =
        answer->http_response_case == AUTHZ__CHECK_RESPONSE__HTTP_RESPONSE_DENIED_RESPONSE;
    bool has_yes = answer->http_response_case == AUTHZ__CHECK_RESPONSE__HTTP_RESPONSE_OK_RESPONSE;

    /* A status that is absent reads as OK; a message without anything says nothing all the same. */
    if (!answer->status && !has_no && !has_yes)
        return CHECK_MALFORMED;
    if (has_no || (answer->status && answer->status->code != 0)) {
        check_read_denied(has_no ? answer->denied_response : NULL, a, ret);
        return 0;
    }
    ret->is_allowed = true;
    *ret_why = check_read_allowed(has_yes ? answer->ok_response : NULL, a, ret);
    return *ret_why ? CHECK_UNSUPPORTED : 0;
}

int check_parse(struct str content, struct arena *a, struct check_answer *ret, const char **ret_why)
{
    struct arena scratch;
    ProtobufCAllocator allocator = {scratch_alloc, scratch_free, &scratch};
    Authz__CheckResponse *answer;
    struct str message;
    int r = CHECK_MALFORMED;

    *ret = (struct check_answer){0};
    *ret_why = "its answer is no CheckResponse";
    if (!check_message(content, &message))
        return CHECK_MALFORMED;
    arena_init(&scratch, SCRATCH_BYTES);
    answer = authz__check_response__unpack(&allocator, message.len, (const uint8_t *)message.ptr);
    if (answer)
        r = check_read(answer, a, ret, ret_why);
    arena_deinit(&scratch);
    return r;
}

void check_edit_apply(const struct check_edit *e, struct http_headers *h)
{
    bool is_there = http_headers_find(h, e->name) != NULL;

    if (e->action == CHECK_SET || (e->action == CHECK_SET_IF_PRESENT && is_there))
        http_headers_set(h, e->name, e->value);
    else if (e->action == CHECK_ADD || (e->action == CHECK_ADD_IF_ABSENT && !is_there))
        http_headers_add(h, e->name, e->value);
}
