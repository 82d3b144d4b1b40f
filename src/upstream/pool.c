/* Pools and their connections (conn.h): opening, leasing, returning, sweeping, and for HTTP/1.1
 * moving bytes between socket and attempt (for HTTP/2: conn_h2.c). Which of them an endpoint speaks
 * its cluster says, or is negotiated: then attempts wait together for the outcome, and if it is
 * HTTP/1.1 all but the first go on to connections of their own. A connection is never freed in its
 * own callback: conn_close retires it. */
#include "upstream/pool.h"

#include <errno.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/socket.h"
#include "upstream/attempt_internal.h"
#include "upstream/balance/pick.h"
#include "upstream/conn_h2.h"
#include "upstream/conn_proxy.h"
#include "upstream/health/usable.h"
#include "upstream/pool_share.h"
#include "upstream/preconnect.h"

enum { SWEEP_US = 5 * 1000000 };

static void conn_on_event(struct stream *s, unsigned events);

/* The one place that changes a connection's state. */
void conn_move(struct conn *c, enum conn_state to)
{
    static const bool allowed[CONN_CLOSED + 1][CONN_CLOSED + 1] = {
        [CONN_CONNECTING] = {[CONN_OPEN] = true, [CONN_FULL] = true, [CONN_CLOSED] = true},
        [CONN_OPEN] = {[CONN_FULL] = true, [CONN_DRAINING] = true, [CONN_CLOSED] = true},
        [CONN_FULL] = {[CONN_OPEN] = true, [CONN_DRAINING] = true, [CONN_CLOSED] = true},
        [CONN_DRAINING] = {[CONN_OPEN] = true, [CONN_CLOSED] = true},
    };

    bool was_open = c->state == CONN_OPEN;

    ASSERT(allowed[c->state][to]);
    c->state = to;
    if (to == CONN_CLOSED) {
        list_remove(&c->node);
    } else {
        list_move(&c->pool->lists[to], &c->node);
    }
    if (was_open || to == CONN_OPEN)
        pool_share_note_idle(c->pool);
}

void pool_refresh(struct pool *p)
{
    uint32_t version = atomic_load_explicit(&p->cluster->version, memory_order_acquire);

    if (LIKELY(version == p->version))
        return;
    p->version = version;
    endpoint_set_unref(p->endpoints);
    p->endpoints = cluster_endpoints(p->cluster);
}

static struct pool *pool_new(struct upstreams *u, struct cluster *b)
{
    struct pool *p = MEM_NEW(struct pool);

    p->upstreams = u;
    p->cluster = cluster_observe(b);
    p->pick = pick_new(&u->random);
    p->n_streams = b->http2.n_streams_max ? b->http2.n_streams_max : (uint32_t)LIMIT_H2_STREAMS;
    pool_refresh(p);
    pool_share_init(p);
    return p;
}

struct pool *upstreams_pool(struct upstreams *u, struct cluster *b)
{
    if (UNLIKELY(b->id >= u->n_pools)) {
        uint32_t n = MAX(b->id + 1, u->n_pools * 2);

        u->pools = mem_realloc(u->pools, n * sizeof(struct pool *));
        memset(u->pools + u->n_pools, 0, (n - u->n_pools) * sizeof(struct pool *));
        u->n_pools = n;
    }
    if (UNLIKELY(!u->pools[b->id]))
        u->pools[b->id] = pool_new(u, b);
    return u->pools[b->id];
}

static bool conn_is_expired(const struct conn *c, uint64_t now_us)
{
    if (c->h2 && conn_h2_is_busy(c))
        return false;
    return conn_is_old(c, now_us) || now_us - c->idle_since_us >= c->idle_us;
}

struct endpoint *pool_endpoint_of(const struct pool *p, const struct conn *c)
{
    if (c->endpoints == p->endpoints)
        return c->endpoint;
    for (uint32_t i = 0; i < p->endpoints->n; i++) {
        if (strcmp(p->endpoints->items[i].text, c->endpoint->text) == 0)
            return &p->endpoints->items[i];
    }
    return NULL;
}

/* What is negotiated is HTTP/1.1 for an upgrade, since few backends take those over HTTP/2. */
bool pool_may_share(const struct pool *p, const struct attempt *a)
{
    if (p->cluster->protocol == CLUSTER_NEGOTIATED)
        return a->request->upgrade.len == 0;
    return p->cluster->protocol == CLUSTER_HTTP2;
}

/* Its endpoint is one of the pool's, and well enough. */
static bool pool_may_use(struct pool *p, const struct conn *c)
{
    const struct endpoint *e = pool_endpoint_of(p, c);

    return e && endpoint_set_may_use(p->endpoints, (uint32_t)(e - p->endpoints->items),
                                     !p->forbids_panic);
}

struct conn *pool_take(struct pool *p, struct endpoint *e, struct attempt *a)
{
    uint64_t now_us = p->upstreams->loop->now.mono_us;
    struct list_node *before;

    /* Newest first: it is the least likely to have been closed meanwhile. */
    for (struct list_node *node = p->lists[CONN_OPEN].last; node; node = before) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);

        before = node->prev;
        if (e ? c->endpoint != e && strcmp(c->endpoint->text, e->text) != 0 : !pool_may_use(p, c))
            continue;
        if ((c->h2 && !pool_may_share(p, a)) || !conn_proxy_may_carry(c, a))
            continue;
        if (c->h2 && conn_h2_is_busy(c) && conn_is_old(c, now_us))
            continue; /* it is about to drain */
        if (conn_is_expired(c, now_us)) {
            conn_close(c); /* the sweep has not come by yet */
            continue;
        }
        conn_lease(c, a);
        return c;
    }
    return NULL;
}

void conn_lease(struct conn *c, struct attempt *a)
{
    if (c->h2)
        return;
    conn_move(c, CONN_FULL);
    c->attempt = a;
    c->is_unsent = true;
}

/* One that others wait for, has room for `a`, too, and gives up before it would. */
static struct conn *pool_find_connecting(const struct pool *p, const struct endpoint *e,
                                         const struct attempt *a, uint64_t until_us)
{
    LIST_FOREACH (&p->lists[CONN_CONNECTING], node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);

        if (c->waiting.n_nodes > 0 && c->waiting.n_nodes < p->n_streams &&
            c->timer.due_us <= until_us && conn_proxy_may_carry(c, a) &&
            strcmp(c->endpoint->text, e->text) == 0)
            return c;
    }
    return NULL;
}

/* No connection came of it. */
static void conn_fail(struct conn *c, int transport_error, enum attempt_failure why)
{
    struct attempt *a = c->attempt;

    c->attempt = NULL;
    conn_close(c);
    if (a) {
        a->transport_error = transport_error;
        attempt_on_broken(a, why);
    }
    attempt_break_all(&c->waiting, transport_error, why);
}

static void conn_on_timeout(struct timer *t)
{
    conn_fail(CONTAINER_OF(t, struct conn, timer), ETIMEDOUT, ATTEMPT_CONNECT_TIMEOUT);
}

/* Which protocols are offered: none where HTTP/1.1 is all that is spoken, as ever. */
static void conn_offer(struct conn *c, const struct attempt *a)
{
    enum cluster_protocol protocol = c->pool->cluster->protocol;

    if (!c->pool->cluster->tls || protocol == CLUSTER_HTTP1)
        return;
    if (protocol == CLUSTER_HTTP2)
        stream_offer(&c->stream, STR("\x02h2"));
    else if (a->request->upgrade.len > 0)
        stream_offer(&c->stream, STR("\x08http/1.1"));
    else
        stream_offer(&c->stream, STR("\x02h2\x08http/1.1"));
}

static void pool_put_place(struct pool *p, struct endpoint *e)
{
    if (!p->upstreams->is_uncounted)
        breaker_put_connection(pool_breaker(p), e->state);
}

/* One more of all workers' together. What is unused makes room. */
static bool conn_take_room(struct upstreams *u)
{
    while (!conn_limit_take(&u->limit)) {
        if (!pool_share_close_oldest(u))
            return false;
    }
    return true;
}

/* Without a descriptor it is as without a place: nothing is wrong with the endpoint. */
static int conn_connect(struct conn *c, struct upstreams *u, const struct stream_target *to)
{
    int r;

    if (!conn_take_room(u))
        return CONN_NO_ROOM;
    do {
        r = stream_open_connect(&c->stream, u->loop, to, conn_on_event);
    } while (stream_lacks_descriptor(r) && pool_share_close_oldest(u));
    if (stream_lacks_descriptor(r)) {
        conn_limit_put_unused(&u->limit);
        return CONN_NO_ROOM;
    }
    if (r != 0) {
        conn_limit_begin_closing(&u->limit);
        conn_limit_put(&u->limit);
    }
    return r;
}

/* Its place was taken before, and goes if there is no connection. */
static int conn_new(struct pool *p, struct endpoint *e, const struct attempt *a,
                    uint64_t connect_timeout_us, struct conn **ret_conn)
{
    static const struct h1_options options = {.is_client = true, .allows_underscore = true};
    struct upstreams *u = p->upstreams;
    const struct cluster_transport *t = &p->cluster->transport;
    struct conn *c = MEM_NEW(struct conn);

    c->proxy = t->proxy ? conn_proxy_new(t->proxy, a) : NULL;
    const struct stream_target to = {.address = (const struct sockaddr *)&e->address,
                                     .address_len = e->address_len,
                                     .tls = p->cluster->tls,
                                     .server_name = p->cluster->server_name,
                                     .preface = c->proxy ? &c->proxy->header : NULL,
                                     .options = &t->socket};
    int r = conn_connect(c, u, &to);

    if (r != 0) {
        pool_put_place(p, e);
        mem_free(c->proxy);
        mem_free(c);
        return r;
    }
    h1_init(&c->codec, &options);
    outbox_init(&c->out, u->outboxes, &c->stream);
    if (t->buffer_bytes)
        c->out.high = t->buffer_bytes;
    c->opened_us = u->loop->now.mono_us;
    c->pool = p;
    c->endpoints = endpoint_set_ref(p->endpoints);
    c->endpoint = e;
    c->state = CONN_CONNECTING;
    list_append(&p->lists[CONN_CONNECTING], &c->node);
    c->timer.fn = conn_on_timeout;
    timer_set(u->loop, &c->timer, u->loop->now.mono_us + connect_timeout_us);
    *ret_conn = c;
    return 0;
}

int conn_open(struct pool *p, struct endpoint *e, struct attempt *a, uint64_t connect_timeout_us,
              struct conn **ret_conn)
{
    bool may_share = pool_may_share(p, a);
    struct conn *c = NULL;

    if (UNLIKELY(p->cluster->transport.preconnect_percent)) {
        *ret_conn = preconnect_take(p, e, a, p->upstreams->loop->now.mono_us + connect_timeout_us);
        if (*ret_conn)
            return 0;
    }
    if (may_share && !p->speaks_http1)
        c = pool_find_connecting(p, e, a, p->upstreams->loop->now.mono_us + connect_timeout_us);
    if (!c) {
        if (!p->upstreams->is_uncounted &&
            !breaker_take_connection(pool_breaker(p), e->state, a->limits))
            return CONN_NO_PLACE;
        return conn_open_placed(p, e, a, connect_timeout_us, ret_conn);
    }
    list_append(&c->waiting, &a->node);
    *ret_conn = c;
    return 0;
}

int conn_open_placed(struct pool *p, struct endpoint *e, struct attempt *a,
                     uint64_t connect_timeout_us, struct conn **ret_conn)
{
    struct conn *c;
    int r = conn_new(p, e, a, connect_timeout_us, &c);

    if (r != 0)
        return r;
    conn_offer(c, a);
    if (pool_may_share(p, a))
        list_append(&c->waiting, &a->node);
    else
        c->attempt = a;
    *ret_conn = c;
    return 0;
}

int conn_open_spare(struct pool *p, struct endpoint *e, const struct attempt *a)
{
    struct conn *c;
    int r;

    if (!p->upstreams->is_uncounted &&
        !breaker_take_connection(pool_breaker(p), e->state, a->limits))
        return CONN_NO_PLACE;
    r = conn_new(p, e, a, a->connect_timeout_us, &c);
    if (r != 0)
        return r;
    conn_offer(c, a);
    c->idle_us = a->idle_us ? a->idle_us : UPSTREAM_IDLE_US;
    c->idle_since_us = c->opened_us;
    return 0;
}

static void conn_free(struct deferred *d)
{
    struct conn *c = CONTAINER_OF(d, struct conn, retire);

    buf_deinit(&c->in);
    conn_h2_free(c->h2);
    mem_free(c->proxy);
    endpoint_set_unref(c->endpoints);
    mem_free(c);
}

void conn_close(struct conn *c)
{
    struct loop *l = c->pool->upstreams->loop;

    if (c->state == CONN_CLOSED)
        return;
    if (c->h2)
        conn_h2_on_close(c);
    if (!c->is_unsent) /* else its attempt may be made elsewhere, and nobody is to have both */
        outbox_flush_last(&c->out, &c->flush);
    conn_limit_begin_closing(&c->pool->upstreams->limit);
    conn_move(c, CONN_CLOSED);
    timer_cancel(l, &c->timer);
    list_remove(&c->flush.node);
    outbox_deinit(&c->out); /* now: what it borrowed ends with this turn's reader */
    stream_close(&c->stream, c->is_abort);
    if (c->is_yielding)
        pool_share_end_yielding(c);
    if (c->is_leaving)
        bounded_count_put(&pool_breaker(c->pool)->leaving);
    /* Not before it is closed: the backend is to see no more of them than the bound. */
    pool_put_place(c->pool, c->endpoint);
    conn_limit_put(&c->pool->upstreams->limit);
    loop_retire(l, &c->retire, conn_free);
}

bool conn_is_old(const struct conn *c, uint64_t now_us)
{
    uint64_t age_us = c->pool->cluster->transport.age_us;

    return age_us && now_us - c->opened_us >= age_us;
}

void conn_count_served(struct conn *c, const struct attempt *a)
{
    uint32_t limit = a && a->limits ? breaker_limit(&a->limits->n_served) : 0;

    c->n_served++;
    c->is_spent = c->is_leaving || (limit > 0 && c->n_served >= limit);
}

/* By how many there are more than the bounds allow, which were wider once, or are for others. */
static uint32_t conn_n_beyond(const struct conn *c, const struct attempt *a)
{
    const struct breaker_limits *l = a ? a->limits : NULL;
    uint32_t n, n_endpoint, limit, endpoint_limit;

    if (!l)
        return 0;
    limit = breaker_limit(&l->n_connections);
    endpoint_limit = breaker_limit(&l->n_endpoint_connections);
    n = bounded_count_get(&pool_breaker(c->pool)->connections);
    n_endpoint = bounded_count_get(&c->endpoint->state->connections);
    return MAX(n - MIN(n, limit), n_endpoint - MIN(n_endpoint, endpoint_limit));
}

void conn_leave_if_beyond(struct conn *c, const struct attempt *a)
{
    uint32_t n = conn_n_beyond(c, a);

    /* Others that end already, if only after their streams, are as good as gone. */
    if (LIKELY(n == 0) || c->is_leaving || !bounded_count_take(&pool_breaker(c->pool)->leaving, n))
        return;
    c->is_leaving = c->is_spent = true;
}

void conn_put(struct conn *c, bool is_reusable)
{
    if (c->state == CONN_CONNECTING ? c->waiting.n_nodes > 0 : c->h2 != NULL)
        return; /* others wait for it, or have it */
    c->idle_us = c->attempt && c->attempt->idle_us ? c->attempt->idle_us : UPSTREAM_IDLE_US;
    conn_count_served(c, c->attempt);
    is_reusable &= conn_n_beyond(c, c->attempt) == 0;
    c->attempt = NULL;
    is_reusable &= !c->is_spent && !conn_is_old(c, c->pool->upstreams->loop->now.mono_us);
    if (is_reusable && outbox_is_empty(&c->out) &&
        c->pool->lists[CONN_OPEN].n_nodes < UPSTREAM_IDLE_PER_CLUSTER) {
        c->idle_since_us = c->pool->upstreams->loop->now.mono_us;
        stream_want(&c->stream, LOOP_READ);
        conn_move(c, CONN_OPEN);
        pool_share_on_idle(c->pool);
        return;
    }
    conn_close(c);
}

void conn_flush(struct conn *c)
{
    unsigned read = c->attempt && c->attempt->is_paused ? 0 : LOOP_READ;

    list_remove(&c->flush.node);
    c->is_unsent = false;
    /* A broken connection is noticed by its next read: what the upstream answered before it closed
     * (an early refusal, say) must still be read. */
    if (outbox_flush(&c->out) != 0) {
        stream_break(&c->stream);
        read = LOOP_READ;
    }
    if (c->ends_output && outbox_is_empty(&c->out)) {
        c->ends_output = false;
        stream_shutdown(&c->stream);
    }
    stream_want(&c->stream, read | (outbox_is_empty(&c->out) ? 0 : LOOP_WRITE));
}

static void conn_on_flush(struct deferred *d)
{
    struct conn *c = CONTAINER_OF(d, struct conn, flush);

    if (c->h2)
        conn_h2_flush(c);
    else if (c->state == CONN_FULL)
        conn_flush(c);
}

void conn_flush_later(struct conn *c)
{
    loop_defer(c->pool->upstreams->loop, &c->flush, conn_on_flush);
}

/* The end of the stream, a reset, or bytes that nobody asked for: this connection is over. */
static void conn_on_lost(struct conn *c)
{
    struct attempt *a = c->attempt;

    if (!a) {
        conn_close(c);
        return;
    }
    a->transport_error = c->stream.error;
    attempt_on_broken(a, ATTEMPT_RESET);
}

/* Bytes in hand: kept ones first. What the codec leaves is an incomplete head, chunk line or
 * nothing. Bytes that were there before the request was sent answer something else (another one's
 * second answer, a farewell to an idle client): it was no connection to use again. */
static void conn_read(struct conn *c)
{
    struct upstreams *u = c->pool->upstreams;
    size_t n = 0;
    int r = stream_recv(&c->stream, u->scratch, u->scratch_bytes, &n);

    if (r == STREAM_AGAIN)
        return;
    if (r == 0 && c->attempt && LIKELY(!c->is_unsent)) {
        struct str input = str_make(u->scratch, n);
        bool is_kept = c->in.len > 0;

        if (is_kept) {
            buf_append(&c->in, u->scratch, n);
            input = buf_str(&c->in);
        }
        attempt_on_bytes(c->attempt, &input);
        if (c->state == CONN_CLOSED)
            return;
        if (is_kept)
            buf_consume(&c->in, c->in.len - input.len);
        else
            buf_append(&c->in, input.ptr, input.len);
        if (c->in.len == 0)
            buf_deinit(&c->in);
        return;
    }
    if (c->attempt && r == STREAM_EOF)
        attempt_on_eof(c->attempt);
    else
        conn_on_lost(c);
}

/* HTTP/1.1 it is: the first may have it, the others go on as if they had not waited. */
static void conn_begin_http1(struct conn *c)
{
    struct list_node *node;

    timer_cancel(c->pool->upstreams->loop, &c->timer);
    conn_move(c, CONN_FULL);
    if (!c->attempt) {
        c->pool->speaks_http1 = true;
        c->attempt = CONTAINER_OF(c->waiting.first, struct attempt, node);
        list_remove(&c->attempt->node);
    }
    LIST_FOREACH (&c->waiting, other)
        CONTAINER_OF(other, struct attempt, node)->conn = NULL;
    while ((node = c->waiting.first))
        attempt_connect_again(CONTAINER_OF(node, struct attempt, node));
    if (c->attempt) /* the others may have ended it */
        attempt_on_connected(c->attempt);
}

static void conn_on_ready(struct conn *c)
{
    const struct cluster *cluster = c->pool->cluster;
    bool is_h2 = cluster->tls ? strcmp(stream_alpn(&c->stream), "h2") == 0
                              : cluster->protocol == CLUSTER_HTTP2;

    socket_format_local(c->stream.io.fd, c->local_text, sizeof c->local_text);
    if (is_h2 && !c->attempt) {
        c->pool->speaks_http1 = false;
        if (!conn_h2_begin(c))
            conn_fail(c, ENOMEM, ATTEMPT_CONNECT_FAILED);
    } else if (cluster->protocol == CLUSTER_HTTP2) {
        conn_fail(c, EPROTO, ATTEMPT_CONNECT_FAILED); /* it has not agreed to HTTP/2 */
    } else if (preconnect_is_spare(c)) {
        preconnect_on_open(c);
    } else {
        conn_begin_http1(c);
    }
}

static void conn_on_event(struct stream *s, unsigned events)
{
    struct conn *c = CONTAINER_OF(s, struct conn, stream);

    if (c->h2) {
        conn_h2_on_event(c, events);
        return;
    }
    if (c->state == CONN_CONNECTING) {
        if (events & STREAM_READY)
            conn_on_ready(c);
        else if (events & LOOP_HANGUP)
            conn_fail(c, c->stream.error, ATTEMPT_CONNECT_FAILED);
        return;
    }
    if ((events & LOOP_WRITE) && c->state == CONN_FULL) {
        conn_flush(c);
        attempt_on_room(c->attempt);
    }
    if (c->state == CONN_CLOSED)
        return;
    bool is_paused = c->attempt && c->attempt->is_paused;

    if ((events & LOOP_READ) && !is_paused)
        conn_read(c);
    else if (events & LOOP_HANGUP)
        conn_on_lost(c);
}

static void pool_sweep(struct pool *p, uint64_t now_us)
{
    LIST_FOREACH (&p->lists[CONN_OPEN], node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);

        if (conn_is_expired(c, now_us))
            conn_close(c);
    }
    pool_share_on_idle(p);
}

static void pool_free(struct pool *p)
{
    for (int state = 0; state < CONN_CLOSED; state++) {
        LIST_FOREACH (&p->lists[state], node)
            conn_close(CONTAINER_OF(node, struct conn, node));
    }
    pool_share_deinit(p);
    endpoint_set_unref(p->endpoints);
    pick_free(p->pick);
    cluster_unobserve(p->cluster);
    mem_free(p);
}

static bool pool_is_orphan(const struct pool *p)
{
    for (int state = 0; state < CONN_CLOSED; state++) {
        if (p->lists[state].n_nodes > 0 && state != CONN_OPEN)
            return false;
    }
    LIST_FOREACH (&p->lists[CONN_OPEN], node) {
        const struct conn *c = CONTAINER_OF(node, struct conn, node);

        if (c->h2 && conn_h2_is_busy(c))
            return false;
    }
    /* Only observers hold it: no snapshot routes there any more. */
    return !cluster_is_in_use(p->cluster);
}

static void upstreams_on_sweep(struct timer *t)
{
    struct upstreams *u = CONTAINER_OF(t, struct upstreams, sweep);

    for (uint32_t i = 0; i < u->n_pools; i++) {
        struct pool *p = u->pools[i];

        if (!p)
            continue;
        pool_sweep(p, u->loop->now.mono_us);
        if (pool_is_orphan(p)) {
            u->pools[i] = NULL;
            pool_free(p);
        }
    }
    timer_set(u->loop, t, u->loop->now.mono_us + SWEEP_US);
}

static void upstreams_on_endpoints(struct wake *w)
{
    struct upstreams *u = CONTAINER_OF(w, struct upstreams, endpoints_changed);

    LIST_FOREACH (&u->waiting, node)
        attempt_on_endpoints(CONTAINER_OF(node, struct attempt, node));
}

void upstreams_init(struct upstreams *u, struct loop *l, struct outbox_pool *outboxes,
                    char *scratch, size_t scratch_bytes)
{
    *u = (struct upstreams){
        .loop = l, .outboxes = outboxes, .scratch = scratch, .scratch_bytes = scratch_bytes};
    random_init(&u->random);
    wake_init(&u->endpoints_changed, l, upstreams_on_endpoints);
    wake_init(&u->pending_news, l, pool_share_on_news);
    wake_init(&u->limit.wake, l, pool_share_on_limit);
    u->sweep.fn = upstreams_on_sweep;
    timer_set(l, &u->sweep, l->now.mono_us + SWEEP_US);
}

void upstreams_deinit(struct upstreams *u)
{
    if (!u->loop)
        return;
    timer_cancel(u->loop, &u->sweep);
    for (uint32_t i = 0; i < u->n_pools; i++) {
        if (u->pools[i])
            pool_free(u->pools[i]);
    }
    conn_limit_remove_member(&u->limit);
    mem_free(u->pools);
    u->pools = NULL;
    u->n_pools = 0;
}

size_t upstreams_count(const struct upstreams *u, enum conn_state state)
{
    size_t n = 0;

    for (uint32_t i = 0; i < u->n_pools; i++)
        n += u->pools[i] ? u->pools[i]->lists[state].n_nodes : 0;
    return n;
}

static void pool_close_idle(struct pool *p, size_t n)
{
    LIST_FOREACH (&p->lists[CONN_OPEN], node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);

        if (n == 0)
            return;
        if (c->h2 && conn_h2_is_busy(c))
            continue;
        conn_close(c);
        n--;
    }
}

void upstreams_close_idle(struct upstreams *u, size_t part)
{
    for (uint32_t i = 0; i < u->n_pools; i++) {
        if (u->pools[i])
            pool_close_idle(u->pools[i], (u->pools[i]->lists[CONN_OPEN].n_nodes + part - 1) / part);
    }
}

void upstreams_keep_no_idle(struct upstreams *u)
{
    u->keeps_no_idle = true;
    upstreams_close_idle(u, 1);
}
