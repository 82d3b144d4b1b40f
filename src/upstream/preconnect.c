/* See preconnect.h. As Envoy: three at a time at most, and none ahead of those who wait for a
 * place. */
#include "upstream/preconnect.h"

#include "upstream/attempt.h"
#include "upstream/conn_h2.h"
#include "upstream/pool_share.h"

enum { PRECONNECT_AT_ONCE = 3, PERCENT = 100 };

bool preconnect_is_spare(const struct conn *c)
{
    return c->state == CONN_CONNECTING && !c->attempt && c->waiting.n_nodes == 0;
}

/* Requests that ask for an upgrade have connections of their own. */
static bool preconnect_is_for(const struct attempt *a)
{
    return a->request->upgrade.len == 0;
}

/* To one endpoint. */
struct preconnect_count {
    uint64_t n_streams; /* under way, or waiting for their connection */
    uint64_t n_places;  /* for them and others */
};

static void preconnect_count_conn(const struct conn *c, bool is_shared,
                                  struct preconnect_count *ret)
{
    uint64_t n = c->h2 ? c->h2->streams.n_nodes : c->attempt != NULL;

    if (c->state == CONN_CONNECTING) {
        n = c->attempt ? 1 : c->waiting.n_nodes;
        ret->n_places += is_shared ? MAX(c->pool->n_streams, n) : 1;
    } else {
        ret->n_places += c->h2 ? n + h2_n_free(&c->h2->codec) : 1;
    }
    ret->n_streams += n;
}

static struct preconnect_count preconnect_count(const struct pool *p, const struct endpoint *e,
                                                bool is_shared)
{
    static const enum conn_state states[] = {CONN_CONNECTING, CONN_OPEN, CONN_FULL};
    struct preconnect_count n = {0};

    for (size_t i = 0; i < N_ELEMENTS(states); i++) {
        LIST_FOREACH (&p->lists[states[i]], node) {
            const struct conn *c = CONTAINER_OF(node, struct conn, node);

            if (strcmp(c->endpoint->text, e->text) == 0)
                preconnect_count_conn(c, is_shared, &n);
        }
    }
    return n;
}

void preconnect_for(const struct attempt *a)
{
    struct pool *p = a->pool;
    uint32_t percent = p->cluster->transport.preconnect_percent;
    bool is_shared = pool_may_share(p, a) && !p->speaks_http1;
    struct preconnect_count n;

    if (!a->endpoint || !preconnect_is_for(a) || pending_is_any(&pool_breaker(p)->pending))
        return;
    n = preconnect_count(p, a->endpoint, is_shared);
    for (int i = 0; i < PRECONNECT_AT_ONCE && n.n_streams * percent > n.n_places * PERCENT; i++) {
        if (conn_open_spare(p, a->endpoint, a) != 0)
            return; /* the request itself has one, or is told of what is wrong */
        n.n_places += is_shared ? p->n_streams : 1;
    }
}

struct conn *preconnect_take(struct pool *p, const struct endpoint *e, struct attempt *a,
                             uint64_t until_us)
{
    if (!preconnect_is_for(a))
        return NULL;
    LIST_FOREACH (&p->lists[CONN_CONNECTING], node) {
        struct conn *c = CONTAINER_OF(node, struct conn, node);

        if (!preconnect_is_spare(c) || c->timer.due_us > until_us ||
            strcmp(c->endpoint->text, e->text) != 0)
            continue;
        if (pool_may_share(p, a))
            list_append(&c->waiting, &a->node);
        else
            c->attempt = a;
        return c;
    }
    return NULL;
}

void preconnect_on_open(struct conn *c)
{
    struct pool *p = c->pool;

    timer_cancel(p->upstreams->loop, &c->timer);
    p->speaks_http1 = true;
    if (p->lists[CONN_OPEN].n_nodes >= UPSTREAM_IDLE_PER_CLUSTER) {
        conn_close(c);
        return;
    }
    stream_want(&c->stream, LOOP_READ);
    conn_move(c, CONN_OPEN);
    pool_share_on_idle(p);
}
