/* The attempt machine; see attempt.h for its diagram. One function, attempt_end, leaves the running
 * states, so that connection, in-flight count and timers are always given back together. */
#include "upstream/attempt_internal.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "upstream/balance/pick.h"
#include "upstream/conn_h2.h"
#include "upstream/health/outlier.h"
#include "upstream/health/usable.h"
#include "upstream/pool_share.h"
#include "upstream/preconnect.h"

enum {
    NAME_POLL_TIMEOUT_US = 5 * 1000000,
    CROWDED_US = 200000,
    KEY_ENDPOINTS = 3, /* of a key, that are asked for room behind its first one */
};

const struct attempt_failure_row attempt_failure_rows[] = {
#define X(name, word, text) {word, text},
    ATTEMPT_FAILURES(X)
#undef X
};

void attempt_init(struct attempt *a, struct upstreams *u, const struct attempt_events *events,
                  struct arena *arena)
{
    *a = (struct attempt){.events = events, .upstreams = u, .arena = arena, .tail = arena};
}

static void attempt_count(struct attempt *a, struct endpoint *e)
{
    if (a->endpoint) {
        atomic_fetch_sub_explicit(&a->endpoint->state->n_in_flight, 1, memory_order_relaxed);
        endpoint_set_unref(a->endpoints);
        a->endpoints = NULL;
    }
    a->endpoint = e;
    if (e) {
        atomic_fetch_add_explicit(&e->state->n_in_flight, 1, memory_order_relaxed);
        a->endpoints = endpoint_set_ref(a->pool->endpoints);
        memcpy(a->endpoint_text, e->text, sizeof a->endpoint_text);
    }
}

static struct breaker *attempt_breaker(const struct attempt *a)
{
    return &a->pool->cluster->backend->breaker;
}

/* It is among those under way from when there is a connection for it, or one being made; or while
 * it waits for a name. False: there are as many as may be. */
static bool attempt_enter(struct attempt *a)
{
    struct breaker *b = attempt_breaker(a);

    if (LIKELY(!a->limits && !breaker_is_watched(b)) || a->upstreams->is_uncounted || a->is_counted)
        return true;
    a->is_counted = breaker_take_request(b, a->limits);
    return a->is_counted;
}

static void attempt_leave(struct attempt *a)
{
    if (a->is_counted)
        breaker_put_request(attempt_breaker(a));
    a->is_counted = false;
}

/* What it kept to wait with. */
static void attempt_end_waiting(struct attempt *a)
{
    endpoint_set_unref(TAKE(a->waiter.endpoints));
}

static void attempt_end_crowded(struct attempt *a)
{
    if (a->state == ATTEMPT_CROWDED)
        conn_limit_leave(&a->upstreams->limit);
}

/* Leaves the running states: every resource goes back here and nowhere else. */
static void attempt_end(struct attempt *a, enum attempt_state to, bool is_reusable)
{
    struct conn *c = a->conn;

    list_remove(&a->node);
    timer_cancel(a->upstreams->loop, &a->wait_timer);
    outlier_note_attempt(a, to == ATTEMPT_FAILED);
    attempt_end_crowded(a);
    if (a->state == ATTEMPT_PENDING) {
        pending_leave(attempt_breaker(a), &a->waiter);
        attempt_end_waiting(a);
    }
    attempt_count(a, NULL);
    /* Before the connection: who gets that has a place here too. */
    attempt_leave(a);
    a->state = to;
    a->conn = NULL;
    if (a->stream)
        conn_h2_leave(a);
    else if (c)
        conn_put(c, is_reusable);
}

static void attempt_begin_streaming(struct attempt *a)
{
    struct conn *c = a->conn;

    a->state = ATTEMPT_STREAMING;
    memcpy(a->local_text, c->local_text, sizeof a->local_text);
    a->connected_us = a->upstreams->loop->now.mono_us;
    a->is_h2 = c->h2 != NULL;
    a->tls_version = stream_tls_version(&c->stream);
    a->tls_cipher = stream_tls_cipher(&c->stream);
    if (c->h2) {
        conn_h2_open(c, a);
        return;
    }
    h1_expect_response_to(&c->codec, a->request->method);
    c->codec.options.keeps_case = a->request->wants_spelling;
    h1_format_request(outbox_held(&c->out), a->request);
    conn_flush_later(c);
}

/* A connection is there: of its pool, open already. */
static void attempt_reuse(struct attempt *a, struct conn *c)
{
    a->conn = c;
    a->was_reused = true;
    attempt_begin_streaming(a);
}

/* Another try goes elsewhere if it can: endpoint_text is still that of the try before. One with a
 * key stays where nothing is known to be wrong. */
static struct pick_wish attempt_wish(const struct attempt *a)
{
    bool goes_elsewhere = a->is_fresh_wanted && !(a->has_key && a->stays);

    return (struct pick_wish){.rule = a->pick,
                              .avoid = goes_elsewhere ? a->endpoint_text : NULL,
                              .has_key = a->has_key,
                              .key = a->key,
                              .n_tried = a->n_tried};
}

/* Those that are next for its key. */
static int attempt_connect_next(struct attempt *a, bool may_reuse)
{
    struct pick_wish w = attempt_wish(a);
    int r = CONN_NO_PLACE;

    for (unsigned i = 0; i < KEY_ENDPOINTS && r == CONN_NO_PLACE; i++) {
        w.n_tried++;
        attempt_count(a, pick_endpoint(a->pool, &w)); /* there is one: the view has not changed */
        struct conn *c = may_reuse ? pool_take(a->pool, a->endpoint, a) : NULL;

        if (c) {
            attempt_reuse(a, c);
            return 0;
        }
        r = conn_open(a->pool, a->endpoint, a, a->connect_timeout_us, &a->conn);
    }
    return r;
}

/* The bounds allow no connection to the endpoint that was chosen. One to another may be unused, or
 * allowed. */
static int attempt_connect_elsewhere(struct attempt *a, bool may_reuse)
{
    struct endpoint_set *s = a->pool->endpoints;
    int r = a->has_key ? attempt_connect_next(a, may_reuse) : CONN_NO_PLACE;
    struct conn *c;

    if (r != CONN_NO_PLACE)
        return r;
    c = may_reuse ? pool_take(a->pool, NULL, a) : NULL;
    if (c) {
        attempt_count(a, pool_endpoint_of(a->pool, c));
        attempt_reuse(a, c);
        return 0;
    }
    /* Another process that judges is asked once, by who waits, about all of them. */
    if (bounded_count_get(&attempt_breaker(a)->connections) >=
            breaker_limit(&a->limits->n_connections) ||
        breaker_is_deferred(attempt_breaker(a)))
        return CONN_NO_PLACE;
    for (uint32_t i = 0; i < s->n && r == CONN_NO_PLACE; i++) {
        if (bounded_count_get(&s->items[i].state->connections) >=
                breaker_limit(&a->limits->n_endpoint_connections) ||
            !endpoint_set_may_use(s, i, !a->forbids_panic))
            continue;
        attempt_count(a, &s->items[i]);
        r = conn_open(a->pool, a->endpoint, a, a->connect_timeout_us, &a->conn);
    }
    return r;
}

/* It waits for its turn, or is refused. */
static int attempt_wait_for_place(struct attempt *a)
{
    struct pool *p = a->pool;

    attempt_count(a, NULL);
    attempt_leave(a);
    a->waiter = (struct pending_waiter){.home = &p->member,
                                        .limits = a->limits,
                                        .endpoints = endpoint_set_ref(p->endpoints),
                                        .is_fresh_wanted =
                                            (a->is_fresh_wanted && !a->was_refused) ||
                                            p->cluster->transport.proxy, /* another client's */
                                        .may_panic = !a->forbids_panic,
                                        .may_share = pool_may_share(p, a)};
    a->state = ATTEMPT_PENDING;
    if (pending_join(attempt_breaker(a), &a->waiter, a->tenant)) {
        pool_share_on_room(p);
        return 0;
    }
    a->state = ATTEMPT_CONNECTING;
    attempt_end_waiting(a);
    attempt_end(a, ATTEMPT_FAILED, false);
    return ATTEMPT_OVERFLOW;
}

/* Are all connections in use that may be, where as many requests are under way as may be? Where
 * each has a connection of its own, and may have, they are; then it does not matter which of them
 * are known here: another process has some while it judges, and some that are unused may be beyond
 * bounds that have become narrower. */
static bool attempt_has_no_connection(const struct attempt *a)
{
    const struct breaker_limits *l = a->limits;

    if (!pool_may_share(a->pool, a) && breaker_limits_fill_connections(l))
        return true;
    return !a->pool->lists[CONN_OPEN].first &&
           bounded_count_get(&attempt_breaker(a)->connections) >= breaker_limit(&l->n_connections);
}

/* As many are under way as may be. Where there would be a connection for one more it is refused;
 * where those are all in use too it waits for its turn, as it would without that bound. */
static int attempt_on_full(struct attempt *a)
{
    struct breaker *b = attempt_breaker(a);

    if (attempt_has_no_connection(a)) {
        breaker_count_overflow(b, BREAKER_CONNECTIONS);
        return attempt_wait_for_place(a);
    }
    breaker_count_overflow(b, BREAKER_REQUESTS);
    attempt_count(a, NULL);
    return ATTEMPT_OVERFLOW;
}

static void attempt_on_crowded_timeout(struct timer *t)
{
    attempt_connect_again(CONTAINER_OF(t, struct attempt, wait_timer));
}

/* Others close unused connections, if they have any, and then there may be room. */
static int attempt_wait_for_room(struct attempt *a)
{
    struct upstreams *u = a->upstreams;
    uint64_t now_us = u->loop->now.mono_us;
    bool is_first = a->crowded_until_us == 0;

    attempt_count(a, NULL); /* the endpoint has no part in it */
    if (is_first)
        a->crowded_until_us = now_us + CROWDED_US;
    if (now_us >= a->crowded_until_us ||
        (!conn_limit_ask(&u->limit) && !conn_limit_gets_room(&u->limit))) {
        attempt_end(a, ATTEMPT_FAILED, false);
        return ATTEMPT_NO_ROOM;
    }
    a->state = ATTEMPT_CROWDED;
    list_append(&u->crowded, &a->node);
    a->wait_timer.fn = attempt_on_crowded_timeout;
    timer_set(u->loop, &a->wait_timer, a->crowded_until_us);
    conn_limit_join(&u->limit);
    if (is_first)
        wake_post(&u->limit.wake); /* there may have been some just before it was counted */
    return 0;
}

/* By the pool's view as it is now. NULL: there is none to be used. */
static struct endpoint *attempt_pick(struct attempt *a)
{
    struct pick_wish w = attempt_wish(a);

    pool_refresh(a->pool);
    a->pool->forbids_panic = a->forbids_panic;
    return pick_endpoint(a->pool, &w);
}

static int attempt_find_connection(struct attempt *a)
{
    struct conn *c = NULL;
    struct endpoint *e = attempt_pick(a);

    if (!e)
        return ATTEMPT_NO_ENDPOINT;
    attempt_count(a, e);
    if (UNLIKELY(!attempt_enter(a)))
        return attempt_on_full(a);
    /* What gets free is for those who wait. A place that is within its own bounds is not for them,
     * or they would have it. */
    bool may_reuse = !a->limits || !pending_is_any(&attempt_breaker(a)->pending);

    /* A backend that refuses streams because it has too much to do is not to get connections too.
     */
    may_reuse &= !a->is_fresh_wanted || a->was_refused;
    if (may_reuse)
        c = pool_take(a->pool, e, a);
    if (c) {
        attempt_reuse(a, c);
        return 0;
    }
    a->state = ATTEMPT_CONNECTING;
    int r = conn_open(a->pool, e, a, a->connect_timeout_us, &a->conn);

    if (r == CONN_NO_PLACE)
        r = attempt_connect_elsewhere(a, may_reuse);
    if (r == CONN_NO_PLACE) {
        breaker_count_overflow(attempt_breaker(a), BREAKER_CONNECTIONS);
        return attempt_wait_for_place(a);
    }
    if (r == CONN_NO_ROOM)
        return attempt_wait_for_room(a);
    if (r != 0) {
        a->transport_error = -r;
        attempt_end(a, ATTEMPT_FAILED, false);
        return ATTEMPT_CONNECT_FAILED;
    }
    return 0;
}

static int attempt_connect(struct attempt *a)
{
    int r = attempt_find_connection(a);

    if (r == 0 && UNLIKELY(a->pool->cluster->transport.preconnect_percent))
        preconnect_for(a);
    return r;
}

static void attempt_on_name_timeout(struct timer *t)
{
    struct attempt *a = CONTAINER_OF(t, struct attempt, wait_timer);

    attempt_on_broken(a, ATTEMPT_NO_ENDPOINT);
}

static void attempt_wait_for_name(struct attempt *a)
{
    struct loop *l = a->upstreams->loop;

    a->state = ATTEMPT_WAITING_NAME;
    list_append(&a->upstreams->waiting, &a->node);
    a->wait_timer.fn = attempt_on_name_timeout;
    timer_set(l, &a->wait_timer, l->now.mono_us + NAME_POLL_TIMEOUT_US);
}

int attempt_start(struct attempt *a, struct cluster *b, const struct http_request *request,
                  uint64_t connect_timeout_us)
{
    PRE(a->state == ATTEMPT_IDLE || a->state == ATTEMPT_FAILED || a->state == ATTEMPT_DONE);
    a->state = ATTEMPT_IDLE;
    a->pool = upstreams_pool(a->upstreams, b);
    a->request = request;
    a->connect_timeout_us = connect_timeout_us ? connect_timeout_us : UPSTREAM_CONNECT_TIMEOUT_US;
    a->started_us = a->upstreams->loop->now.mono_us;
    a->stays = a->was_stale;
    a->was_stale = false;
    a->n_tried = a->is_fresh_wanted ? a->n_tried + !a->stays : 0;
    a->was_reused = a->has_head = a->is_request_done = a->has_sent_body = false;
    a->is_paused = a->was_full = a->is_raw = a->is_tunnel = false;
    a->stream = NULL;
    a->crowded_until_us = 0;
    a->transport_error = 0;
    a->connected_us = a->sent_us = 0;
    a->is_h2 = false;
    a->tls_version = a->tls_cipher = NULL;
    a->local_text[0] = '\0';
    a->n_interim = 0;
    int r = attempt_connect(a);

    if (r == ATTEMPT_NO_ENDPOINT && a->pool->endpoints->state == ENDPOINTS_PENDING) {
        if (attempt_enter(a)) {
            attempt_wait_for_name(a);
            return 0;
        }
        breaker_count_overflow(attempt_breaker(a), BREAKER_REQUESTS);
        r = ATTEMPT_OVERFLOW;
    }
    if (r != 0) {
        attempt_leave(a);
        a->state = ATTEMPT_FAILED;
    }
    return r;
}

int attempt_foresee(struct attempt *a, struct cluster *b)
{
    a->pool = upstreams_pool(a->upstreams, b);
    return attempt_pick(a) || a->pool->endpoints->state == ENDPOINTS_PENDING ? 0
                                                                             : ATTEMPT_NO_ENDPOINT;
}

void attempt_on_endpoints(struct attempt *a)
{
    pool_refresh(a->pool);
    if (a->pool->endpoints->state != ENDPOINTS_PENDING)
        attempt_connect_again(a);
}

/* It has waited: for a name, for room, or for a connection that turned out not to be for all. */
void attempt_connect_again(struct attempt *a)
{
    int r;

    list_remove(&a->node);
    timer_cancel(a->upstreams->loop, &a->wait_timer);
    attempt_end_crowded(a);
    a->state = ATTEMPT_CONNECTING;
    r = attempt_connect(a);
    if (r != 0)
        attempt_on_broken(a, (enum attempt_failure)r);
    else if (a->state == ATTEMPT_STREAMING)
        a->events->on_ready(a);
}

void attempt_on_served(struct attempt *a, struct conn *c)
{
    PRE(a->state == ATTEMPT_PENDING);
    attempt_end_waiting(a);
    a->is_counted = true; /* the place came with it */
    attempt_count(a, pool_endpoint_of(a->pool, c));
    a->state = ATTEMPT_CONNECTING;
    a->conn = c;
    if (c->state == CONN_CONNECTING) {
        list_append(&c->waiting, &a->node);
        return;
    }
    conn_lease(c, a);
    a->was_reused = true;
    attempt_on_connected(a);
}

/* The names may have changed meanwhile: the place is at one that has gone, perhaps. */
static bool attempt_may_use_place(struct attempt *a)
{
    pool_refresh(a->pool);
    return a->waiter.endpoints == a->pool->endpoints;
}

static void attempt_on_granted(struct attempt *a)
{
    struct endpoint *e = a->waiter.place;

    if (!attempt_may_use_place(a)) {
        breaker_put_connection(attempt_breaker(a), e->state);
        attempt_end_waiting(a);
        attempt_connect_again(a);
        return;
    }
    attempt_end_waiting(a);
    attempt_count(a, e);
    int r = conn_open_placed(a->pool, e, a, a->connect_timeout_us, &a->conn);

    if (r == 0) {
        pool_share_on_room(a->pool); /* others may come along */
        return;
    }
    if (r == CONN_NO_ROOM) {
        if (attempt_wait_for_room(a) != 0)
            attempt_on_broken(a, ATTEMPT_NO_ROOM);
        return;
    }
    a->transport_error = -r;
    attempt_on_broken(a, ATTEMPT_CONNECT_FAILED);
}

void attempt_on_verdict(struct attempt *a)
{
    PRE(a->state == ATTEMPT_PENDING);
    a->state = ATTEMPT_CONNECTING;
    if (a->waiter.verdict == PENDING_GRANTED) {
        a->is_counted = true; /* the place came with it */
        attempt_on_granted(a);
        return;
    }
    attempt_end_waiting(a);
    attempt_on_broken(a, ATTEMPT_OVERFLOW);
}

void attempt_on_connected(struct attempt *a)
{
    attempt_begin_streaming(a);
    a->events->on_ready(a);
}

/* No word against the endpoint: an upgrade that it does not take, or an end while content was to
 * come. A backend has a time for that too, and gives up on clients that take longer. */
static bool attempt_is_clients_doing(const struct attempt *a, enum attempt_failure why)
{
    return why == ATTEMPT_NO_UPGRADE ||
           (why == ATTEMPT_RESET && a->state == ATTEMPT_STREAMING && !a->is_request_done);
}

void attempt_on_broken(struct attempt *a, enum attempt_failure why)
{
    if ((why == ATTEMPT_RESET || why == ATTEMPT_REFUSED) && a->has_head)
        why = ATTEMPT_RESET_MIDWAY;
    a->was_refused = why == ATTEMPT_REFUSED;
    a->was_stale = why == ATTEMPT_RESET && a->was_reused;
    /* After a connect failure the pool has closed the connection already. */
    if (a->state == ATTEMPT_CONNECTING)
        a->conn = NULL;
    if (attempt_is_clients_doing(a, why))
        attempt_count(a, NULL);
    attempt_end(a, ATTEMPT_FAILED, false);
    a->events->on_fail(a, why);
}

void attempt_break_all(struct list *attempts, int transport_error, enum attempt_failure why)
{
    struct list_node *node;

    while ((node = attempts->first)) {
        struct attempt *a = CONTAINER_OF(node, struct attempt, node);

        list_remove(node);
        a->transport_error = transport_error;
        attempt_on_broken(a, why);
    }
}

/* The answer is complete. The connection may serve again only when the request is complete too and
 * nothing stands behind the answer. */
static void attempt_complete(struct attempt *a, bool has_more_bytes)
{
    bool is_reusable = a->is_request_done && a->response.is_keep_alive && !has_more_bytes &&
                       !a->is_raw && a->response.body != HTTP_BODY_UNTIL_CLOSE;

    attempt_end(a, ATTEMPT_DONE, is_reusable);
    a->events->on_end(a);
}

/* Returns whether to go on with the next event. */
static bool attempt_on_event(struct attempt *a, const struct h1_event *event, struct str rest)
{
    switch (event->type) {
    case H1_EVENT_HEAD:
        a->has_head = a->response.status >= 200 || a->response.status == 101;
        if (a->has_head)
            a->events->on_head(a);
        break;
    case H1_EVENT_DATA:
    case H1_EVENT_RAW:
        a->events->on_data(a, event->data);
        break;
    case H1_EVENT_TRAILERS:
        if (a->events->on_trailers)
            a->events->on_trailers(a, &event->trailers);
        break;
    case H1_EVENT_END:
        if (a->has_head) {
            attempt_complete(a, rest.len > 0);
            return false;
        }
        break; /* of an interim response (RFC 9110 15.2) */
    }
    return a->state == ATTEMPT_STREAMING;
}

static bool attempt_may_accept_head(struct attempt *a)
{
    /* Switching protocols that nobody asked to switch would open a tunnel (RFC 9110 15.2.2). */
    if (a->response.status == 101)
        return a->request->upgrade.len > 0;
    /* Each interim head stays in the arena. */
    return a->response.status >= 200 || ++a->n_interim <= LIMIT_INTERIM_HEADS;
}

void attempt_on_bytes(struct attempt *a, struct str *input)
{
    struct conn *c = a->conn;
    struct h1_event event;
    int r;

    for (;;) {
        r = h1_next(&c->codec, input, a->arena, NULL, &a->response, &event);
        if (r == H1_EVENT && event.type == H1_EVENT_HEAD && !attempt_may_accept_head(a))
            r = H1_ERROR;
        if (r != H1_EVENT)
            break;
        if (!attempt_on_event(a, &event, *input) || a->conn != c)
            return;
    }
    if (r == H1_MORE) {
        a->events->on_batch_end(a);
        return;
    }
    a->bad_answer = c->codec.error;
    attempt_on_broken(a, ATTEMPT_BAD_ANSWER);
}

bool attempt_on_stream_head(struct attempt *a, const struct http_response *response)
{
    a->response = *response;
    if (!attempt_may_accept_head(a))
        return false;
    if (response->status < 200 && response->status != 101)
        return true;
    a->has_head = true;
    a->events->on_head(a);
    return true;
}

void attempt_on_stream_end(struct attempt *a, const struct http_headers *trailers)
{
    if (trailers && a->events->on_trailers)
        a->events->on_trailers(a, trailers);
    if (a->state == ATTEMPT_STREAMING)
        attempt_complete(a, false);
}

void attempt_on_eof(struct attempt *a)
{
    struct h1_event event;

    a->response.is_keep_alive = false;
    if (a->is_raw || (a->has_head && h1_eof(&a->conn->codec, &event) == H1_EVENT))
        attempt_complete(a, false);
    else
        attempt_on_broken(a, ATTEMPT_RESET);
}

void attempt_on_room(struct attempt *a)
{
    if (a->was_full && outbox_has_room(&a->conn->out)) {
        a->was_full = false;
        a->events->on_writable(a);
    }
}

void attempt_set_arena(struct attempt *a, struct arena *arena)
{
    a->arena = a->tail = arena;
    if (a->stream)
        conn_h2_set_arenas(a->stream, a);
}

void attempt_send(struct attempt *a, struct str span)
{
    struct outbox *o = &a->conn->out;
    static const char crlf[] = "\r\n";
    struct buf size = {0};
    char text[24];

    PRE(a->state == ATTEMPT_STREAMING);
    if (span.len == 0)
        return;
    a->has_sent_body = true;
    if (a->stream) {
        conn_h2_send(a->stream, span);
        return;
    }
    if (a->is_raw || a->request->body != HTTP_BODY_CHUNKED) {
        outbox_borrow(o, span.ptr, span.len);
        return;
    }
    size = (struct buf){text, 0, sizeof text};
    h1_format_chunk_size(&size, span.len);
    ASSERT(size.ptr == text);
    outbox_copy(o, size.ptr, size.len);
    outbox_borrow(o, span.ptr, span.len);
    outbox_copy(o, crlf, 2);
}

void attempt_send_end(struct attempt *a, const struct http_headers *trailers)
{
    PRE(a->state == ATTEMPT_STREAMING);
    a->is_request_done = true;
    a->sent_us = a->upstreams->loop->now.mono_us;
    if (a->stream) {
        if (a->request->upgrade.len == 0) /* else what follows the head is the other protocol's */
            conn_h2_send_end(a->stream, trailers);
        return;
    }
    if (a->request->body != HTTP_BODY_CHUNKED || a->is_raw)
        return;
    struct outbox *o = &a->conn->out;

    if (o->n_borrowed > 0 && (!trailers || trailers->n == 0)) {
        outbox_copy(o, "0\r\n\r\n", 5);
        return;
    }
    if (o->n_borrowed > 0)
        attempt_flush(a);
    if (a->conn)
        h1_format_last_chunk(outbox_held(&a->conn->out), trailers);
}

void attempt_flush(struct attempt *a)
{
    if (a->state != ATTEMPT_STREAMING || a->stream || outbox_is_empty(&a->conn->out))
        return; /* streams of one connection are flushed together at the end of the turn */
    /* A connection that is used again is read once more in this turn before anything is sent. */
    bool may_wait = loop_is_busy(a->upstreams->loop) || a->conn->is_unsent;

    if (!a->was_full && may_wait && outbox_wait(&a->conn->out)) {
        conn_flush_later(a->conn);
        return;
    }
    conn_flush(a->conn);
    attempt_on_room(a);
}

bool attempt_is_full(struct attempt *a)
{
    if (a->state == ATTEMPT_STREAMING && a->stream)
        return conn_h2_is_full(a->stream);
    if (a->state != ATTEMPT_STREAMING || !outbox_is_full(&a->conn->out))
        return false;
    a->was_full = true;
    return true;
}

size_t attempt_n_untaken(const struct attempt *a)
{
    if (a->state != ATTEMPT_STREAMING)
        return 0;
    if (a->stream)
        return a->stream->codec.h2 ? h2_n_pending(&a->stream->codec) : 0;
    return a->conn->out.held.len;
}

void attempt_pause(struct attempt *a)
{
    if (a->is_paused || !a->conn)
        return;
    a->is_paused = true;
    if (a->stream)
        return; /* its window stays as it is; the others of the connection go on */
    stream_want(&a->conn->stream, outbox_is_empty(&a->conn->out) ? 0 : LOOP_WRITE);
}

void attempt_resume(struct attempt *a)
{
    if (!a->is_paused)
        return;
    a->is_paused = false;
    if (a->stream)
        conn_h2_resume(a->stream);
    else if (a->conn)
        stream_want(&a->conn->stream,
                    LOOP_READ | (outbox_is_empty(&a->conn->out) ? 0 : LOOP_WRITE));
}

void attempt_set_raw(struct attempt *a)
{
    a->is_raw = true;
    if (!a->stream)
        h1_set_raw(&a->conn->codec);
}

void attempt_shutdown(struct attempt *a)
{
    PRE(a->state == ATTEMPT_STREAMING && a->is_raw);
    if (a->stream) {
        conn_h2_send_end(a->stream, NULL);
        return;
    }
    a->conn->ends_output = true;
    conn_flush(a->conn);
}

void attempt_cancel(struct attempt *a)
{
    if (a->state == ATTEMPT_IDLE || a->state == ATTEMPT_DONE || a->state == ATTEMPT_FAILED)
        return;
    attempt_end(a, ATTEMPT_IDLE, false);
}
