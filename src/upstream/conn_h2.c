/* See conn_h2.h. The codec's callbacks tell attempts at once what borrows from the read (heads,
 * spans, ends), and note everything else on a list that is worked off when the codec has returned:
 * an attempt's failure starts another one, perhaps on this connection. Whatever ends the connection
 * closes it first and tells second, so that nobody is sent back to it. */
#include "upstream/conn_h2.h"

#include <errno.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "upstream/attempt_internal.h"
#include "upstream/pool_share.h"

enum { SECOND_US = 1000000 };

static const struct h2_events conn_h2_events;

static struct conn_h2_stream *conn_h2_stream_of(struct h2_stream *codec)
{
    return CONTAINER_OF(codec, struct conn_h2_stream, codec);
}

static struct loop *conn_h2_loop(const struct conn *c)
{
    return c->pool->upstreams->loop;
}

bool conn_h2_is_busy(const struct conn *c)
{
    return c->h2->streams.n_nodes > 0;
}

static void conn_h2_note(struct conn_h2_stream *s)
{
    if (!s->work.owner)
        list_append(&s->conn->h2->todo, &s->work);
}

/* The codec is through with it, or never saw it. */
static void conn_h2_shut(struct conn_h2_stream *s, enum attempt_failure why)
{
    s->is_closed = true;
    s->why = why;
    conn_h2_note(s);
}

/* Each client that leaves is a reset here, and a backend that is reset too often takes that for an
 * attack and ends the connection with everybody's streams: before that, those that run have it for
 * themselves. Backends bear 250 and more (Envoy: half of 500 streams; nghttp2: 1000, and 33 a
 * second), and as many more may come of the streams that run. */
static bool conn_h2_is_worn(const struct conn_h2 *h)
{
    return h->n_resets >= LIMIT_H2_RESETS;
}

/* Where it belongs now. */
static void conn_h2_place(struct conn *c)
{
    const struct h2 *codec = &c->h2->codec;
    enum conn_state to = h2_n_free(codec) > 0 ? CONN_OPEN : CONN_FULL;

    if (c->state == CONN_CONNECTING || c->state == CONN_DRAINING || c->state == CONN_CLOSED)
        return;
    /* Nor is one kept that has no streams and is allowed none. */
    if (!h2_may_open(codec) || conn_h2_is_worn(c->h2) || c->is_spent ||
        (to == CONN_FULL && !conn_h2_is_busy(c)))
        to = CONN_DRAINING;
    if (to != c->state)
        conn_move(c, to);
}

/* ---- the end ---- */

/* With a connection that is retired too, whose pool may be gone by then. */
static void conn_h2_stream_free(struct conn_h2_stream *s)
{
    list_remove(&s->node);
    list_remove(&s->work);
    buf_deinit(&s->codec.pending);
    mem_free(s);
}

void conn_h2_free(struct conn_h2 *h)
{
    if (!h)
        return;
    h2_deinit(&h->codec);
    LIST_FOREACH (&h->streams, node)
        conn_h2_stream_free(CONTAINER_OF(node, struct conn_h2_stream, node));
    mem_free(h);
}

void conn_h2_on_close(struct conn *c)
{
    struct conn_h2 *h = c->h2;

    PRE(!h->is_inside);
    timer_cancel(conn_h2_loop(c), &h->tick);
    h2_go_away(&h->codec, true);
    h->is_inside = true;
    bool is_said = h2_output(&h->codec, outbox_held(&c->out), c->out.high);

    h->is_inside = false;
    (void)is_said; /* what does not fit now is lost with the connection */
    c->is_abort |= outbox_flush(&c->out) != 0;
}

/* If nothing of it has gone out, nothing will. */
static void conn_h2_cancel(struct conn_h2_stream *s)
{
    s->is_unsent = !h2_is_begun(&s->codec);
    h2_reset(&s->codec, H2_CANCEL);
}

/* Before the last word: what has not gone out yet does not go with it, since it may be repeated
 * elsewhere. */
static void conn_h2_take_back(struct conn *c)
{
    LIST_FOREACH (&c->h2->streams, node) {
        struct conn_h2_stream *s = CONTAINER_OF(node, struct conn_h2_stream, node);

        if (s->codec.h2 && !h2_is_begun(&s->codec))
            conn_h2_cancel(s);
    }
}

static void conn_h2_tell_failure(struct conn_h2_stream *s, enum attempt_failure why)
{
    struct attempt *a = TAKE(s->attempt);

    if (!a)
        return;
    a->stream = NULL;
    a->conn = NULL;
    a->bad_answer = s->codec.error;
    attempt_on_broken(a, why);
}

/* The connection is over: `why` is told to those who still wait for it. */
static void conn_h2_end(struct conn *c, enum attempt_failure why)
{
    int error = c->stream.error;

    conn_h2_take_back(c);
    conn_close(c);
    LIST_FOREACH (&c->h2->streams, node) {
        struct conn_h2_stream *s = CONTAINER_OF(node, struct conn_h2_stream, node);

        if (s->attempt)
            s->attempt->transport_error = error;
        conn_h2_tell_failure(s, s->is_closed   ? s->why
                                : s->is_unsent ? ATTEMPT_REFUSED
                                               : ATTEMPT_RESET);
    }
    attempt_break_all(&c->waiting, error, why);
}

/* ---- what was noted ---- */

static void conn_h2_consume(struct conn_h2_stream *s)
{
    if (s->codec.h2 && s->codec.n_unconsumed > 0)
        h2_consume(&s->codec, s->codec.n_unconsumed);
}

static void conn_h2_tell(struct conn_h2_stream *s)
{
    if (s->has_batch) {
        s->has_batch = false;
        if (s->attempt)
            s->attempt->events->on_batch_end(s->attempt);
        if (s->attempt && !s->attempt->is_paused)
            conn_h2_consume(s);
    }
    if (s->has_room) {
        s->has_room = false;
        if (s->attempt)
            s->attempt->events->on_writable(s->attempt);
    }
    if (!s->is_closed)
        return;
    if (s->attempt)
        s->attempt->was_reused = false; /* this is no connection that had gone stale */
    s->conn->idle_since_us = conn_h2_loop(s->conn)->now.mono_us;
    conn_h2_tell_failure(s, s->why);
    conn_h2_stream_free(s);
}

/* The codec has returned; `is_alive` is what it said. */
static void conn_h2_settle(struct conn *c, bool is_alive)
{
    struct conn_h2 *h = c->h2;
    struct list_node *node;

    conn_h2_place(c);
    if (!is_alive) {
        conn_h2_end(c, ATTEMPT_CONNECT_FAILED);
        return;
    }
    while ((node = h->todo.first)) {
        list_remove(node);
        conn_h2_tell(CONTAINER_OF(node, struct conn_h2_stream, work));
    }
    conn_h2_place(c);
    if (c->state == CONN_OPEN)
        pool_share_on_room(c->pool);
    if (conn_h2_is_busy(c))
        return;
    if (c->state == CONN_DRAINING)
        conn_h2_end(c, ATTEMPT_CONNECT_FAILED);
    else if (c->state == CONN_OPEN)
        pool_share_on_idle(c->pool);
}

/* ---- output ---- */

void conn_h2_flush(struct conn *c)
{
    struct conn_h2 *h = c->h2;
    bool is_alive;
    size_t n;

    list_remove(&c->flush.node);
    if (c->state == CONN_CLOSED)
        return;
    PRE(!h->is_inside);
    do {
        struct buf *held = outbox_held(&c->out);

        h->is_inside = true;
        is_alive = h2_output(&h->codec, held, c->out.high);
        h->is_inside = false;
        n = held->len;
        /* A broken connection is noticed by its next read, as in conn_flush. */
        if (outbox_flush(&c->out) != 0) {
            stream_break(&c->stream);
            break;
        }
    } while (is_alive && n >= c->out.high && outbox_is_empty(&c->out));
    stream_want(&c->stream, LOOP_READ | (outbox_is_empty(&c->out) ? 0 : LOOP_WRITE));
    conn_h2_settle(c, is_alive);
}

/* ---- input ---- */

/* The backend's settings are there: whoever waits gets a stream, or goes on to another connection
 * if there are not enough. */
static void conn_h2_on_settings(struct conn *c)
{
    uint32_t n_free = h2_n_free(&c->h2->codec);
    struct list_node *node;

    timer_cancel(conn_h2_loop(c), &c->timer);
    if (n_free == 0) {
        conn_h2_end(c, ATTEMPT_CONNECT_FAILED);
        return;
    }
    c->pool->n_streams = n_free;
    conn_move(c, CONN_OPEN);
    while ((node = c->waiting.first)) {
        struct attempt *a = CONTAINER_OF(node, struct attempt, node);

        if (c->state == CONN_OPEN) {
            list_remove(node);
            attempt_on_connected(a);
        } else {
            a->conn = NULL;
            attempt_connect_again(a);
        }
    }
}

static void conn_h2_on_bytes(struct conn *c, struct str input)
{
    struct conn_h2 *h = c->h2;
    bool is_alive;

    h->heard_us = conn_h2_loop(c)->now.mono_us;
    h->ping_us = 0;
    h->is_inside = true;
    is_alive = h2_input(&h->codec, input);
    h->is_inside = false;
    if (is_alive && c->state == CONN_CONNECTING && h->codec.is_settled)
        conn_h2_on_settings(c);
    if (c->state == CONN_CLOSED)
        return;
    conn_h2_settle(c, is_alive);
    if (c->state != CONN_CLOSED && h2_has_output(&h->codec))
        conn_flush_later(c);
}

void conn_h2_on_event(struct conn *c, unsigned events)
{
    struct upstreams *u = c->pool->upstreams;
    size_t n = 0;
    int r = 0;

    if (events & LOOP_WRITE)
        conn_h2_flush(c);
    if (c->state == CONN_CLOSED || !(events & (LOOP_READ | LOOP_HANGUP)))
        return;
    if (events & LOOP_READ)
        r = stream_recv(&c->stream, u->scratch, u->scratch_bytes, &n);
    if (r == STREAM_AGAIN)
        return;
    if (r == 0 && n > 0)
        conn_h2_on_bytes(c, str_make(u->scratch, n));
    else
        conn_h2_end(c, ATTEMPT_CONNECT_FAILED);
}

/* ---- events of the codec ---- */

/* As HTTP/1.1 has to be told: what cannot have content has none, also where an empty frame ends it
 * (one with content is malformed: the codec resets the stream), and other content that is none is
 * of length 0. */
static void conn_h2_finish_body(const struct attempt *a, struct http_response *r)
{
    if (a->request->method == HTTP_METHOD_HEAD || r->status == 204 || r->status == 304) {
        r->body = HTTP_BODY_NONE;
    } else if (r->body == HTTP_BODY_NONE) {
        r->body = HTTP_BODY_LENGTH;
        r->content_length = 0;
    }
}

/* A 2xx is the yes to an extended CONNECT (RFC 8441 4), which HTTP/1.1 says with 101. */
static void conn_h2_begin_tunnel(struct attempt *a, struct http_response *r)
{
    a->is_tunnel = true;
    r->status = 101;
    r->body = HTTP_BODY_NONE;
    r->upgrade = a->request->upgrade;
}

static void on_head(struct h2_stream *codec)
{
    struct conn_h2_stream *s = conn_h2_stream_of(codec);

    if (!s->attempt)
        return;
    if (s->attempt->request->upgrade.len > 0 && s->response.status / 100 == 2)
        conn_h2_begin_tunnel(s->attempt, &s->response);
    else if (s->response.status >= 200)
        conn_h2_finish_body(s->attempt, &s->response);
    s->has_batch = true; /* the head may be all that comes for now */
    conn_h2_note(s);
    if (attempt_on_stream_head(s->attempt, &s->response))
        return;
    codec->error = H1_ERROR_TOO_MANY_HEADERS;
    h2_reset(codec, H2_PROTOCOL_ERROR);
}

static void on_data(struct h2_stream *codec, struct str span)
{
    struct conn_h2_stream *s = conn_h2_stream_of(codec);

    if (!s->attempt)
        return;
    s->has_batch = true;
    conn_h2_note(s);
    s->attempt->events->on_data(s->attempt, span);
}

static void on_end(struct h2_stream *codec, const struct http_headers *trailers)
{
    struct conn_h2_stream *s = conn_h2_stream_of(codec);

    if (s->attempt)
        attempt_on_stream_end(s->attempt, trailers);
}

static void on_room(struct h2_stream *codec)
{
    struct conn_h2_stream *s = conn_h2_stream_of(codec);

    s->has_room = true;
    conn_h2_note(s);
}

static void on_close(struct h2_stream *codec, uint32_t code)
{
    struct conn_h2_stream *s = conn_h2_stream_of(codec);
    bool is_refused = code == H2_REFUSED_STREAM || s->is_unsent;

    s->conn->h2->n_resets += codec->is_reset && !s->is_unsent;
    /* Of a refused stream nothing was processed (RFC 9113 8.7). */
    conn_h2_shut(s, codec->error != H1_ERROR_NONE ? ATTEMPT_BAD_ANSWER
                    : is_refused                  ? ATTEMPT_REFUSED
                                                  : ATTEMPT_RESET);
}

static const struct h2_events conn_h2_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
};

/* ---- keeping it alive ---- */

/* It has tried to end for another worker's sake, and its streams go on: it serves its own again. */
static void conn_h2_stay(struct conn *c)
{
    pool_share_end_yielding(c);
    conn_move(c, CONN_OPEN);
    conn_h2_place(c);
    if (c->state == CONN_OPEN)
        pool_share_on_room(c->pool);
}

static void conn_h2_ping(struct conn *c)
{
    if (c->h2->ping_us)
        return; /* one is under way */
    c->h2->ping_us = conn_h2_loop(c)->now.mono_us;
    h2_ping(&c->h2->codec);
    conn_flush_later(c);
}

/* A backend that has gone without a word keeps streams waiting for ever: silence is broken by a
 * PING, and one without an answer ends the connection. */
static void conn_h2_on_tick(struct timer *t)
{
    struct conn_h2 *h = CONTAINER_OF(t, struct conn_h2, tick);
    struct conn *c = h->conn;
    const struct cluster_http2 *config = &c->pool->cluster->http2;
    uint64_t now_us = conn_h2_loop(c)->now.mono_us;
    uint64_t interval_us = config->ping_interval_us ? config->ping_interval_us
                                                    : (uint64_t)LIMIT_H2_SILENCE_S * SECOND_US;
    uint64_t timeout_us = config->ping_timeout_us ? config->ping_timeout_us
                                                  : (uint64_t)LIMIT_H2_PING_ANSWER_S * SECOND_US;
    bool is_wanted = conn_h2_is_busy(c) || config->ping_interval_us > 0;

    if (now_us - h->forgiven_us >= SECOND_US) {
        h->forgiven_us = now_us;
        h2_forgive(&h->codec);
    }
    if (c->is_yielding && now_us - c->yielding_us >= LIMIT_H2_YIELD_S * (uint64_t)SECOND_US)
        conn_h2_stay(c);
    if (conn_is_old(c, now_us)) {
        c->is_spent = true;
        conn_h2_settle(c, true);
        if (c->state == CONN_CLOSED)
            return;
    }
    if (h->ping_us && now_us - h->ping_us >= timeout_us) {
        c->stream.error = ETIMEDOUT;
        c->is_abort = true;
        conn_h2_end(c, ATTEMPT_CONNECT_FAILED);
        return;
    }
    if (is_wanted && now_us - h->heard_us >= interval_us)
        conn_h2_ping(c);
    interval_us = MIN(interval_us, timeout_us);
    timer_set(conn_h2_loop(c), t, now_us + MIN(interval_us, (uint64_t)SECOND_US));
}

bool conn_h2_begin(struct conn *c)
{
    const struct cluster_http2 *config = &c->pool->cluster->http2;
    const struct h2_options options = {
        .is_client = true,
        .allows_underscore = true,
        .ends_on_invalid = config->ends_on_invalid,
        .n_streams_max = config->n_streams_max,
        .stream_window = config->stream_window,
        .connection_window = config->connection_window,
    };
    struct conn_h2 *h = MEM_NEW(struct conn_h2);
    uint64_t now_us = conn_h2_loop(c)->now.mono_us;

    if (h2_init(&h->codec, &options, &conn_h2_events) != 0) {
        mem_free(h);
        return false;
    }
    h->conn = c;
    h->heard_us = h->forgiven_us = now_us;
    h->tick.fn = conn_h2_on_tick;
    timer_set(conn_h2_loop(c), &h->tick, now_us + SECOND_US);
    c->h2 = h;
    conn_h2_flush(c);
    return true;
}

/* ---- for the attempt ---- */

void conn_h2_open(struct conn *c, struct attempt *a)
{
    struct conn_h2_stream *s = MEM_NEW(struct conn_h2_stream);
    uint64_t first_us = c->pool->cluster->http2.ping_first_us;

    PRE(c->state == CONN_OPEN);
    /* Is it still there? The stream does not wait, but it is soon told. */
    if (first_us && conn_h2_loop(c)->now.mono_us - c->h2->heard_us >= first_us)
        conn_h2_ping(c);
    s->conn = c;
    s->attempt = a;
    s->codec.response = &s->response;
    a->stream = s;
    conn_h2_set_arenas(s, a);
    list_append(&c->h2->streams, &s->node);
    if (a->request->upgrade.len > 0 && !h2_takes_tunnels(&c->h2->codec))
        conn_h2_shut(s, ATTEMPT_NO_UPGRADE);
    else if (h2_request(&c->h2->codec, &s->codec, a->request) != 0)
        conn_h2_shut(s, ATTEMPT_REFUSED); /* it has just said that it takes no more: not sent */
    conn_count_served(c, a);
    conn_leave_if_beyond(c, a);
    c->idle_us = a->idle_us ? a->idle_us : (uint64_t)UPSTREAM_IDLE_US;
    conn_h2_place(c);
    conn_flush_later(c);
}

void conn_h2_leave(struct attempt *a)
{
    struct conn_h2_stream *s = TAKE(a->stream);
    struct conn *c = s->conn;
    struct h2_stream *codec = &s->codec;

    s->attempt = NULL;
    codec->last_headers = NULL;
    if (!codec->h2 || c->state == CONN_CLOSED)
        return;
    if (!codec->is_end_sent || !codec->is_peer_done)
        conn_h2_cancel(s);
    conn_flush_later(c);
}

void conn_h2_set_arenas(struct conn_h2_stream *s, const struct attempt *a)
{
    s->codec.arena = a->arena;
    s->codec.tail = a->tail;
}

void conn_h2_send(struct conn_h2_stream *s, struct str span)
{
    if (!s->codec.h2)
        return; /* refused already, which is about to be told */
    h2_send(&s->codec, span);
    conn_flush_later(s->conn);
}

void conn_h2_send_end(struct conn_h2_stream *s, const struct http_headers *trailers)
{
    if (!s->codec.h2)
        return;
    h2_send_end(&s->codec, trailers);
    conn_flush_later(s->conn);
}

bool conn_h2_is_full(struct conn_h2_stream *s)
{
    return s->codec.h2 && h2_is_full(&s->codec);
}

void conn_h2_resume(struct conn_h2_stream *s)
{
    conn_h2_consume(s);
    conn_flush_later(s->conn);
}
