/* See client_stream.h. Content that the exchange does not want yet stays here, counted against the
 * stream's window: so the client stops where the backend does. An answer waits in the codec for the
 * client's window, and its backend with it. */
#include "gateway/h2/client_stream.h"

#include "base/assert.h"
#include "base/mem.h"
#include "gateway/client.h"
#include "gateway/exchange.h"
#include "gateway/h2/client_h2.h"
#include "gateway/h2/websocket.h"
#include "gateway/worker.h"

enum {
    STREAM_TAIL_BYTES = 256,
    STREAM_HEADS_AT_ONCE = 32, /* requests of one connection that begin in one turn of the loop */
};

static struct client_stream *stream_of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct client_stream, stream);
}

static struct client_stream *stream_of_down(struct downstream *d)
{
    return CONTAINER_OF(d, struct client_stream, down);
}

static struct loop *loop_of(const struct client_stream *t)
{
    return &t->owner->client->worker->loop;
}

static uint64_t now_of(const struct client_stream *t)
{
    return loop_of(t)->now.mono_us;
}

/* Longest silence inside wanted content, and of an answer that is complete here and not taken. */
static uint64_t silence_of(const struct client_stream *t)
{
    return t->owner->client->silence_us;
}

/* ---- its end ---- */

static void stream_on_free(struct deferred *d)
{
    struct client_stream *t = CONTAINER_OF(d, struct client_stream, retire);

    arena_deinit(&t->tail);
    buf_deinit(&t->held);
    mem_free(t);
}

static void stream_free_if_done(struct client_stream *t)
{
    struct client_h2 *h = t->owner;

    if (!t->is_closed || t->down.exchange)
        return;
    timer_cancel(loop_of(t), &t->timer);
    list_remove(&t->again.node);
    list_remove(&t->gone.node);
    list_remove(&t->node);
    loop_retire(loop_of(t), &t->retire, stream_on_free);
    client_h2_on_stream_count(h);
}

static void stream_on_gone(struct deferred *d)
{
    struct client_stream *t = CONTAINER_OF(d, struct client_stream, gone);

    if (t->down.exchange)
        exchange_cancel(t->down.exchange, CANCEL_CLIENT_LEFT);
    stream_free_if_done(t);
}

static void stream_end(struct client_stream *t)
{
    struct exchange *x = t->down.exchange;

    t->is_closed = true;
    list_remove(&t->head_node);
    if (x && !t->has_begun) {
        exchange_discard(x);
    } else if (x) {
        exchange_cancel(x, CANCEL_CLIENT_LEFT);
    }
    t->down.exchange = NULL;
    stream_free_if_done(t);
}

void client_stream_end_all(struct client_h2 *h)
{
    LIST_FOREACH (&h->streams, node) {
        struct client_stream *t = CONTAINER_OF(node, struct client_stream, node);

        buf_deinit(&t->stream.pending);
        stream_end(t);
    }
}

/* ---- time ---- */

/* While content is wanted its sender is on the clock, and only then. */
static void stream_watch_body(struct client_stream *t)
{
    bool is_waiting =
        !t->is_raw && t->wants_body && !t->is_end_told && !t->is_end_held && t->held.len == 0;

    if (!is_waiting) {
        if (t->busy_us == 0)
            t->busy_us = now_of(t);
        timer_cancel(loop_of(t), &t->timer);
        return;
    }
    if (t->busy_us > 0)
        t->due_us += now_of(t) - t->busy_us; /* it is not the client who was slow */
    t->busy_us = 0;
    timer_set(loop_of(t), &t->timer,
              MIN(t->due_us, now_of(t) + exchange_silence_us(t->down.exchange, silence_of(t))));
}

static void stream_refuse_slow_head(struct client_stream *t)
{
    struct exchange *x = t->down.exchange;

    h2_give_up_head(&t->stream);
    x->request.is_http2 = true;
    x->refusal = REFUSAL_REQUEST_TIMEOUT;
    t->has_begun = true;
    exchange_start(x);
}

/* Its answer has begun since the timer was set. */
static bool stream_may_be_silent(const struct client_stream *t)
{
    return now_of(t) < t->due_us &&
           exchange_silence_us(t->down.exchange, silence_of(t)) == EXCHANGE_NEVER_US;
}

static void stream_on_timer(struct timer *timer)
{
    struct client_stream *t = CONTAINER_OF(timer, struct client_stream, timer);

    if (t->is_closed)
        return;
    if (!t->stream.has_head)
        stream_refuse_slow_head(t);
    else if (t->down.exchange && stream_may_be_silent(t))
        stream_watch_body(t);
    else if (t->down.exchange)
        exchange_cancel(t->down.exchange, CANCEL_BODY_TIMEOUT);
    else
        h2_reset(&t->stream, H2_CANCEL); /* an answer that is not taken */
    client_h2_output(t->owner);
}

static void stream_watch_taking(struct client_stream *t)
{
    timer_set(loop_of(t), &t->timer, now_of(t) + silence_of(t));
}

/* ---- content of the request ---- */

/* What comes for a tunnel waits until it is open. */
static bool stream_may_deliver(const struct client_stream *t)
{
    const struct exchange *x = t->down.exchange;

    if (!t->has_begun)
        return false;
    if (x && x->request.is_tunnel)
        return t->is_raw && t->wants_body;
    return x && (t->wants_body || x->request.body == HTTP_BODY_NONE);
}

static void stream_deliver_data(struct client_stream *t, struct str span)
{
    exchange_on_body(t->down.exchange, span);
    if (t->down.exchange)
        exchange_on_body_flush(t->down.exchange);
    if (!t->is_closed)
        h2_consume(&t->stream, span.len);
}

static void stream_deliver_held(struct client_stream *t)
{
    struct buf held = t->held;

    t->held = (struct buf){0};
    stream_deliver_data(t, buf_str(&held));
    buf_deinit(&held);
}

static void stream_deliver_end(struct client_stream *t)
{
    struct exchange *x = t->down.exchange;

    t->is_end_held = false;
    t->is_end_told = true;
    if (t->is_raw) {
        exchange_on_raw_end(x);
        return;
    }
    exchange_on_body_end(x, t->stream.has_trailers ? &t->stream.trailers : NULL);
    if (t->down.exchange)
        exchange_on_body_flush(x);
}

static void stream_deliver(struct client_stream *t)
{
    if (t->held.len > 0 && stream_may_deliver(t))
        stream_deliver_held(t);
    if (t->held.len == 0 && t->is_end_held && stream_may_deliver(t))
        stream_deliver_end(t);
    if (t->down.exchange)
        stream_watch_body(t);
}

static void stream_on_again(struct deferred *d)
{
    struct client_stream *t = CONTAINER_OF(d, struct client_stream, again);

    stream_deliver(t);
    client_h2_output(t->owner);
}

/* ---- the codec's events ---- */

static const struct downstream_ops client_stream_ops;

static struct h2_stream *on_open(struct h2 *codec)
{
    struct client_h2 *h = CONTAINER_OF(codec, struct client_h2, codec);
    struct client *c = h->client;
    struct client_stream *t = MEM_NEW(struct client_stream);
    struct exchange *x;

    t->owner = h;
    t->down = c->down;
    t->down.ops = &client_stream_ops;
    t->timer.fn = stream_on_timer;
    arena_init(&t->tail, STREAM_TAIL_BYTES);
    list_append(&h->streams, &t->node);
    x = exchange_new(c->worker, &t->down);
    t->stream.arena = &x->arena;
    t->stream.tail = &x->tail;
    t->stream.request = &x->request;
    t->due_us = now_of(t) + c->received_us;
    timer_set(loop_of(t), &t->timer, MIN(t->due_us, now_of(t) + c->head_us));
    return &t->stream;
}

/* The head is all of its request; what follows is not content. */
static void stream_start_tunnel(struct client_stream *t)
{
    struct exchange *x = t->down.exchange;

    PRE(x != NULL);
    websocket_ask(&x->request);
    exchange_start(x);
    if (t->down.exchange)
        exchange_on_body_end(x, NULL);
    if (t->down.exchange)
        exchange_on_body_flush(x);
}

static void stream_begin(struct client_stream *t)
{
    struct exchange *x = t->down.exchange;

    list_remove(&t->head_node);
    t->has_begun = true;
    if (x->request.is_tunnel && x->head_error == H1_ERROR_NONE)
        stream_start_tunnel(t);
    else
        exchange_start(x);
    if (t->down.exchange)
        stream_deliver(t); /* what has come meanwhile */
}

void client_stream_begin_some(struct client_h2 *h)
{
    uint64_t now_us = h->client->worker->loop.now.mono_us;

    if (h->begun_us != now_us) {
        h->begun_us = now_us;
        h->n_begun = 0;
    }
    for (; h->heads.first && h->n_begun < STREAM_HEADS_AT_ONCE; h->n_begun++)
        stream_begin(CONTAINER_OF(h->heads.first, struct client_stream, head_node));
}

void client_stream_drain_all(struct client_h2 *h)
{
    LIST_FOREACH (&h->streams, node) {
        struct client_stream *t = CONTAINER_OF(node, struct client_stream, node);

        if (t->head_node.owner)
            stream_begin(t); /* to be told like the others */
        if (t->down.exchange && t->has_begun)
            exchange_cancel(t->down.exchange, CANCEL_DRAIN);
    }
}

static void on_head(struct h2_stream *s)
{
    struct client_stream *t = stream_of(s);
    struct exchange *x = t->down.exchange;

    client_h2_on_request(t->owner);
    t->busy_us = now_of(t);
    timer_cancel(loop_of(t), &t->timer);
    x->request.is_http2 = true;
    x->head_error = s->error;
    if (s->error != H1_ERROR_NONE)
        x->head_dialect = ai_dialect_of_path(x->request.target);
    list_append(&t->owner->heads, &t->head_node);
}

static void on_data(struct h2_stream *s, struct str span)
{
    struct client_stream *t = stream_of(s);

    t->down.bytes_received += span.len;
    if (!t->down.exchange) {
        h2_consume(s, span.len); /* nobody wants it any more */
    } else if (t->held.len == 0 && stream_may_deliver(t)) {
        stream_deliver_data(t, span);
        if (t->down.exchange)
            stream_watch_body(t);
    } else {
        buf_append(&t->held, span.ptr, span.len);
        stream_watch_body(t);
    }
}

static void on_end(struct h2_stream *s, const struct http_headers *trailers UNUSED)
{
    struct client_stream *t = stream_of(s);

    t->is_end_held = true;
    stream_deliver(t);
}

static void on_room(struct h2_stream *s)
{
    struct client_stream *t = stream_of(s);

    if (t->down.exchange)
        exchange_on_drained(t->down.exchange);
    else if (timer_is_set(&t->timer))
        stream_watch_taking(t); /* progress */
}

/* The exchange may be what made the codec close it: it is told when nothing of it runs. */
static void on_close(struct h2_stream *s, uint32_t code UNUSED)
{
    struct client_stream *t = stream_of(s);

    t->is_closed = true;
    list_remove(&t->head_node);
    if (t->down.exchange && !t->has_begun)
        exchange_discard(t->down.exchange);
    loop_defer(loop_of(t), &t->gone, stream_on_gone);
}

const struct h2_events client_stream_events = {.on_open = on_open,
                                               .on_head = on_head,
                                               .on_data = on_data,
                                               .on_end = on_end,
                                               .on_room = on_room,
                                               .on_close = on_close};

/* ---- the exchange's calls ---- */

static void down_send_continue(struct downstream *d)
{
    struct client_stream *t = stream_of_down(d);
    struct http_response r = {.status = 100, .body = HTTP_BODY_NONE};

    if (t->is_closed)
        return;
    http_headers_init(&r.headers, &t->tail);
    h2_respond(&t->stream, &r);
    client_h2_output(t->owner);
}

/* The tunnel is open: of HTTP/2's handshake that is a 200 alone (RFC 8441 5.1). */
static struct http_response stream_opened(struct client_stream *t,
                                          const struct http_response *response)
{
    struct http_response r = *response;

    r.status = 200;
    r.body = HTTP_BODY_CHUNKED;
    r.headers = http_headers_copy(&response->headers, &t->tail);
    http_headers_remove(&r.headers, STR("sec-websocket-accept"));
    return r;
}

static void down_send_head(struct downstream *d, const struct http_response *response)
{
    struct client_stream *t = stream_of_down(d);
    struct http_response copy = *response;
    bool is_upgrade = response->status == 101;
    size_t n_head;

    if (t->is_closed)
        return;
    if (is_upgrade)
        copy = stream_opened(t, response);
    t->is_bodiless = copy.body == HTTP_BODY_NONE;
    n_head = h2_respond(&t->stream, &copy);
    if (is_upgrade) /* as Envoy counts */
        d->bytes_sent += n_head;
}

static void down_send_data(struct downstream *d, struct str span)
{
    struct client_stream *t = stream_of_down(d);

    if (t->is_closed || t->is_bodiless)
        return;
    d->bytes_sent += span.len;
    h2_send(&t->stream, span);
}

static void down_send_end(struct downstream *d, const struct http_headers *trailers)
{
    struct client_stream *t = stream_of_down(d);

    if (t->is_closed)
        return;
    if (trailers && trailers->n > 0) {
        http_headers_init(&t->trailers, &t->tail);
        for (unsigned i = 0; i < trailers->n; i++)
            http_headers_add(&t->trailers, arena_str(&t->tail, trailers->items[i].name),
                             arena_str(&t->tail, trailers->items[i].value));
    }
    h2_send_end(&t->stream, t->trailers.n > 0 ? &t->trailers : NULL);
    client_h2_output(t->owner);
}

static void down_flush(struct downstream *d)
{
    client_h2_output(stream_of_down(d)->owner);
}

static void down_abort(struct downstream *d)
{
    struct client_stream *t = stream_of_down(d);

    if (t->is_closed)
        return;
    client_h2_output(t->owner); /* what was said before is still to be seen */
    if (!t->is_closed)
        h2_abort(&t->stream, t->is_raw ? H2_CANCEL : H2_INTERNAL_ERROR); /* RFC 8441 5 */
    client_h2_output(t->owner);
}

static bool down_is_full(struct downstream *d)
{
    struct client_stream *t = stream_of_down(d);

    if (t->is_closed || !h2_is_full(&t->stream))
        return false;
    client_h2_output(t->owner);
    return !t->is_closed && h2_is_full(&t->stream);
}

static void down_want_body(struct downstream *d, bool is_wanted)
{
    struct client_stream *t = stream_of_down(d);

    if (t->wants_body == is_wanted)
        return;
    t->wants_body = is_wanted;
    if (is_wanted && (t->held.len > 0 || t->is_end_held))
        loop_defer(loop_of(t), &t->again, stream_on_again);
    else
        stream_watch_body(t);
}

static void down_set_raw(struct downstream *d)
{
    struct client_stream *t = stream_of_down(d);

    t->is_raw = true;
    t->wants_body = true;
    t->is_end_told = false;
    stream_watch_body(t);
    loop_defer(loop_of(t), &t->again, stream_on_again);
}

static void down_release(struct downstream *d)
{
    struct client_stream *t = stream_of_down(d);

    t->wants_body = false;
    t->stream.tail = &t->tail; /* the exchange's is another's from now on */
    if (t->is_closed) {
        loop_defer(loop_of(t), &t->gone, stream_on_gone);
        return;
    }
    if (t->held.len > 0)
        h2_consume(&t->stream, t->held.len);
    buf_deinit(&t->held);
    /* An answer may be complete before its request is: then the rest of it is not wanted (RFC 9113
     * 8.1). What is said has to be taken in time. */
    h2_finish(&t->stream);
    stream_watch_taking(t);
    client_h2_output(t->owner);
}

static const struct downstream_ops client_stream_ops = {
    .send_continue = down_send_continue,
    .send_head = down_send_head,
    .send_data = down_send_data,
    .send_end = down_send_end,
    .flush = down_flush,
    .abort = down_abort,
    .is_full = down_is_full,
    .want_body = down_want_body,
    .set_raw = down_set_raw,
    .release = down_release,
};
