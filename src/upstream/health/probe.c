/* What probes by HTTP and by TCP have in common: their target, their time, and their one end, which
 * is told by a timer so that nobody is told from within a call of his own. */
#include "upstream/health/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/limits.h"
#include "base/mem.h"

enum { PROBE_ARENA_BYTES = 2048 };

void probe_init(struct probe *p, struct upstreams *u, probe_done_fn *on_done)
{
    *p = (struct probe){.upstreams = u, .on_done = on_done};
    arena_init(&p->arena, PROBE_ARENA_BYTES);
}

static void probe_stop(struct probe *p)
{
    if (p->plan->kind == PROBE_KIND_HTTP)
        attempt_cancel(&p->attempt);
    else
        stream_close(&p->stream, false);
}

/* From no callback of its connection. */
static void probe_clean(struct probe *p)
{
    if (p->plan->kind == PROBE_KIND_HTTP)
        probe_http_close(p);
    buf_deinit(&p->content);
    p->is_running = false;
}

static void probe_on_told(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timeout);

    probe_clean(p);
    p->on_done(p, p->result);
}

void probe_finish(struct probe *p, enum probe_result result)
{
    p->result = result;
    probe_stop(p);
    p->timeout.fn = probe_on_told;
    timer_set(p->upstreams->loop, &p->timeout, p->upstreams->loop->now.mono_us);
}

static void probe_on_timeout(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timeout);

    probe_stop(p);
    probe_clean(p);
    p->on_done(p, PROBE_TIMEOUT);
}

static uint16_t probe_port(const struct endpoint *e)
{
    const struct sockaddr *a = (const struct sockaddr *)&e->address;

    return ntohs(a->sa_family == AF_INET ? ((const struct sockaddr_in *)a)->sin_port
                                         : ((const struct sockaddr_in6 *)a)->sin6_port);
}

void probe_start(struct probe *p, const struct probe_plan *plan, struct cluster *c,
                 const struct endpoint *e)
{
    struct loop *l = p->upstreams->loop;

    PRE(!p->is_running);
    p->plan = plan;
    p->cluster = c;
    p->is_running = true;
    p->n_received = p->n_sent = 0;
    p->target = (struct endpoint){.state = e->state};
    endpoint_init_address(&p->target, (const struct sockaddr *)&e->address, e->address_len,
                          plan->port ? plan->port : probe_port(e));
    p->timeout.fn = probe_on_timeout;
    timer_set(l, &p->timeout, l->now.mono_us + plan->timeout_us);
    if (plan->kind == PROBE_KIND_HTTP)
        probe_http_start(p);
    else
        probe_tcp_start(p);
}

void probe_cancel(struct probe *p)
{
    if (!p->is_running)
        return;
    timer_cancel(p->upstreams->loop, &p->timeout);
    probe_stop(p);
    probe_clean(p);
}

void probe_deinit(struct probe *p)
{
    probe_cancel(p);
    arena_deinit(&p->arena);
}

bool probe_take(struct probe *p, struct str span)
{
    size_t n = MIN(span.len, LIMIT_PROBE_ANSWER_BYTES - p->n_received);

    p->n_received += n;
    if (p->plan->receive.len > 0)
        buf_append(&p->content, span.ptr, n);
    return n == span.len;
}

bool probe_has_content(const struct probe *p)
{
    struct str wanted = p->plan->receive;

    return wanted.len == 0 || (p->content.len > 0 && memmem(p->content.ptr, p->content.len,
                                                            wanted.ptr, wanted.len) != NULL);
}
