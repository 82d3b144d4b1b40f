/* See client.h. Bytes come in through the worker's scratch; what cannot be used yet is kept in
 * `in`, bounded by client_in_limit plus one read, after which reading stops. client_process
 * is the only reader of the codec. The connection is the exchange's downstream; the calls of struct
 * downstream_ops stand in client_answer.c. */
#include "gateway/client.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "gateway/account/connection_log.h"
#include "gateway/arrival/arrival.h"
#include "gateway/client_answer.h"
#include "gateway/exchange.h"
#include "gateway/h2/client_h2.h"
#include "gateway/server.h"
#include "gateway/snapshot.h"
#include "gateway/worker.h"
#include "net/socket.h"
#include "net/tls.h"

enum {
    CLIENT_DRAIN_US = 2 * 1000000, /* for a request by a connection that a drain leaves open */
    CLIENT_LINGER_US = 2 * 1000000,
    CLIENT_DISCARD_BYTES = 262144, /* of a refused request's content; beyond: close */
    CLIENT_HEADS_AT_ONCE = 16,     /* pipelined; then the exchanges that ended are freed first */
};

static void client_on_event(struct stream *s, unsigned events);
static void client_on_timer(struct timer *t);

/* No timer guards CLIENT_BUSY. A time that never comes, rather than none: moving a timer later is a
 * store, taking it out of the heap and putting it back with every request is not. */
static const uint64_t CLIENT_NEVER_US = UINT64_MAX / 2;

static uint64_t client_phase_us(const struct client *c, enum client_phase phase)
{
    switch (phase) {
    case CLIENT_IDLE:
        return c->worker->is_draining ? (uint64_t)CLIENT_DRAIN_US : c->idle_us;
    case CLIENT_HEAD:
        return c->head_us;
    case CLIENT_BODY:
    case CLIENT_TAKING:
        return c->silence_us;
    case CLIENT_BUSY:
        break;
    }
    return CLIENT_NEVER_US;
}

/* A new request: all of it has to come until c->due_us. */
static void client_start_request(struct client *c)
{
    c->due_us = c->worker->loop.now.mono_us + c->received_us;
}

void client_set_phase(struct client *c, enum client_phase phase)
{
    struct loop *l = &c->worker->loop;
    uint64_t now_us = l->now.mono_us;
    bool is_head_running = phase == CLIENT_HEAD && c->phase == CLIENT_HEAD;
    uint64_t end_us = now_us + client_phase_us(c, phase);

    if (phase == CLIENT_HEAD && !is_head_running)
        client_start_request(c);
    if (phase == CLIENT_BUSY)
        c->busy_us = now_us;
    else if (phase == CLIENT_BODY && c->phase == CLIENT_BUSY)
        c->due_us += now_us - c->busy_us; /* it is not the client who was slow */
    c->phase = phase;
    if (phase == CLIENT_HEAD || phase == CLIENT_BODY)
        end_us = MIN(end_us, c->due_us);
    else if (phase == CLIENT_IDLE)
        end_us = MIN(end_us, c->last_us);
    /* A head's time counts from its first byte: more bytes do not extend it. */
    if (!is_head_running)
        timer_set(l, &c->timer, end_us);
}

/* The first request has the time of a head, and the handshake before it a time of its own. */
static void client_watch_start(struct client *c, const struct client_plan *plan)
{
    struct loop *l = &c->worker->loop;

    c->due_us = l->now.mono_us + plan->handshake_us;
    timer_set(l, &c->timer,
              c->down.is_tls ? MIN(c->due_us, l->now.mono_us + plan->inspect_us)
                             : l->now.mono_us + c->head_us);
}

/* It goes on if its hello has come in time, until the end of its own. */
static void client_judge_handshake(struct client *c)
{
    struct loop *l = &c->worker->loop;

    if (stream_tls_entry(&c->stream) < 0 || l->now.mono_us >= c->due_us || c->worker->is_draining)
        client_close(c);
    else
        timer_set(l, &c->timer, c->due_us);
}

bool client_accept(struct worker *w, struct port *port, const struct port_plan *plan, int fd,
                   const struct client_origin *from)
{
    struct h1_options options = {.scheme = port->is_tls ? STR("https") : STR("http")};
    struct client *c = MEM_NEW(struct client);

    /* What begins otherwise than a PROXY header, but only after some bytes, is no TLS either. */
    if ((port->is_tls && from->first_bytes.len > 0) ||
        stream_open_accepted(&c->stream, &w->loop, fd, plan->tls, client_on_event) < 0) {
        mem_free(c);
        return false;
    }
    options.allows_underscore = plan->client.allows_underscore;
    options.path_reading = plan->client.path_reading;
    options.keeps_case = plan->client.keeps_case;
    options.head_bytes_limit = plan->client.head_bytes_limit;
    h1_init(&c->codec, &options);
    outbox_init(&c->out, &w->outboxes, &c->stream);
    c->out.high = plan->client.buffer_bytes;
    c->read_bytes = plan->client.buffer_bytes < LIMIT_PIPE_HIGH_BYTES ? plan->client.buffer_bytes
                                                                      : WORKER_SCRATCH_BYTES;
    c->worker = w;
    c->port = port;
    c->opened_us = w->loop.now.mono_us;
    c->n_received = from->first_bytes.len;
    c->h2_plan = plan->client.h2;
    c->omits_trailers = plan->client.omits_trailers;
    c->idle_us = plan->client.idle_us;
    c->head_us = plan->client.head_us;
    c->silence_us = plan->client.silence_us;
    c->received_us = plan->client.received_us ? plan->client.received_us : CLIENT_NEVER_US;
    c->end_us = plan->client.connection_us ? w->loop.now.mono_us + plan->client.connection_us
                                           : CLIENT_NEVER_US;
    c->last_us = plan->client.ends_when_old ? c->end_us + CLIENT_DRAIN_US : CLIENT_NEVER_US;
    c->n_requests_left = plan->client.n_requests_max;
    socket_format_address(from->peer, c->peer_text, sizeof c->peer_text);
    if (from->local)
        socket_format_address(from->local, c->local_text, sizeof c->local_text);
    else
        socket_format_local(fd, c->local_text, sizeof c->local_text);
    c->down = (struct downstream){.ops = &client_downstream_ops,
                                  .peer_ip = ip_address_of_socket(from->peer),
                                  .peer_text = c->peer_text,
                                  .local_text = c->local_text,
                                  .listen_port = port,
                                  .port = port->number,
                                  .is_tls = port->is_tls,
                                  .connection_id = ++w->n_accepted << 8 | w->index,
                                  .reads_underscore = options.allows_underscore};
    c->down.peer_ip_text = ip_address_format(&c->down.peer_ip, c->peer_ip_text);
    c->timer.fn = client_on_timer;
    c->phase = CLIENT_IDLE;
    client_watch_start(c, &plan->client);
    list_append(&w->clients, &c->node);
    buf_append_str(&c->in, from->first_bytes);
    worker_note_connections(w);
    if (w->is_draining) /* it came before, and its first request may be on its way */
        client_drain(c);
    return true;
}

static void client_free(struct deferred *d)
{
    struct client *c = CONTAINER_OF(d, struct client, retire);

    buf_deinit(&c->in);
    mem_free(c);
}

void client_close(struct client *c)
{
    struct worker *w = c->worker;

    if (c->state == CLIENT_CLOSED)
        return;
    outbox_flush_last(&c->out, &c->flush);
    c->state = CLIENT_CLOSED;
    client_h2_end(c);
    connection_log_write(c);
    list_remove(&c->node);
    timer_cancel(&w->loop, &c->timer);
    list_remove(&c->again.node);
    list_remove(&c->flush.node);
    list_remove(&c->gone.node);
    outbox_deinit(&c->out);
    stream_close(&c->stream, c->is_aborted);
    arrival_give_place(w, c->port);
    loop_retire(&w->loop, &c->retire, client_free);
    if (c->down.exchange)
        exchange_cancel(c->down.exchange, CANCEL_CLIENT_LEFT);
}

/* Everything is sent and the connection must not be used again: end our side and read on for a
 * moment, since closing with unread bytes would reset the connection and could destroy the answer
 * on its way. */
static void client_linger(struct client *c)
{
    if (c->state != CLIENT_OPEN)
        return;
    c->state = CLIENT_LINGER;
    buf_deinit(&c->in);
    stream_shutdown(&c->stream);
    stream_want(&c->stream, LOOP_READ);
    timer_set(&c->worker->loop, &c->timer, c->worker->loop.now.mono_us + CLIENT_LINGER_US);
}

void client_after_answer(struct client *c)
{
    if (c->state != CLIENT_OPEN || c->down.exchange)
        return;
    if (c->is_aborted) {
        client_close(c);
        return;
    }
    if (c->is_message_open && c->discarded_bytes > CLIENT_DISCARD_BYTES)
        c->must_close = true;
    if (!outbox_is_empty(&c->out)) {
        if (c->phase != CLIENT_TAKING)
            client_set_phase(c, CLIENT_TAKING);
        return;
    }
    if (c->must_close) {
        client_linger(c);
        return;
    }
    if (c->phase == CLIENT_BUSY || c->phase == CLIENT_TAKING ||
        (c->phase == CLIENT_BODY && !c->is_message_open))
        client_set_phase(c, c->is_message_open ? CLIENT_BODY
                            : c->in.len > 0    ? CLIENT_HEAD
                                               : CLIENT_IDLE);
}

static void client_refuse_early(struct client *c, enum refusal why, enum h1_error error,
                                enum ai_dialect dialect)
{
    struct exchange *x = exchange_new(c->worker, &c->down);

    c->must_close = true;
    c->is_message_open = false;
    c->is_head_sent = false;
    x->refusal = why;
    x->head_error = error;
    x->head_dialect = dialect;
    x->request.scheme = c->codec.options.scheme;
    http_headers_init(&x->request.headers, &x->arena);
    exchange_start(x);
}

static void client_on_timer(struct timer *t)
{
    struct client *c = CONTAINER_OF(t, struct client, timer);
    struct exchange *x = c->down.exchange;

    if (c->state == CLIENT_LINGER) {
        client_close(c);
    } else if (!c->stream.is_ready) {
        client_judge_handshake(c);
    } else if (c->h2) {
        client_h2_on_timer(c);
    } else if (c->phase == CLIENT_BODY && x) {
        c->must_close = true;
        exchange_cancel(x, CANCEL_BODY_TIMEOUT);
    } else if (c->phase == CLIENT_HEAD && !x) {
        client_refuse_early(c, REFUSAL_REQUEST_TIMEOUT, H1_ERROR_NONE, AI_DIALECT_NONE);
    } else if (!x) {
        /* An answer that was not taken must not look complete. */
        c->is_aborted = c->phase == CLIENT_TAKING;
        client_close(c);
    }
}

/* What came first is of neither protocol: prior knowledge that fails may be closed without a word
 * (RFC 9113 3.4; nobody but HTTP/2 has the method PRI, 11.6), and an answer of HTTP/1 would be
 * garbage to whoever tried. The record tells of the refusal all the same. */
static bool client_is_no_http(const struct client *c, const struct http_request *request)
{
    enum h1_error error = c->codec.error;

    return !c->has_served && !c->down.is_tls &&
           (error == H1_ERROR_NOT_HTTP ||
            (error == H1_ERROR_BAD_VERSION && str_eq(request->method_text, STR("PRI"))));
}

/* A head: from here the exchange decides. False: need more bytes, or the connection is done. */
static bool client_next_head(struct client *c, struct str *input)
{
    struct h1_event event;
    struct exchange *x;
    int r;

    if (c->must_close || input->len == 0)
        return false;
    if (outbox_is_full(&c->out)) {
        c->was_full = true; /* pipelined requests wait until their sender takes the answers */
        return false;
    }
    x = exchange_new(c->worker, &c->down);
    r = h1_next(&c->codec, input, &x->arena, &x->request, NULL, &event);
    if (r == H1_MORE) {
        exchange_discard(x);
        if (input->len > 0)
            client_set_phase(c, CLIENT_HEAD);
        return false;
    }
    if (r != H1_EVENT) {
        enum h1_error error = c->codec.error;
        /* As far as the head was read: a path with an error in it is the target alone. */
        enum ai_dialect dialect =
            ai_dialect_of_path(x->request.path.len > 0 ? x->request.path : x->request.target);

        c->is_mute = client_is_no_http(c, &x->request);
        exchange_discard(x);
        client_refuse_early(c, REFUSAL_NONE, error, dialect);
        return false;
    }
    if (c->phase != CLIENT_HEAD)
        client_start_request(c); /* the head has come in one piece */
    client_set_phase(c, CLIENT_BUSY);
    c->is_message_open = true;
    c->has_served = true;
    c->is_head_sent = false;
    c->wants_body = false;
    c->discarded_bytes = 0;
    c->n_requests_left--;
    c->must_close = !x->request.is_keep_alive || c->worker->is_draining || c->n_requests_left == 0;
    exchange_start(x);
    return true;
}

static void client_deliver(struct client *c, const struct h1_event *event)
{
    struct exchange *x = c->down.exchange;

    switch (event->type) {
    case H1_EVENT_DATA:
    case H1_EVENT_RAW:
        c->down.bytes_received += event->data.len;
        if (c->phase == CLIENT_BODY)
            client_set_phase(c, CLIENT_BODY); /* progress */
        if (x)
            exchange_on_body(x, event->data);
        else
            c->discarded_bytes += event->data.len;
        break;
    case H1_EVENT_TRAILERS:
        c->has_trailers = !c->omits_trailers;
        c->trailers = event->trailers;
        break;
    case H1_EVENT_END:
        c->is_message_open = false;
        if (x) {
            client_set_phase(c, CLIENT_BUSY);
            exchange_on_body_end(x, c->has_trailers ? &c->trailers : NULL);
        } else {
            arena_reset(&c->worker->spare_arena);
        }
        c->has_trailers = false;
        break;
    case H1_EVENT_HEAD:
        UNREACHABLE();
    }
}

/* Content of the current request, to its exchange or (when that has ended) to nowhere. */
static bool client_next_body(struct client *c, struct str *input)
{
    struct exchange *x = c->down.exchange;
    struct h1_event event;
    int r;

    if (x && !c->wants_body && (c->is_raw || x->request.body != HTTP_BODY_NONE))
        return false;
    if (!x && (c->must_close || c->discarded_bytes > CLIENT_DISCARD_BYTES))
        return false;
    r = h1_next(&c->codec, input, x ? &x->tail : &c->worker->spare_arena, NULL, NULL, &event);
    if (r == H1_EVENT) {
        client_deliver(c, &event);
        return true;
    }
    if (r == H1_MORE)
        return false;
    c->must_close = true;
    c->is_message_open = false;
    if (x)
        exchange_cancel(x, CANCEL_BAD_BODY);
    return false;
}

/* Reads as many events as there are and the exchange takes. */
static void client_read_events(struct client *c, struct str *input)
{
    bool is_going = true;
    int n_heads = 0;

    c->is_processing = true;
    while (is_going && c->state == CLIENT_OPEN) {
        if (c->is_message_open)
            is_going = client_next_body(c, input);
        else if (!c->down.exchange && n_heads++ < CLIENT_HEADS_AT_ONCE)
            is_going = client_next_head(c, input);
        else
            is_going = false; /* pipelined: answered in order */
    }
    c->is_processing = false;
    if (n_heads > CLIENT_HEADS_AT_ONCE && !c->down.exchange)
        client_process_later(c);
}

/* The flush may make room for what the exchange did not take before: then once more. */
static void client_process(struct client *c, struct str *input)
{
    size_t before;
    bool was_wanted;

    do {
        before = input->len;
        was_wanted = c->wants_body;
        client_read_events(c, input);
        if (c->down.exchange)
            exchange_on_body_flush(c->down.exchange);
    } while (c->state == CLIENT_OPEN && c->down.exchange && c->wants_body && input->len > 0 &&
             (input->len < before || !was_wanted));
    if (c->state != CLIENT_OPEN)
        input->len = 0;
}

/* How much `in` may hold before reading stops: a head is used only when it is whole. */
static size_t client_in_limit(const struct client *c)
{
    if (c->is_message_open || c->down.exchange)
        return c->out.high;
    return MAX((size_t)LIMIT_PIPE_HIGH_BYTES, (size_t)c->codec.options.head_bytes_limit);
}

static void client_process_kept(struct client *c)
{
    struct str input = buf_str(&c->in);

    client_process(c, &input);
    if (c->state != CLIENT_OPEN)
        return;
    buf_consume(&c->in, c->in.len - input.len);
    if (c->in.len == 0)
        buf_deinit(&c->in);
    if (c->is_read_paused && c->in.len <= client_in_limit(c)) {
        c->is_read_paused = false;
        client_watch(c);
    }
    client_after_answer(c);
}

static void client_on_again(struct deferred *d)
{
    struct client *c = CONTAINER_OF(d, struct client, again);

    if (c->state == CLIENT_OPEN && (c->in.len > 0 || (c->is_message_open && c->wants_body)))
        client_process_kept(c);
    else
        client_after_answer(c);
}

void client_process_later(struct client *c)
{
    loop_defer(&c->worker->loop, &c->again, client_on_again);
}

/* What has come, with `input`, is the beginning of HTTP/2's preface, or begins with all of it
 * (prior knowledge: RFC 9113 3.3; over TLS it is ALPN's to say, 3.2). No method of HTTP/1 begins
 * so. */
static bool client_may_be_h2(const struct client *c, struct str input)
{
    struct str preface = STR(H2_PREFACE);
    size_t n_kept = MIN(c->in.len, preface.len);
    size_t n = MIN(input.len, preface.len - n_kept);

    return !c->down.is_tls && memcmp(preface.ptr, c->in.ptr ? c->in.ptr : "", n_kept) == 0 &&
           memcmp(preface.ptr + n_kept, input.ptr, n) == 0;
}

/* Waits until the preface is whole; then the connection is HTTP/2's. */
static void client_take_h2(struct client *c, struct str input)
{
    struct buf kept;

    if (c->in.len == 0)
        client_set_phase(c, CLIENT_HEAD);
    buf_append(&c->in, input.ptr, input.len);
    if (c->in.len < sizeof H2_PREFACE - 1)
        return;
    if (!client_h2_begin(c)) {
        client_close(c);
        return;
    }
    kept = c->in;
    c->in = (struct buf){0};
    client_h2_on_bytes(c, buf_str(&kept));
    buf_deinit(&kept);
}

static void client_on_bytes(struct client *c, size_t n)
{
    struct str input = str_make(c->worker->scratch, n);

    if (c->state == CLIENT_LINGER)
        return;
    if (c->h2) {
        client_h2_on_bytes(c, input);
        return;
    }
    if (!c->has_served && !c->down.exchange && client_may_be_h2(c, input)) {
        client_take_h2(c, input);
        return;
    }
    if (c->in.len > 0) {
        buf_append(&c->in, input.ptr, input.len);
        client_process_kept(c);
        return;
    }
    client_process(c, &input);
    if (c->state != CLIENT_OPEN)
        return;
    buf_append(&c->in, input.ptr, input.len);
    client_after_answer(c);
}

static void client_read(struct client *c)
{
    struct worker *w = c->worker;
    size_t n = 0;

    if (c->in.len > client_in_limit(c) && c->state == CLIENT_OPEN) {
        c->is_read_paused = true; /* until `in` has been used; client_watch resumes */
        client_watch(c);
        return;
    }
    int r = stream_recv(&c->stream, w->scratch, c->read_bytes, &n);

    c->n_received += r == 0 ? n : 0;
    if (r == 0)
        client_on_bytes(c, n);
    else if (r != STREAM_AGAIN)
        client_close(c);
}

static void client_on_ready(struct client *c)
{
    c->down.server_name = stream_server_name(&c->stream);
    c->down.client_certificate = stream_tls_peer(&c->stream);
    c->down.client_rule = stream_tls_client_rule(&c->stream);
    c->down.tls_version = stream_tls_version(&c->stream);
    c->down.tls_cipher = stream_tls_cipher(&c->stream);
    if (!c->worker->is_draining)
        timer_set(&c->worker->loop, &c->timer, c->worker->loop.now.mono_us + c->head_us);
    if (strcmp(stream_alpn(&c->stream), "h2") == 0 && !client_h2_begin(c))
        client_close(c);
}

static void client_on_event(struct stream *s, unsigned events)
{
    struct client *c = CONTAINER_OF(s, struct client, stream);

    if (events & STREAM_READY)
        client_on_ready(c);
    if ((events & LOOP_WRITE) && c->state == CLIENT_OPEN)
        client_on_room(c);
    if ((events & LOOP_READ) && c->state != CLIENT_CLOSED)
        client_read(c);
    else if ((events & LOOP_HANGUP) && c->state != CLIENT_CLOSED)
        client_close(c);
}

/* Another process serves by now, so this drain is in nobody's way: a client that has been promised
 * another answer may ask once more, and is told then that the connection closes, instead of meeting
 * a closed one. */
static bool client_may_wait(const struct client *c)
{
    if (!c->worker->server->is_handed_over || c->must_close)
        return false;
    return c->down.exchange ? c->is_head_sent : !c->is_message_open;
}

void client_drain(struct client *c)
{
    if (c->state != CLIENT_OPEN)
        return;
    if (c->h2) {
        client_h2_drain(c);
        return;
    }
    if (c->in.len == 0 && (!c->has_served || client_may_wait(c))) {
        /* Accepted, perhaps from the backlog a moment ago: its first request may be on its way. */
        if (c->phase == CLIENT_IDLE)
            timer_set(&c->worker->loop, &c->timer, c->worker->loop.now.mono_us + CLIENT_DRAIN_US);
        return;
    }
    /* What has arrived already is served. */
    if (!c->down.exchange && !c->is_message_open && c->in.len == 0)
        client_read(c);
    if (c->state != CLIENT_OPEN)
        return;
    /* A head on its way is a request on its way; it closes the connection when it is served. */
    if (!c->down.exchange && !c->is_message_open && c->in.len > 0)
        return;
    c->must_close = true;
    if (!c->down.exchange && !c->is_message_open && outbox_is_empty(&c->out))
        client_linger(c);
}
