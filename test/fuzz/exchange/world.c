/* See world.h. The worker lives as long as the process, since building one takes longer than most
 * programs run; each program must leave it as it found it, which world_check looks at. */
#include "test/fuzz/exchange/world.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/account/record.h"
#include "gateway/arrival/arrival.h"
#include "gateway/compile/compile_api.h"
#include "gateway/h2/client_h2.h"
#include "gateway/h2/client_stream.h"
#include "net/socket.h"

enum {
    WORLD_CLIENTS_MAX = 16,
    WORLD_LIMIT_PLANS = 16,
    WORLD_BACKLOG = 64,
};

static const uint64_t WORLD_DAY_US = UINT64_C(86400) * 1000000;

static struct {
    struct loop control;
    struct server server;
    struct worker *worker; /* NULL: not built yet */
    struct snapshot *snapshots[WORLD_SNAPSHOTS];
    unsigned current;
    struct port port;
    int port_fds[1];
    int listen_fd;
    struct sockaddr_un address; /* of listen_fd */
    socklen_t address_len;
    struct clock now;
    struct world_client *clients[WORLD_CLIENTS_MAX];
    unsigned n_clients;
    const struct limit_plan *limits[WORLD_LIMIT_PLANS]; /* that some exchange has met */
    unsigned n_limits;
    uint64_t n_started;
    uint64_t n_recorded;
} world;

/* ---- what the linker puts in the way ---- */

struct clock __wrap_clock_read(void);
uint64_t __wrap_clock_coarse_us(void);
void __real_exchange_start(struct exchange *x);
void __wrap_exchange_start(struct exchange *x);
void __real_worker_count_exchange(struct exchange *x, const struct access_record *r);
void __wrap_worker_count_exchange(struct exchange *x, const struct access_record *r);
void __real_stream_close(struct stream *s, bool is_abort);
void __wrap_stream_close(struct stream *s, bool is_abort);

struct clock __wrap_clock_read(void)
{
    return world.now;
}

uint64_t __wrap_clock_coarse_us(void)
{
    return world.now.mono_us;
}

/* NULL: of HTTP/1. */
static const struct client_stream *world_stream_of(const struct exchange *x)
{
    return x->request.is_http2 ? CONTAINER_OF(x->downstream, struct client_stream, down) : NULL;
}

static struct seen *world_see(const struct exchange *x)
{
    const struct client_stream *t = world_stream_of(x);

    for (unsigned i = 0; i < world.n_clients; i++) {
        struct world_client *wc = world.clients[i];

        if (!wc->client || wc->n_seen == WORLD_SEEN_MAX)
            continue;
        if (t ? t->owner->client == wc->client : x->downstream == &wc->client->down)
            return &wc->seen[wc->n_seen++];
    }
    return NULL;
}

void __wrap_exchange_start(struct exchange *x)
{
    struct seen *s = world_see(x);
    struct str id = http_headers_value(&x->request.headers, STR("x-id"));

    world.n_started++;
    if (s) {
        *s = (struct seen){.exchange = x,
                           .method = x->request.method,
                           .is_tunnel = x->request.is_tunnel,
                           .stream =
                               x->request.is_http2 ? (uint32_t)world_stream_of(x)->stream.id : 0};
        snprintf(s->id, sizeof s->id, "%.*s", STR_ARG(id));
    }
    __real_exchange_start(x);
}

static struct seen *world_find_seen(const struct exchange *x)
{
    for (unsigned i = 0; i < world.n_clients; i++) {
        struct world_client *wc = world.clients[i];

        for (unsigned k = 0; k < wc->n_seen; k++) {
            if (wc->seen[k].exchange == x)
                return &wc->seen[k];
        }
    }
    return NULL;
}

static void world_note_limits(const struct limit_plan *plan)
{
    for (unsigned i = 0; i < world.n_limits; i++) {
        if (world.limits[i] == plan)
            return;
    }
    ASSERT(world.n_limits < WORLD_LIMIT_PLANS);
    world.limits[world.n_limits++] = plan;
}

void __wrap_worker_count_exchange(struct exchange *x, const struct access_record *r)
{
    struct seen *s = world_find_seen(x);

    world.n_recorded++;
    ASSERT(world.n_recorded <= world.n_started);
    if (s) {
        s->is_recorded = true;
        s->is_broken = x->is_answer_broken;
        s->is_head_sent = x->is_head_sent;
        s->status = r->status;
        s->is_grpc = x->is_grpc;
        s->exchange = NULL;
    }
    if (x->rule && x->rule->limits)
        world_note_limits(x->rule->limits);
    __real_worker_count_exchange(x, r);
}

void __wrap_stream_close(struct stream *s, bool is_abort)
{
    for (unsigned i = 0; i < world.n_clients; i++) {
        struct world_client *wc = world.clients[i];

        if (wc->client && &wc->client->stream == s) {
            wc->client = NULL;
            wc->is_aborted = is_abort;
        }
    }
    __real_stream_close(s, is_abort);
}

/* ---- building ---- */

static void world_listen(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    world.address.sun_family = AF_UNIX;
    world.address_len = sizeof world.address;
    /* Without a name the kernel chooses one (unix(7), autobind). */
    if (fd < 0 || bind(fd, (struct sockaddr *)&world.address, sizeof(sa_family_t)) < 0 ||
        listen(fd, WORLD_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&world.address, &world.address_len) < 0)
        UNREACHABLE();
    world.listen_fd = fd;
}

/* The endpoints of a cluster: the fuzzer's socket, or (of "dead") one that nobody listens on. "ill"
 * has two, so that one may be well while the other is not. */
static void world_publish(struct cluster *c)
{
    uint32_t n = str_find(c->name, STR("/ill")) >= 0 ? 2 : 1;
    struct endpoint_set *set = endpoint_set_new(n, ENDPOINTS_KNOWN);

    for (uint32_t i = 0; i < n; i++) {
        struct endpoint *e = &set->items[i];

        memcpy(&e->address, &world.address, world.address_len);
        e->address_len = world.address_len;
        /* Unlike any of the manifests, whose set would else be taken for the same. */
        snprintf(e->text, sizeof e->text, "socket %u.%u", c->id, i);
        if (str_find(c->name, STR("/dead")) >= 0)
            ((struct sockaddr_un *)(void *)&e->address)->sun_path[1] ^= 0x7f;
    }
    cluster_publish(c, set);
}

static bool world_is_named(const struct cluster *c)
{
    return c->resolve_host.len > 0;
}

static struct snapshot *world_compile(struct str text)
{
    struct manifest *m = MEM_NEW(struct manifest);
    struct snapshot *s = NULL;
    struct buf out = {0};
    int code = manifest_load_bytes(m, "fuzz.yaml", text, NULL);

    if (code == 0)
        code = compile_for_server(&world.server, m, &s);
    VEC_FOREACH (&m->diags.items, d)
        diag_format_text(&out, d);
    if (m->diags.n_errors > 0)
        fprintf(stderr, "%.*s", (int)out.len, out.ptr);
    buf_deinit(&out);
    ASSERT(code == 0 && m->diags.n_errors == 0 && s->n_ports == 1);
    s->ports[0].port = &world.port;
    snapshot_publish(s);
    for (uint32_t i = 0; i < s->n_clusters; i++) {
        if (!world_is_named(s->clusters[i]))
            world_publish(s->clusters[i]);
    }
    return s;
}

static void world_build(void)
{
    static const struct server_options options = {.n_workers = 1,
                                                  .cluster_domain = {"cluster.local", 13}};
    struct worker *w = MEM_NEW(struct worker);

    log_set_level(LOG_ERROR);
    world.now = (struct clock){WORLD_DAY_US, INT64_C(20454) * (int64_t)WORLD_DAY_US};
    if (loop_init(&world.control) < 0 || server_init(&world.server, &world.control, &options) < 0)
        UNREACHABLE();
    world.port_fds[0] = -1;
    world.port = (struct port){.number = 80,
                               .bound = 80,
                               .is_wanted = true,
                               .fds = world.port_fds,
                               .n_fds = 1,
                               .n_shares = 1};
    world_listen();
    for (unsigned i = 0; i < WORLD_SNAPSHOTS; i++)
        world.snapshots[i] = world_compile(world_manifests[i]);
    world.server.current = world.snapshots[0];
    health_adopt(&world.server, world.snapshots[0]);
    if (worker_init(w, &world.server, 0, world.snapshots[0]) < 0)
        UNREACHABLE();
    world.worker = w;
}

struct worker *world_get(void)
{
    if (!world.worker)
        world_build();
    return world.worker;
}

/* ---- a program ---- */

/* A stream is there as long as its client or its exchange wants it, and holds no more than the
 * client was let to send. */
static void world_check_streams(const struct client_h2 *h)
{
    LIST_FOREACH (&h->streams, node) {
        const struct client_stream *t = CONTAINER_OF(node, struct client_stream, node);

        ASSERT(!t->is_closed || t->down.exchange);
        ASSERT(!t->down.exchange || t->down.exchange->downstream == &t->down);
        ASSERT(t->held.len <= LIMIT_PIPE_HIGH_BYTES);
    }
    ASSERT(h->streams.n_nodes >= h->codec.n_streams);
}

void world_turn(void)
{
    int r = loop_turn(&world.worker->loop, 0);

    ASSERT(r == 0);
    LIST_FOREACH (&world.worker->clients, node) {
        const struct client *c = CONTAINER_OF(node, struct client, node);

        if (c->h2)
            world_check_streams(c->h2);
    }
}

void world_advance(uint64_t us)
{
    world.now.mono_us += us;
    world.now.wall_unix_us += (int64_t)us;
    health_sweep(&world.server, world.now.mono_us);
}

/* What is counted by the hour or the day starts anew. */
static void world_next_day(void)
{
    world_advance(2 * WORLD_DAY_US - world.now.mono_us % WORLD_DAY_US);
}

void world_reload(void)
{
    world.current = (world.current + 1) % WORLD_SNAPSHOTS;
    health_adopt(&world.server, world.snapshots[world.current]);
    worker_offer_snapshot(world.worker, world.snapshots[world.current]);
}

void world_drain(void)
{
    worker_order(world.worker, ORDER_DRAIN);
}

void world_stop(void)
{
    worker_order(world.worker, ORDER_STOP);
}

bool world_is_stopped(void)
{
    return world.worker->loop.is_stopping;
}

void world_turn_verdict(unsigned n)
{
    health_turn(&world.server, n);
}

static void world_unresolve_names(void)
{
    const struct snapshot *s = world.snapshots[0];

    for (uint32_t i = 0; i < s->n_clusters; i++) {
        if (world_is_named(s->clusters[i]))
            cluster_publish(s->clusters[i], endpoint_set_new(0, ENDPOINTS_PENDING));
    }
}

void world_resolve_names(void)
{
    const struct snapshot *s = world.snapshots[0];

    for (uint32_t i = 0; i < s->n_clusters; i++) {
        if (world_is_named(s->clusters[i]))
            world_publish(s->clusters[i]);
    }
    wake_post(&world.worker->upstreams.endpoints_changed);
}

void world_begin(void)
{
    struct worker *w = world_get();

    world_next_day();
    w->is_draining = false;
    w->loop.is_stopping = false;
    atomic_store(&w->has_drained, false);
    random_init_seed(&w->random, 1);
    random_init_seed(&w->upstreams.random, 1);
    failure_limit_deinit(&w->failures);
    failure_limit_init(&w->failures);
    model_averages_deinit(&world.server.averages);
    model_averages_init(&world.server.averages);
    health_forget(&world.server);
    world_unresolve_names();
    if (world.current != 0)
        world_reload();
    world_turn();
    world.n_clients = 0;
    world.n_started = world.n_recorded = 0;
}

void world_accept(struct world_client *wc, int fd)
{
    struct worker *w = world.worker;
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(1234)};
    int n_bytes = WORLD_SOCKET_BYTES;

    *wc = (struct world_client){0};
    ASSERT(world.n_clients < WORLD_CLIENTS_MAX);
    peer.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n_bytes, sizeof n_bytes);
    world.clients[world.n_clients++] = wc;
    arrival_take(w, &world.port, fd, (const struct sockaddr *)&peer);
    ASSERT(w->clients.last);
    wc->client = CONTAINER_OF(w->clients.last, struct client, node);
}

int world_next_upstream(void)
{
    return accept4(world.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* ---- the end ---- */

bool world_is_idle(void)
{
    const struct worker *w = world.worker;

    return w->exchanges.n_nodes == 0 && w->clients.n_nodes == 0 && w->n_mirrors == 0 &&
           upstreams_count(&w->upstreams, CONN_CONNECTING) == 0 &&
           upstreams_count(&w->upstreams, CONN_OPEN) == 0 &&
           upstreams_count(&w->upstreams, CONN_FULL) == 0 &&
           upstreams_count(&w->upstreams, CONN_DRAINING) == 0;
}

static bool world_was_checked(unsigned plan, uint32_t rule)
{
    const struct limit_counter *counter = world.limits[plan]->counters[rule];

    for (unsigned i = 0; i <= plan; i++) {
        for (uint32_t k = 0; k < (i < plan ? world.limits[i]->set->n_rules : rule); k++) {
            if (world.limits[i]->counters[k] == counter)
                return true;
        }
    }
    return false;
}

/* In a new window there is room for all of a limit, unless somebody still has some reserved. Once
 * for each counter, which plans share. */
static void world_check_limits(unsigned plan)
{
    const struct limit_plan *p = world.limits[plan];
    struct limit_store *store = p->set->store;

    for (uint32_t i = 0; i < p->set->n_rules; i++) {
        struct limit_claim claim = {.counter = p->counters[i],
                                    .limit = p->set->rules[i].limit,
                                    .take = p->set->rules[i].limit};

        if (world_was_checked(plan, i))
            continue;
        bool has_room = store->ops->reserve(store, &claim, 1, world.now.wall_unix_us);

        ASSERT(has_room);
    }
}

static void world_check_cluster(struct cluster *c)
{
    struct endpoint_set *set = cluster_endpoints(c);

    for (uint32_t i = 0; i < set->n; i++) {
        ASSERT(atomic_load(&set->items[i].state->n_in_flight) == 0);
        ASSERT(bounded_count_get(&set->items[i].state->connections) == 0);
    }
    endpoint_set_unref(set);
    ASSERT(bounded_count_get(&c->backend->breaker.connections) == 0);
    ASSERT(bounded_count_get(&c->backend->breaker.requests) == 0);
    ASSERT(!pending_is_any(&c->backend->breaker.pending));
    ASSERT(c->backend->breaker.pending.by_tenant.n_items == 0);
    ASSERT(c->backend->breaker.pending.n_yielding == 0 &&
           c->backend->breaker.pending.n_beyond == 0);
    ASSERT(bounded_count_get(&c->backend->breaker.retries) == 0);
}

void world_check(void)
{
    const struct worker *w = world.worker;

    ASSERT(world_is_idle());
    ASSERT(world.n_started == world.n_recorded);
    ASSERT(w->held_bodies.n_bytes == 0 && w->held_answers.n_bytes == 0);
    ASSERT(w->mirrors.n_nodes == 0 && w->upstreams.waiting.n_nodes == 0);
    ASSERT(w->holds.n_nodes == 1 && w->current->n_exchanges == 0);
    ASSERT(bounded_count_get(&world.port.n_connections) == 0);
    ASSERT(atomic_load(&w->n_open_connections) == 0 && atomic_load(&w->n_open_exchanges) == 0);
    for (uint32_t i = 0; i < world.snapshots[0]->n_clusters; i++)
        world_check_cluster(world.snapshots[0]->clusters[i]);
    world_next_day();
    for (unsigned i = 0; i < world.n_limits; i++)
        world_check_limits(i);
}
