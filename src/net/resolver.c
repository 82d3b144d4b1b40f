/* c-ares on the loop: its sockets are watched as it asks, its timeouts are one timer. A job belongs
 * to the resolver and outlives a cancelled query, since c-ares completes every request once. */
#include "net/resolver.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    RESOLVER_TRIES = 2,
    RESOLVER_UDP_BYTES = 1232, /* what passes everywhere unfragmented; longer answers go by TCP */
    NAME_MAX_BYTES = 254,
};

struct resolve_job {
    struct resolver *resolver;
    struct resolve_query *query; /* NULL: cancelled */
    struct resolve_result result;
    struct deferred done;
    struct list_node node;
};

static void resolver_rearm(struct resolver *r);

static void resolve_job_free(struct resolve_job *job)
{
    list_remove(&job->node);
    mem_free(job->result.addresses);
    mem_free(job);
}

static void resolver_on_io(struct loop_fd *io, unsigned events)
{
    struct resolver_socket *s = CONTAINER_OF(io, struct resolver_socket, io);
    struct resolver *r = s->resolver;
    int fd = io->fd;

    ares_process_fd(r->channel, (events & (LOOP_READ | LOOP_HANGUP)) ? fd : ARES_SOCKET_BAD,
                    (events & LOOP_WRITE) ? fd : ARES_SOCKET_BAD);
    resolver_rearm(r);
}

static struct resolver_socket *resolver_socket_find(struct resolver *r, int fd)
{
    struct resolver_socket *unused = NULL;

    for (int i = 0; i < RESOLVER_SOCKETS_MAX; i++) {
        if (r->sockets[i].io.loop && r->sockets[i].io.fd == fd)
            return &r->sockets[i];
        if (!r->sockets[i].io.loop)
            unused = &r->sockets[i];
    }
    return unused;
}

/* c-ares tells which of its sockets it wants watched; both off: it closes the socket. */
static void resolver_on_socket(void *arg, ares_socket_t fd, int wants_read, int wants_write)
{
    struct resolver *r = arg;
    struct resolver_socket *s = resolver_socket_find(r, fd);
    unsigned events = (wants_read ? LOOP_READ : 0U) | (wants_write ? LOOP_WRITE : 0U);
    int code = 0;

    if (!s)
        return; /* more sockets than slots: that server's query times out */
    s->resolver = r;
    if (events == 0)
        loop_fd_remove(&s->io);
    else if (!s->io.loop)
        code = loop_fd_add(r->loop, &s->io, fd, events, resolver_on_io);
    else
        code = loop_fd_want(&s->io, events);
    if (code < 0)
        loop_fd_remove(&s->io);
}

static void resolver_on_timer(struct timer *t)
{
    struct resolver *r = CONTAINER_OF(t, struct resolver, timer);

    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    resolver_rearm(r);
}

static void resolver_rearm(struct resolver *r)
{
    struct timeval tv;

    if (!ares_timeout(r->channel, NULL, &tv)) {
        timer_cancel(r->loop, &r->timer);
        return;
    }
    timer_set(r->loop, &r->timer,
              r->loop->now.mono_us + (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec + 1000);
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

/* Not thread-safe by itself; never undone, since it holds nothing. */
static void resolver_library_init(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int resolver_open_channel(struct resolver *r, int timeout_ms)
{
    static char lookups[] = "fb"; /* /etc/hosts first, then servers, whatever nsswitch.conf says */
    struct ares_options options = {.flags = ARES_FLAG_EDNS,
                                   .ednspsz = RESOLVER_UDP_BYTES,
                                   .timeout = timeout_ms,
                                   .tries = RESOLVER_TRIES,
                                   .lookups = lookups,
                                   .sock_state_cb = resolver_on_socket,
                                   .sock_state_cb_data = r};
    int status;

    pthread_once(&library_once, resolver_library_init);
    status = library_status;
    if (status == ARES_SUCCESS)
        status = ares_init_options(&r->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS |
                                       ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
    return status == ARES_SUCCESS ? 0 : error_origin(-ENOMEM);
}

int resolver_init(struct resolver *r, struct loop *l)
{
    *r = (struct resolver){.loop = l, .timer.fn = resolver_on_timer};
    return resolver_open_channel(r, RESOLVER_TIMEOUT_MS);
}

int resolver_use_servers(struct resolver *r, const char *servers, int timeout_ms)
{
    int code;

    PRE(!r->jobs.first);
    ares_destroy(r->channel);
    r->channel = NULL;
    code = resolver_open_channel(r, timeout_ms);
    if (code == 0 && ares_set_servers_ports_csv(r->channel, servers) != ARES_SUCCESS)
        code = error_origin(-EINVAL);
    return code;
}

void resolver_deinit(struct resolver *r)
{
    if (!r->channel)
        return;
    LIST_FOREACH (&r->jobs, node) {
        resolver_cancel(CONTAINER_OF(node, struct resolve_job, node)->query);
    }
    ares_destroy(r->channel); /* completes what runs, with ARES_EDESTRUCTION */
    r->channel = NULL;
    LIST_FOREACH (&r->jobs, node) {
        struct resolve_job *job = CONTAINER_OF(node, struct resolve_job, node);

        list_remove(&job->done.node);
        resolve_job_free(job);
    }
    timer_cancel(r->loop, &r->timer);
}

static void resolve_on_done(struct deferred *d)
{
    struct resolve_job *job = CONTAINER_OF(d, struct resolve_job, done);
    struct resolve_query *q = job->query;

    list_remove(&job->node);
    if (q) {
        q->job = NULL;
        q->on_done(q, &job->result);
    }
    resolve_job_free(job);
}

static enum resolve_status resolve_status_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return RESOLVE_OK;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
        return RESOLVE_NOT_FOUND;
    case ARES_ETIMEOUT:
        return RESOLVE_TIMEOUT;
    default:
        return RESOLVE_SERVER_FAILURE;
    }
}

static void resolve_note_ttl(struct resolve_result *result, int ttl_s)
{
    if (ttl_s > 0 && (result->ttl_s == 0 || (uint32_t)ttl_s < result->ttl_s))
        result->ttl_s = (uint32_t)ttl_s;
}

static void resolve_copy(struct resolve_result *result, const struct ares_addrinfo *info)
{
    size_t n_found = 0;

    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
        n_found++;
    result->addresses =
        mem_alloc_zero(MIN(n_found, (size_t)LIMIT_NAME_ADDRESSES) * sizeof result->addresses[0]);
    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
        struct resolve_address *a = &result->addresses[result->n_addresses];

        if (result->n_addresses == LIMIT_NAME_ADDRESSES || n->ai_addrlen > sizeof a->address) {
            result->n_dropped++;
            continue;
        }
        memcpy(&a->address, n->ai_addr, n->ai_addrlen);
        a->len = n->ai_addrlen;
        resolve_note_ttl(result, n->ai_ttl);
        result->n_addresses++;
    }
    for (const struct ares_addrinfo_cname *c = info->cnames; c; c = c->next)
        resolve_note_ttl(result, c->ttl);
}

static void resolve_on_answer(void *arg, int status, int timeouts UNUSED,
                              struct ares_addrinfo *info)
{
    struct resolve_job *job = arg;

    job->result.status = resolve_status_of(status);
    if (info) {
        resolve_copy(&job->result, info);
        ares_freeaddrinfo(info);
    }
    loop_defer(job->resolver->loop, &job->done, resolve_on_done);
}

void resolver_start(struct resolver *r, struct resolve_query *q, struct str name, int family,
                    resolve_fn *on_done)
{
    /* Sorting (RFC 6724) would open a socket for each address, to choose the best for one host:
     * here all are used. */
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = family, .ai_socktype = SOCK_STREAM};
    struct resolve_job *job = MEM_NEW(struct resolve_job);
    char text[NAME_MAX_BYTES + 1];

    PRE(!q->job);
    q->on_done = on_done;
    q->job = job;
    job->resolver = r;
    job->query = q;
    list_append(&r->jobs, &job->node);
    if (name.len > NAME_MAX_BYTES || name.len == 0) {
        resolve_on_answer(job, ARES_EBADNAME, 0, NULL);
        return;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    ares_getaddrinfo(r->channel, text, NULL, &hints, resolve_on_answer, job);
    resolver_rearm(r);
}

void resolver_cancel(struct resolve_query *q)
{
    if (!q || !q->job)
        return;
    q->job->query = NULL;
    q->job = NULL;
}
