/* A worker gives way. Idle connections are found by looking through all of them, which costs
 * something only here: an order by idleness would cost something with every request. */
#include "gateway/overload/overload.h"

#include <poll.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "gateway/arrival/arrival.h"
#include "gateway/client.h"
#include "gateway/h2/client_h2.h"
#include "gateway/h2/client_stream.h"
#include "gateway/server.h"
#include "gateway/worker.h"

enum {
    SHED_PART = 4,            /* of the idle ones close at once, a quarter */
    SHED_IDLE_US = 100000,    /* whoever was just served may be about to ask again */
    SHED_SILENT_US = 1000000, /* and whoever has just come, to ask at all */
};

struct idle_client {
    struct client *client;
    uint64_t since_us;
};

/* ---- idle connections ---- */

static bool client_is_idle(const struct client *c)
{
    if (c->state != CLIENT_OPEN || !c->stream.is_ready || c->down.exchange)
        return false;
    return c->h2 ? !c->h2->streams.first : c->phase == CLIENT_IDLE && c->in.len == 0;
}

static uint64_t client_idle_since_us(const struct client *c)
{
    if (c->h2)
        return c->h2->heard_us;
    /* Before its first request it has the time of a head. */
    return c->timer.due_us - (c->has_served ? c->idle_us : c->head_us);
}

static int shed_compare(const void *a, const void *b)
{
    uint64_t x = ((const struct idle_client *)a)->since_us;
    uint64_t y = ((const struct idle_client *)b)->since_us;

    return x < y ? -1 : x > y;
}

static bool shed_may_close(const struct client *c)
{
    uint64_t now_us = c->worker->loop.now.mono_us;

    return client_is_idle(c) && now_us - client_idle_since_us(c) >=
                                    (c->has_served ? SHED_IDLE_US : (uint64_t)SHED_SILENT_US);
}

void overload_show(struct worker *w)
{
    static const char *const words[] = {"refused_connection", "arriving_connection",
                                        "idle_connection", "largest_connection"};

    for (size_t i = 0; i < N_ELEMENTS(words); i++)
        (void)METRICS_SERIES(w->metrics, METRIC_SHED, str_of(words[i]));
}

/* Closes those that are idle the longest; answers how many. */
static size_t shed_idle(struct worker *w)
{
    struct idle_client *idle = mem_alloc((w->clients.n_nodes + 1) * sizeof idle[0]);
    size_t n_idle = 0;
    size_t n;

    LIST_FOREACH (&w->clients, node) {
        struct client *c = CONTAINER_OF(node, struct client, node);

        if (shed_may_close(c))
            idle[n_idle++] = (struct idle_client){c, client_idle_since_us(c)};
    }
    qsort(idle, n_idle, sizeof idle[0], shed_compare);
    n = (n_idle + SHED_PART - 1) / SHED_PART;
    for (size_t i = 0; i < n; i++)
        client_close(idle[i].client);
    mem_free(idle);
    metric_add(METRICS_SERIES(w->metrics, METRIC_SHED, STR("idle_connection")), n);
    return n;
}

static size_t shed_one_kind(struct worker *w)
{
    size_t n = arrival_shed(w);

    return n > 0 ? n : shed_idle(w);
}

/* ---- who holds the most ---- */

/* Content that waits for its backend to take it, or for the rest that its client has still to send.
 * What is kept only because another try may need it waits for nobody. */
static uint64_t exchange_held_bytes(const struct exchange *x)
{
    bool is_given = x->gate.state == GATE_WHOLE && x->attempt.is_request_done;

    return (is_given ? 0 : x->pipe.len) + attempt_n_untaken(&x->attempt);
}

/* Bytes that are kept for it or for its backends because one of them does not take them. */
static uint64_t client_held_bytes(const struct client *c)
{
    uint64_t n = c->in.len + c->out.held.len;

    if (c->down.exchange)
        n += exchange_held_bytes(c->down.exchange);
    for (struct list_node *node = c->h2 ? c->h2->streams.first : NULL; node; node = node->next) {
        const struct client_stream *t = CONTAINER_OF(node, struct client_stream, node);

        n += h2_n_pending(&t->stream) + t->held.len;
        if (t->down.exchange)
            n += exchange_held_bytes(t->down.exchange);
    }
    return n;
}

static void shed_largest(struct worker *w)
{
    struct client *largest = NULL;
    uint64_t most = LIMIT_SHED_BYTES - 1;

    LIST_FOREACH (&w->clients, node) {
        struct client *c = CONTAINER_OF(node, struct client, node);
        uint64_t n = client_held_bytes(c);

        if (n > most) {
            most = n;
            largest = c;
        }
    }
    if (!largest)
        return;
    largest->is_aborted = true; /* what it was being told is not complete */
    client_close(largest);
    metric_add(METRICS_SERIES(w->metrics, METRIC_SHED, STR("largest_connection")), 1);
}

/* ---- accepting ---- */

/* One that is there; not merely room for one. */
static bool shed_has_waiting(int listen_fd)
{
    struct pollfd p = {.fd = listen_fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

bool overload_may_accept(struct worker *w, int listen_fd)
{
    struct overload *o = &w->server->overload;

    if (UNLIKELY(overload_level(o) >= OVERLOAD_CLOSED))
        return false;
    if (LIKELY(overload_has_room(o)) || !shed_has_waiting(listen_fd) || shed_one_kind(w) > 0)
        return true;
    wake_post(&o->room_wanted);
    return false;
}

void overload_make_room(struct worker *w)
{
    if (!overload_has_room(&w->server->overload))
        shed_one_kind(w);
}

void overload_shed(struct worker *w)
{
    enum overload_level level = overload_level(&w->server->overload);

    if (level >= OVERLOAD_TIGHT) {
        arrival_shed(w);
        shed_idle(w);
        upstreams_close_idle(&w->upstreams, SHED_PART);
    }
    if (level >= OVERLOAD_SHEDDING)
        shed_largest(w);
}
