/* Answers of an exchange as HTTP/1 bytes: heads are formatted into the outbox, content is borrowed
 * and sent with one system call per flush. A broken socket is noted and dealt with at the end of
 * the turn, never from within a call of the exchange. */
#include "gateway/client_answer.h"

#include "base/assert.h"
#include "gateway/exchange.h"
#include "gateway/h2/client_h2.h"
#include "gateway/worker.h"

enum { REFUSED_BODY_BYTES = 65536 /* unread content after which a connection is not kept */ };

static struct client *client_of(struct downstream *d)
{
    return CONTAINER_OF(d, struct client, down);
}

static void client_on_gone(struct deferred *d)
{
    client_close(CONTAINER_OF(d, struct client, gone));
}

void client_watch(struct client *c)
{
    unsigned read = c->is_read_paused ? 0 : LOOP_READ;

    stream_want(&c->stream, read | (outbox_is_empty(&c->out) ? 0 : LOOP_WRITE));
}

static void client_flush_now(struct client *c)
{
    size_t before = c->out.held.len + c->out.n_borrowed;

    list_remove(&c->flush.node);
    if (c->state == CLIENT_CLOSED || outbox_is_empty(&c->out))
        return;
    if (outbox_flush(&c->out) != 0) {
        c->is_aborted = true;
        loop_defer(&c->worker->loop, &c->gone, client_on_gone);
        return;
    }
    if (c->h2)
        client_h2_on_flushed(c, c->out.held.len < before);
    if (!outbox_is_empty(&c->out) || (c->stream.io.wanted & LOOP_WRITE))
        client_watch(c);
    /* Whoever flushed: after a flush that took everything no LOOP_WRITE comes. */
    if (c->was_full && outbox_has_room(&c->out)) {
        c->was_full = false;
        if (c->down.exchange)
            exchange_on_drained(c->down.exchange);
        if (c->in.len > 0 && !c->is_processing)
            client_process_later(c);
    }
}

static void client_on_flush(struct deferred *d)
{
    struct client *c = CONTAINER_OF(d, struct client, flush);

    client_flush_now(c);
    if (outbox_is_empty(&c->out))
        client_after_answer(c);
}

void client_flush(struct client *c)
{
    struct loop *l = &c->worker->loop;

    if (c->state != CLIENT_CLOSED && !c->was_full && loop_is_busy(l) && outbox_wait(&c->out))
        loop_defer(l, &c->flush, client_on_flush);
    else
        client_flush_now(c);
}

void client_on_room(struct client *c)
{
    client_flush_now(c);
    if (c->h2) {
        client_h2_on_room(c);
        return;
    }
    if (c->phase == CLIENT_TAKING)
        client_set_phase(c, CLIENT_TAKING); /* progress */
    if (outbox_is_empty(&c->out))
        client_after_answer(c);
}

static void down_send_continue(struct downstream *d)
{
    struct client *c = client_of(d);
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    outbox_copy(&c->out, text, sizeof text - 1);
    client_flush(c);
}

/* Whether the connection can serve another request after this answer. */
static bool client_may_keep(struct client *c, const struct http_request *request)
{
    if (c->must_close || c->worker->is_draining || c->worker->loop.now.mono_us >= c->end_us)
        return false;
    /* Only another connection can help (RFC 9110 15.5.20). */
    if (c->down.exchange->refusal == REFUSAL_MISDIRECTED)
        return false;
    if (!c->is_message_open || request->body == HTTP_BODY_NONE)
        return true;
    /* Content that was not read yet is either being relayed or will be thrown away: only a little.
     */
    return c->wants_body ||
           (request->body == HTTP_BODY_LENGTH && request->content_length <= REFUSED_BODY_BYTES &&
            !request->expects_continue);
}

static void down_send_head(struct downstream *d, const struct http_response *response)
{
    struct client *c = client_of(d);
    const struct http_request *request = &d->exchange->request;
    struct http_response copy = *response;
    bool is_upgrade = response->status == 101;

    if (c->is_mute)
        return;
    copy.minor_version = request->minor_version;
    if (copy.body == HTTP_BODY_CHUNKED && request->minor_version == 0)
        copy.body = HTTP_BODY_UNTIL_CLOSE;
    if (!is_upgrade && (copy.body == HTTP_BODY_UNTIL_CLOSE || !client_may_keep(c, request)))
        c->must_close = true;
    c->is_chunked_out = copy.body == HTTP_BODY_CHUNKED;
    c->is_answer_bodiless = copy.body == HTTP_BODY_NONE;
    c->is_head_sent = true;
    struct buf *held;

    if (c->out.n_borrowed > 0)
        client_flush(c);
    held = outbox_held(&c->out);
    size_t before = held->len;

    h1_format_response(held, &copy, !c->must_close);
    if (is_upgrade) /* as Envoy counts */
        d->bytes_sent += held->len - before;
}

static void down_send_data(struct downstream *d, struct str span)
{
    struct client *c = client_of(d);
    char text[24];
    struct buf size = {text, 0, sizeof text};

    if (c->is_mute || (c->is_answer_bodiless && !c->is_raw))
        return;
    d->bytes_sent += span.len;
    if (!c->is_chunked_out || c->is_raw) {
        outbox_borrow(&c->out, span.ptr, span.len);
        return;
    }
    h1_format_chunk_size(&size, span.len);
    outbox_copy(&c->out, size.ptr, size.len);
    outbox_borrow(&c->out, span.ptr, span.len);
    outbox_copy(&c->out, "\r\n", 2);
}

static void down_send_end(struct downstream *d, const struct http_headers *trailers)
{
    struct client *c = client_of(d);

    if (c->is_chunked_out && !c->is_raw) {
        if (!trailers || trailers->n == 0 || c->omits_trailers) {
            outbox_copy(&c->out, "0\r\n\r\n", 5);
        } else {
            client_flush(c);
            h1_format_last_chunk(outbox_held(&c->out), trailers);
        }
    }
    client_flush(c);
}

static void down_flush(struct downstream *d)
{
    client_flush(client_of(d));
}

static void down_abort(struct downstream *d)
{
    struct client *c = client_of(d);

    client_flush_now(c); /* what was said before is still to be seen */
    c->is_aborted = true;
    c->must_close = true;
}

static bool down_is_full(struct downstream *d)
{
    struct client *c = client_of(d);

    if (!outbox_is_full(&c->out))
        return false;
    client_flush(c);
    if (!outbox_is_full(&c->out))
        return false;
    c->was_full = true;
    return true;
}

static void down_want_body(struct downstream *d, bool is_wanted)
{
    struct client *c = client_of(d);

    if (c->wants_body == is_wanted)
        return;
    c->wants_body = is_wanted;
    /* While content is wanted its sender is on the clock, and only then: an upstream that takes its
     * time is not the client's fault. */
    if (!c->is_raw && c->is_message_open && d->exchange->request.body != HTTP_BODY_NONE)
        client_set_phase(c, is_wanted ? CLIENT_BODY : CLIENT_BUSY);
    /* Of a message whose bytes have all come its end may still be untold. */
    if (is_wanted && (c->in.len > 0 || c->is_message_open) && !c->is_processing)
        client_process_later(c);
}

static void down_set_raw(struct downstream *d)
{
    struct client *c = client_of(d);

    c->is_raw = true;
    client_set_phase(c, CLIENT_BUSY);
    c->is_message_open = true;
    c->must_close = true;
    h1_set_raw(&c->codec);
    down_want_body(d, true);
    if (c->in.len > 0)
        client_process_later(c);
}

static void down_release(struct downstream *d)
{
    struct client *c = client_of(d);

    c->wants_body = false;
    if (c->state == CLIENT_OPEN && !c->is_processing)
        client_process_later(c);
}

const struct downstream_ops client_downstream_ops = {
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
