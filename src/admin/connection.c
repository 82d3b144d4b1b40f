/* Connections of the admin server: HTTP/1.1 by the gateway's own codec, one request at a time,
 * answers whole. Bounded: ADMIN_CONNECTIONS_MAX connections, five seconds for a head, no content.
 */
#include "admin/connection.h"

#include "admin/endpoints.h"
#include "base/limits.h"
#include "base/mem.h"

enum { ADMIN_HEAD_US = 5 * 1000000, ADMIN_IDLE_US = 60 * 1000000, ADMIN_READ_BYTES = 16384 };

struct admin_connection {
    struct stream stream;
    struct h1 codec;
    struct outbox out;
    struct buf in;
    struct arena arena; /* of the current request */
    struct admin_port *port;
    struct list_node node;
    struct timer timer;
    struct deferred retire;
    bool is_closing;
    bool is_closed;
    bool is_reading_body;
};

static void connection_on_retire(struct deferred *d)
{
    struct admin_connection *c = CONTAINER_OF(d, struct admin_connection, retire);

    outbox_deinit(&c->out);
    buf_deinit(&c->in);
    arena_deinit(&c->arena);
    mem_free(c);
}

static void connection_close(struct admin_connection *c)
{
    struct loop *l = c->port->admin->server->loop;

    if (c->is_closed)
        return;
    c->is_closed = true;
    list_remove(&c->node);
    timer_cancel(l, &c->timer);
    stream_close(&c->stream, false);
    loop_retire(l, &c->retire, connection_on_retire);
}

void admin_connections_close(struct admin *a)
{
    while (a->connections.first)
        connection_close(CONTAINER_OF(a->connections.first, struct admin_connection, node));
}

static void connection_flush(struct admin_connection *c)
{
    if (outbox_flush(&c->out) != 0) {
        connection_close(c);
        return;
    }
    if (outbox_is_empty(&c->out) && c->is_closing) {
        stream_shutdown(&c->stream);
        connection_close(c);
        return;
    }
    stream_want(&c->stream, LOOP_READ | (outbox_is_empty(&c->out) ? 0 : LOOP_WRITE));
}

static void connection_answer(struct admin_connection *c, const struct http_request *request,
                              struct admin_answer *answer)
{
    struct http_response response = {.status = answer->status,
                                     .minor_version = 1,
                                     .body = HTTP_BODY_LENGTH,
                                     .has_content_length = true};
    bool is_head = request && request->method == HTTP_METHOD_HEAD;

    response.content_length = answer->body.len;
    http_headers_init(&response.headers, &c->arena);
    http_headers_add_id(&response.headers, HEADER_CONTENT_TYPE, str_of(answer->type));
    http_headers_add(&response.headers, STR("cache-control"), STR("no-store"));
    http_headers_add(&response.headers, STR("x-content-type-options"), STR("nosniff"));
    if (answer->status == 405)
        http_headers_add(&response.headers, STR("allow"), STR("GET, HEAD"));
    if (is_head)
        response.body = HTTP_BODY_NONE;
    h1_format_response(outbox_held(&c->out), &response, !c->is_closing);
    if (!is_head)
        outbox_copy(&c->out, answer->body.ptr, answer->body.len);
    buf_deinit(&answer->body);
}

static void connection_refuse(struct admin_connection *c, uint16_t status, const char *text)
{
    struct admin_answer answer = {.status = status, .type = "text/plain; charset=utf-8"};

    c->is_closing = true;
    buf_printf(&answer.body, "%s\n", text);
    connection_answer(c, NULL, &answer);
}

static void connection_serve(struct admin_connection *c, const struct http_request *request)
{
    struct admin_answer answer = {.status = 200, .type = "text/plain; charset=utf-8"};

    if (request->body != HTTP_BODY_NONE) {
        bool is_large =
            request->body != HTTP_BODY_LENGTH || request->content_length > LIMIT_ADMIN_BODY_BYTES;

        connection_refuse(c, is_large ? 413 : 400,
                          is_large ? "The content is too large." : "No content is read here.");
        return;
    }
    c->is_closing |= !request->is_keep_alive;
    admin_endpoint_serve(c->port, request, &answer);
    connection_answer(c, request, &answer);
}

static void connection_refuse_head(struct admin_connection *c)
{
    switch (c->codec.error) {
    case H1_ERROR_HEAD_TOO_LARGE:
    case H1_ERROR_TOO_MANY_HEADERS:
        connection_refuse(c, 431, "The request head is too large.");
        break;
    case H1_ERROR_CONNECT_METHOD:
        connection_refuse(c, 405, "Only GET and HEAD are served here.");
        break;
    default:
        connection_refuse(c, 400, "The request is malformed.");
    }
}

/* Serves what is complete in `in`. */
static void connection_process(struct admin_connection *c)
{
    struct str input = buf_str(&c->in);

    while (!c->is_closing && input.len > 0) {
        struct http_request request;
        struct h1_event event;
        int r;

        arena_reset(&c->arena);
        r = h1_next(&c->codec, &input, &c->arena, &request, NULL, &event);
        if (r == H1_MORE)
            break;
        if (r != H1_EVENT)
            connection_refuse_head(c);
        else if (event.type == H1_EVENT_HEAD)
            connection_serve(c, &request);
        /* The END that follows a head without content needs no bytes. */
        if (r == H1_EVENT && event.type == H1_EVENT_HEAD && !c->is_closing &&
            h1_next(&c->codec, &input, &c->arena, NULL, NULL, &event) != H1_EVENT)
            c->is_closing = true;
    }
    buf_consume(&c->in, c->in.len - input.len);
    connection_flush(c);
}

static void connection_read(struct admin_connection *c)
{
    struct loop *l = c->port->admin->server->loop;
    char *room = buf_reserve(&c->in, ADMIN_READ_BYTES);
    size_t n = 0;
    int r = stream_recv(&c->stream, room, ADMIN_READ_BYTES, &n);

    if (r == STREAM_AGAIN)
        return;
    if (r != 0) {
        connection_close(c);
        return;
    }
    c->in.len += n;
    timer_set(l, &c->timer, l->now.mono_us + ADMIN_IDLE_US);
    connection_process(c);
}

static void connection_on_event(struct stream *s, unsigned events)
{
    struct admin_connection *c = CONTAINER_OF(s, struct admin_connection, stream);

    if ((events & LOOP_WRITE) && !c->is_closed)
        connection_flush(c);
    if ((events & LOOP_READ) && !c->is_closed && !c->is_closing)
        connection_read(c);
    else if ((events & LOOP_HANGUP) && !c->is_closed)
        connection_close(c);
}

static void connection_on_timer(struct timer *t)
{
    connection_close(CONTAINER_OF(t, struct admin_connection, timer));
}

void admin_connection_accept(struct admin_port *port, int fd)
{
    static const struct h1_options options = {.scheme = {"http", 4}};
    struct admin *a = port->admin;
    struct loop *l = a->server->loop;
    struct admin_connection *c;

    if (a->connections.n_nodes >= ADMIN_CONNECTIONS_MAX) {
        socket_close(fd);
        return;
    }
    c = MEM_NEW(struct admin_connection);
    if (stream_open_accepted(&c->stream, l, fd, NULL, connection_on_event) < 0) {
        socket_close(fd);
        mem_free(c);
        return;
    }
    h1_init(&c->codec, &options);
    outbox_init(&c->out, &a->outboxes, &c->stream);
    arena_init(&c->arena, 4096);
    c->port = port;
    c->timer.fn = connection_on_timer;
    timer_set(l, &c->timer, l->now.mono_us + ADMIN_HEAD_US);
    list_append(&a->connections, &c->node);
}
