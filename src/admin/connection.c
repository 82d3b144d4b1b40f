/* Connections of the admin server: HTTP/1.1 by the gateway's own codec, one request at a time,
 * answers whole. Bounded in every direction, for the probe port may be exposed: connections per
 * port (LIMIT_ADMIN_CONNECTIONS; the one that has waited longest makes room), five seconds for a
 * head however slowly it trickles in, no content, and no reading while an answer waits for its
 * reader, so that pipelined requests cannot pile up answers.
 *
 *     READING --request--> ANSWERING --sent, keep-alive--> READING
 *                             +--sent, last one--> LINGERING --peer closed, or enough--> closed
 *     READING --request of the live picture--> STREAMING --peer closed, or takes nothing--> closed
 *
 * Lingering: a socket closed with unread bytes resets the connection, and the reset may overtake
 * the answer (RFC 9112 9.6). */
#include "admin/connection.h"

#include "admin/endpoints.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    ADMIN_HEAD_US = 5 * 1000000,    /* from the first byte to the last of a head */
    ADMIN_IDLE_US = 60 * 1000000,   /* between requests */
    ADMIN_ANSWER_US = 60 * 1000000, /* to take an answer */
    ADMIN_LINGER_US = 1000000,
    ADMIN_LINGER_BYTES = 65536,
    ADMIN_READ_BYTES = 16384,
    ADMIN_STREAM_BYTES = 16384, /* of events that the system holds for a reader */
};

enum admin_state { ADMIN_READING, ADMIN_ANSWERING, ADMIN_LINGERING, ADMIN_STREAMING, ADMIN_CLOSED };

struct admin_connection {
    enum admin_state state;
    struct stream stream;
    struct h1 codec;
    struct outbox out;
    struct buf in;
    struct arena arena; /* of the current request */
    struct admin_port *port;
    struct list_node node;
    struct live_reader live; /* while streaming */
    struct timer timer;
    struct deferred retire;
    size_t n_lingered;
    bool is_last; /* no further request after this answer */
    bool is_in_head;
};

static struct loop *connection_loop(const struct admin_connection *c)
{
    return c->port->admin->server->loop;
}

static void connection_allow(struct admin_connection *c, uint64_t us)
{
    struct loop *l = connection_loop(c);

    timer_set(l, &c->timer, l->now.mono_us + us);
}

/* ---- end ---- */

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
    if (c->state == ADMIN_CLOSED)
        return;
    c->state = ADMIN_CLOSED;
    live_leave(&c->port->admin->live, &c->live);
    list_remove(&c->node);
    timer_cancel(connection_loop(c), &c->timer);
    stream_close(&c->stream, false);
    loop_retire(connection_loop(c), &c->retire, connection_on_retire);
}

void admin_connections_close(struct admin_port *port)
{
    while (port->connections.first)
        connection_close(CONTAINER_OF(port->connections.first, struct admin_connection, node));
}

size_t admin_connections_held(const struct admin *a)
{
    size_t n = 0;

    LIST_FOREACH (&a->ports, at) {
        const struct admin_port *port = CONTAINER_OF(at, const struct admin_port, node);

        LIST_FOREACH (&port->connections, node)
            n += CONTAINER_OF(node, const struct admin_connection, node)->out.held.len;
    }
    return n;
}

/* NULL: there is none. */
static struct admin_connection *connection_of_most(const struct admin *a)
{
    struct admin_connection *most = NULL;

    LIST_FOREACH (&a->ports, at) {
        LIST_FOREACH (&CONTAINER_OF(at, struct admin_port, node)->connections, node) {
            struct admin_connection *c = CONTAINER_OF(node, struct admin_connection, node);

            if (!most || c->out.held.len > most->out.held.len)
                most = c;
        }
    }
    return most;
}

void admin_connections_make_room(struct admin *a)
{
    struct admin_connection *most = connection_of_most(a);

    while (most && admin_connections_held(a) > LIMIT_OBJECTS_BYTES) {
        connection_close(most);
        outbox_deinit(&most->out); /* not at the turn's end: many may ask within one */
        most = connection_of_most(a);
    }
}

static void connection_linger(struct admin_connection *c)
{
    c->state = ADMIN_LINGERING;
    stream_shutdown(&c->stream);
    stream_want(&c->stream, LOOP_READ);
    connection_allow(c, ADMIN_LINGER_US);
}

static void connection_discard(struct admin_connection *c)
{
    char bytes[4096];
    size_t n = 0;
    int r = stream_recv(&c->stream, bytes, sizeof bytes, &n);

    c->n_lingered += n;
    if ((r != 0 && r != STREAM_AGAIN) || c->n_lingered > ADMIN_LINGER_BYTES)
        connection_close(c);
}

/* ---- answers ---- */

/* Sends what can be sent now; once all is gone, what comes next. */
static void connection_flush(struct admin_connection *c)
{
    if (outbox_flush(&c->out) != 0) {
        connection_close(c);
    } else if (!outbox_is_empty(&c->out)) {
        stream_want(&c->stream, LOOP_WRITE);
    } else if (c->is_last) {
        connection_linger(c);
    } else {
        c->state = ADMIN_READING;
        c->is_in_head = false;
        stream_want(&c->stream, LOOP_READ);
        connection_allow(c, ADMIN_IDLE_US);
    }
}

/* Whatever a browser makes of an answer: nothing runs but the page's own script, nothing is fetched
 * but from here, and no other page frames it, reads it or learns of it. */
static void connection_add_guards(struct http_headers *headers)
{
    static const struct {
        struct str name;
        struct str value;
    } rows[] = {
        {{"cache-control", 13}, {"no-store", 8}},
        {{"x-content-type-options", 22}, {"nosniff", 7}},
        {{"x-frame-options", 15}, {"DENY", 4}},
        {{"referrer-policy", 15}, {"no-referrer", 11}},
        {{"cross-origin-opener-policy", 26}, {"same-origin", 11}},
        {{"cross-origin-resource-policy", 28}, {"same-origin", 11}},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        http_headers_add(headers, rows[i].name, rows[i].value);
    http_headers_add(headers, STR("content-security-policy"),
                     STR("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                         "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                         "frame-ancestors 'none'; require-trusted-types-for 'script'"));
}

static void connection_answer(struct admin_connection *c, const struct http_request *request,
                              struct admin_answer *answer)
{
    struct http_response response = {.status = answer->status,
                                     .minor_version = request ? request->minor_version : 1,
                                     .body = HTTP_BODY_LENGTH,
                                     .has_content_length = true};
    bool is_head = request && request->method == HTTP_METHOD_HEAD;

    response.content_length = answer->body.len;
    http_headers_init(&response.headers, &c->arena);
    http_headers_add_id(&response.headers, HEADER_CONTENT_TYPE, str_of(answer->type));
    connection_add_guards(&response.headers);
    if (answer->status == 405)
        http_headers_add(&response.headers, STR("allow"), STR("GET, HEAD"));
    if (answer->is_live) {
        c->is_last = true;
        response.body = HTTP_BODY_UNTIL_CLOSE;
        response.has_content_length = false;
    }
    if (is_head)
        response.body = HTTP_BODY_NONE;
    h1_format_response(outbox_held(&c->out), &response, !c->is_last);
    if (!is_head)
        outbox_copy(&c->out, answer->body.ptr, answer->body.len);
    buf_deinit(&answer->body);
    c->state = answer->is_live && !is_head ? ADMIN_STREAMING : ADMIN_ANSWERING;
    connection_allow(c, ADMIN_ANSWER_US);
}

static void connection_refuse(struct admin_connection *c, const struct http_request *request,
                              uint16_t status, const char *text)
{
    struct admin_answer answer = {.status = status, .type = ADMIN_TEXT};

    c->is_last = true;
    buf_printf(&answer.body, "%s\n", text);
    connection_answer(c, request, &answer);
}

/* What of a request's content makes an answer of its own: 0 or the status. */
static uint16_t connection_content_status(const struct http_request *request)
{
    bool is_reading = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;

    if (request->body == HTTP_BODY_LENGTH && request->content_length > LIMIT_ADMIN_BODY_BYTES)
        return 413;
    if (!is_reading || request->body == HTTP_BODY_NONE ||
        (request->body == HTTP_BODY_LENGTH && request->content_length == 0))
        return 0;
    return request->body == HTTP_BODY_LENGTH ? 400 : 413; /* chunked: no telling how much */
}

static void connection_serve(struct admin_connection *c, const struct http_request *request)
{
    struct admin_answer answer = {.status = 200, .type = ADMIN_TEXT};
    uint16_t status = connection_content_status(request);

    if (status != 0) {
        connection_refuse(c, request, status,
                          status == 413 ? "The content is too large." : "No content is read here.");
        return;
    }
    c->is_last = !request->is_keep_alive || request->body != HTTP_BODY_NONE;
    admin_endpoint_serve(c->port, request, &answer);
    connection_answer(c, request, &answer);
}

static void connection_refuse_head(struct admin_connection *c)
{
    switch (c->codec.error) {
    case H1_ERROR_HEAD_TOO_LARGE:
    case H1_ERROR_TOO_MANY_HEADERS:
        connection_refuse(c, NULL, 431, "The request head is too large.");
        break;
    case H1_ERROR_TARGET_TOO_LONG:
        connection_refuse(c, NULL, 414, "The request target is too long.");
        break;
    case H1_ERROR_CONNECT_METHOD:
        connection_refuse(c, NULL, 405, "Only GET and HEAD are served here.");
        break;
    default:
        connection_refuse(c, NULL, 400, "The request is malformed.");
    }
}

/* ---- the event stream ---- */

static void connection_flush_stream(struct admin_connection *c)
{
    if (outbox_flush(&c->out) != 0)
        connection_close(c);
    else
        stream_want(&c->stream, LOOP_READ | (outbox_is_empty(&c->out) ? 0 : LOOP_WRITE));
}

/* live_reader.send */
static bool connection_send_events(struct live_reader *r, struct str events)
{
    struct admin_connection *c = CONTAINER_OF(r, struct admin_connection, live);

    if (!outbox_is_empty(&c->out))
        return false;
    outbox_copy(&c->out, events.ptr, events.len);
    connection_flush_stream(c);
    return true;
}

/* live_reader.give_up */
static void connection_give_up(struct live_reader *r)
{
    connection_close(CONTAINER_OF(r, struct admin_connection, live));
}

/* The head is in the outbox. From here on the live picture's clock is the connection's. */
static void connection_begin_stream(struct admin_connection *c)
{
    static const struct socket_options options = {.buffer_bytes = ADMIN_STREAM_BYTES};

    timer_cancel(connection_loop(c), &c->timer);
    socket_set_options(c->stream.io.fd, &options);
    c->live.send = connection_send_events;
    c->live.give_up = connection_give_up;
    connection_flush_stream(c);
    if (c->state == ADMIN_STREAMING)
        live_join(&c->port->admin->live, &c->live);
}

/* ---- requests ---- */

/* Takes the next event out of `input`; answers if it is a request. False: it is not complete. */
static bool connection_step(struct admin_connection *c, struct str *input)
{
    struct http_request request;
    struct h1_event event;
    int r;

    arena_reset(&c->arena);
    r = h1_next(&c->codec, input, &c->arena, &request, NULL, &event);
    if (r == H1_MORE)
        return false;
    if (r != H1_EVENT)
        connection_refuse_head(c);
    else if (event.type == H1_EVENT_HEAD)
        connection_serve(c, &request);
    /* The END that follows a head without content needs no bytes. */
    if (r == H1_EVENT && event.type == H1_EVENT_HEAD && !c->is_last &&
        h1_next(&c->codec, input, &c->arena, NULL, NULL, &event) != H1_EVENT)
        c->is_last = true;
    return true;
}

/* Serves what is complete in `in`, one after another as the answers go out. */
static void connection_process(struct admin_connection *c)
{
    struct str input = buf_str(&c->in);

    while (c->state == ADMIN_READING && input.len > 0 && connection_step(c, &input)) {
        if (c->state == ADMIN_ANSWERING)
            connection_flush(c);
        else if (c->state == ADMIN_STREAMING)
            connection_begin_stream(c);
    }
    buf_consume(&c->in, c->in.len - input.len);
    if (c->state != ADMIN_READING || c->in.len == 0 || c->is_in_head)
        return;
    /* Not moved by further bytes: who trickles a head has five seconds all the same. */
    c->is_in_head = true;
    connection_allow(c, ADMIN_HEAD_US);
}

static void connection_read(struct admin_connection *c)
{
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
    connection_process(c);
}

static void connection_on_event(struct stream *s, unsigned events)
{
    struct admin_connection *c = CONTAINER_OF(s, struct admin_connection, stream);

    if (c->state == ADMIN_ANSWERING && (events & LOOP_WRITE)) {
        connection_flush(c);
        connection_process(c);
    } else if (c->state == ADMIN_READING && (events & LOOP_READ)) {
        connection_read(c);
    } else if (c->state == ADMIN_STREAMING && (events & LOOP_WRITE)) {
        connection_flush_stream(c);
    } else if ((c->state == ADMIN_LINGERING || c->state == ADMIN_STREAMING) &&
               (events & LOOP_READ)) {
        connection_discard(c);
    } else if (events & LOOP_HANGUP) {
        connection_close(c);
    }
}

static void connection_on_timer(struct timer *t)
{
    connection_close(CONTAINER_OF(t, struct admin_connection, timer));
}

/* The port is full: whoever has been waiting for its peer longest goes; one that has its answer to
 * take only when all have, since else readers that never read would lock everybody out. Streams are
 * fewer than connections, and have a bound of their own. */
static void connection_make_room(struct admin_port *port)
{
    LIST_FOREACH (&port->connections, node) {
        struct admin_connection *c = CONTAINER_OF(node, struct admin_connection, node);

        if (c->state != ADMIN_ANSWERING && c->state != ADMIN_STREAMING) {
            connection_close(c);
            return;
        }
    }
    LIST_FOREACH (&port->connections, answering) {
        struct admin_connection *c = CONTAINER_OF(answering, struct admin_connection, node);

        if (c->state != ADMIN_STREAMING) {
            connection_close(c);
            return;
        }
    }
}

void admin_connection_accept(struct admin_port *port, int fd)
{
    static const struct h1_options options = {.scheme = {"http", 4}};
    struct admin *a = port->admin;
    struct admin_connection *c;

    if (port->connections.n_nodes >= LIMIT_ADMIN_CONNECTIONS)
        connection_make_room(port);
    c = MEM_NEW(struct admin_connection);
    if (stream_open_accepted(&c->stream, a->server->loop, fd, NULL, connection_on_event) < 0) {
        socket_close(fd);
        mem_free(c);
        return;
    }
    h1_init(&c->codec, &options);
    outbox_init(&c->out, &a->outboxes, &c->stream);
    arena_init(&c->arena, 4096);
    c->port = port;
    c->is_in_head = true;
    c->timer.fn = connection_on_timer;
    list_append(&port->connections, &c->node);
    connection_allow(c, ADMIN_HEAD_US);
}
