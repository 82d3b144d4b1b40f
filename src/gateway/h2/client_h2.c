/* See client_h2.h. The codec's events and the exchange's calls may come from within each other: so
 * the codec is fed and drained from the top of a loop turn only (client_h2_output asks for later
 * when it is busy), and a stream that ends under its exchange tells it at the end of the turn. One
 * timer guards the connection: client_h2_watch says what it waits for. */
#include "gateway/h2/client_h2.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "gateway/client.h"
#include "gateway/client_answer.h"
#include "gateway/h2/client_stream.h"
#include "gateway/worker.h"

enum {
    SECOND_US = 1000000,
    LEAVE_US = SECOND_US,      /* for a peer that does not answer the PING behind a GOAWAY */
    FORGIVEN_SECONDS_MAX = 16, /* more have nothing left to forgive */
};

static const uint64_t NEVER_US = UINT64_MAX / 2;

static struct loop *loop_of(const struct client_h2 *h)
{
    return &h->client->worker->loop;
}

static uint64_t now_of(const struct client_h2 *h)
{
    return loop_of(h)->now.mono_us;
}

/* ---- time ---- */

/* When the peer is to be asked, or to have answered. */
static uint64_t client_h2_ping_end(const struct client_h2 *h)
{
    const struct client_h2_plan *plan = &h->client->h2_plan;

    return h->pinged_us ? h->pinged_us + plan->ping_answer_us
                        : h->heard_us + plan->ping_us + h->jitter_us;
}

static void client_h2_draw_jitter(struct client_h2 *h)
{
    struct client *c = h->client;

    if (c->h2_plan.ping_jitter_us > 0)
        h->jitter_us = random_below(&c->worker->random, c->h2_plan.ping_jitter_us);
}

/* When the connection has to be looked at next. A silent peer is asked only while something runs,
 * unless its policy says otherwise: one that waits for nothing costs nothing, and leaves by
 * itself. */
static void client_h2_watch(struct client_h2 *h)
{
    struct client *c = h->client;
    uint64_t end_us = NEVER_US;

    if (c->state != CLIENT_OPEN)
        return;
    if (h->state == CLIENT_H2_LEAVING)
        end_us = h->left_us + LEAVE_US;
    else if (h->streams.n_nodes == 0 && h->state == CLIENT_H2_STAYING)
        end_us = h->idle_end_us;
    if (h->state == CLIENT_H2_STAYING)
        end_us = MIN(end_us, c->end_us);
    if (h->state != CLIENT_H2_LEAVING && (h->streams.n_nodes > 0 || c->h2_plan.pings_idle))
        end_us = MIN(end_us, client_h2_ping_end(h));
    if (h->stuck_us)
        end_us = MIN(end_us, h->stuck_us + c->silence_us);
    timer_set(loop_of(h), &c->timer, end_us);
}

/* A connection without a request yet has the time of a head for it, as one of HTTP/1. */
static void client_h2_begin_idle(struct client_h2 *h)
{
    const struct client *c = h->client;

    h->idle_end_us = now_of(h) + (c->has_served ? c->idle_us : MIN(c->idle_us, c->head_us));
}

static void client_h2_leave(struct client_h2 *h)
{
    if (h->state != CLIENT_H2_STAYING)
        return;
    h->state = CLIENT_H2_LEAVING;
    h->left_us = now_of(h);
    h2_go_away(&h->codec, false);
    h2_ping(&h->codec);
    client_h2_output(h);
}

/* What the peer had sent before it knew has come by now. */
static void client_h2_leave_for_good(struct client_h2 *h)
{
    h->state = CLIENT_H2_LEFT;
    h2_go_away(&h->codec, true);
    client_h2_output(h);
}

void client_h2_on_timer(struct client *c)
{
    struct client_h2 *h = c->h2;
    uint64_t now_us = now_of(h);

    if (h->stuck_us && now_us >= h->stuck_us + c->silence_us) {
        c->is_aborted = true; /* an answer that was not taken must not look complete */
        client_close(c);
    } else if (h->state == CLIENT_H2_LEAVING) {
        client_h2_leave_for_good(h);
    } else if (h->state == CLIENT_H2_STAYING &&
               (now_us >= c->end_us || (h->streams.n_nodes == 0 && now_us >= h->idle_end_us))) {
        client_h2_leave(h);
    } else if (h->pinged_us) {                     /* nobody is there */
        c->is_aborted = !outbox_is_empty(&c->out); /* a frame that ends halfway is no end */
        client_close(c);
    } else {
        h->pinged_us = now_us;
        client_h2_draw_jitter(h);
        h2_ping(&h->codec);
        client_h2_output(h);
    }
}

/* ---- output ---- */

static void client_h2_count(struct client *c, enum metric metric)
{
    char room[8];
    int n = snprintf(room, sizeof room, "%u", c->port->number);

    metric_add(METRICS_SERIES(c->worker->metrics, metric, str_make(room, (size_t)n)), 1);
}

/* Nothing is to come: the connection ends when everything is sent. */
static void client_h2_settle(struct client_h2 *h)
{
    struct client *c = h->client;

    /* One that is broken closes at the end of the turn: perhaps an exchange is calling. */
    if (c->state != CLIENT_OPEN || c->is_aborted)
        return;
    if (h->codec.is_flooded && !c->must_close)
        client_h2_count(c, METRIC_HTTP2_FLOODS);
    c->must_close |= h->is_over || (h->state == CLIENT_H2_LEFT && h->streams.n_nodes == 0);
    if (c->must_close && outbox_is_empty(&c->out))
        client_after_answer(c);
    client_h2_watch(h);
}

void client_h2_output(struct client_h2 *h)
{
    struct client *c = h->client;

    h->wants_output = true;
    if (h->is_processing || c->state != CLIENT_OPEN)
        return;
    h->is_processing = true;
    while (h->wants_output && c->out.held.len < c->out.high && !c->is_aborted) {
        struct buf *held = outbox_held(&c->out);

        h->wants_output = false;
        h->is_over |= !h2_output(&h->codec, held, c->out.high);
        h->wants_output |= held->len >= c->out.high; /* there may be more */
        client_flush(c);
    }
    h->is_processing = false;
    client_h2_settle(h);
}

void client_h2_on_flushed(struct client *c, bool is_progress)
{
    struct client_h2 *h = c->h2;

    if (outbox_is_empty(&c->out)) {
        h->stuck_us = 0;
    } else if (is_progress || !h->stuck_us) {
        h->stuck_us = now_of(h);
        client_h2_watch(h);
    }
}

void client_h2_on_room(struct client *c)
{
    client_h2_output(c->h2);
}

/* ---- input ---- */

static void client_h2_forgive(struct client_h2 *h)
{
    uint64_t n_seconds = (now_of(h) - h->forgiven_us) / SECOND_US;

    h->forgiven_us += n_seconds * SECOND_US;
    for (uint64_t i = 0; i < MIN(n_seconds, (uint64_t)FORGIVEN_SECONDS_MAX); i++)
        h2_forgive(&h->codec);
}

static void client_h2_on_again(struct deferred *d);

static void client_h2_begin_requests(struct client_h2 *h)
{
    if (h->is_over)
        return;
    client_stream_begin_some(h);
    if (h->heads.first)
        loop_defer(loop_of(h), &h->again, client_h2_on_again);
}

static void client_h2_on_again(struct deferred *d)
{
    struct client_h2 *h = CONTAINER_OF(d, struct client_h2, again);

    h->is_processing = true;
    client_h2_begin_requests(h);
    h->is_processing = false;
    client_h2_output(h);
}

void client_h2_on_bytes(struct client *c, struct str input)
{
    struct client_h2 *h = c->h2;

    client_h2_forgive(h);
    h->heard_us = now_of(h);
    h->pinged_us = 0;
    h->is_processing = true;
    h->is_over |= !h2_input(&h->codec, input);
    client_h2_begin_requests(h);
    h->is_processing = false;
    if (h->state == CLIENT_H2_LEAVING && h->codec.n_pings == 0)
        client_h2_leave_for_good(h);
    else
        client_h2_output(h);
}

/* ---- begin and end ---- */

bool client_h2_begin(struct client *c)
{
    struct client_h2 *h = MEM_NEW(struct client_h2);
    const struct client_h2_plan *plan = &c->h2_plan;
    struct h2_options options = {.allows_underscore = c->codec.options.allows_underscore,
                                 .path_reading = c->codec.options.path_reading,
                                 .head_bytes_limit = c->codec.options.head_bytes_limit,
                                 .scheme = c->codec.options.scheme,
                                 .n_streams_max = plan->n_streams_max,
                                 .stream_window = plan->stream_window,
                                 .connection_window = plan->connection_window,
                                 .takes_websockets = true,
                                 .ends_on_invalid = !plan->keeps_connection};

    h->client = c;
    if (h2_init(&h->codec, &options, &client_stream_events) != 0) {
        mem_free(h);
        return false;
    }
    c->h2 = h;
    h->heard_us = h->forgiven_us = now_of(h);
    client_h2_draw_jitter(h);
    client_h2_begin_idle(h);
    client_h2_count(c, METRIC_HTTP2_CONNECTIONS);
    client_h2_output(h);
    if (c->worker->is_draining) /* which began before this connection said what it speaks */
        client_h2_leave(h);
    return true;
}

void client_h2_on_stream_count(struct client_h2 *h)
{
    if (h->client->state != CLIENT_OPEN)
        return;
    if (h->streams.n_nodes == 0)
        client_h2_begin_idle(h);
    if (!h->is_processing)
        client_h2_settle(h);
}

void client_h2_on_request(struct client_h2 *h)
{
    struct client *c = h->client;

    c->has_served = true;
    if (c->n_requests_left > 0 && --c->n_requests_left == 0)
        client_h2_leave(h);
}

void client_h2_drain(struct client *c)
{
    client_h2_leave(c->h2);
}

void client_h2_drain_end(struct client *c)
{
    struct client_h2 *h = c->h2;

    h->is_processing = true; /* the connection ends below, not under the streams */
    client_stream_drain_all(h);
    h->is_processing = false;
    client_h2_output(h);
}

static void client_h2_on_free(struct deferred *d)
{
    mem_free(CONTAINER_OF(d, struct client_h2, retire));
}

/* Whatever put out frames may be what closed the connection, and looks at it afterwards: it stays,
 * like its client, until nothing of it runs. */
void client_h2_end(struct client *c)
{
    struct client_h2 *h = c->h2;

    if (!h)
        return;
    list_remove(&h->again.node);
    client_stream_end_all(h);
    h2_deinit(&h->codec);
    c->h2 = NULL;
    loop_retire(loop_of(h), &h->retire, client_h2_on_free);
}
