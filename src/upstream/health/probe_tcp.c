/* Probes by TCP: a connection (with TLS, where the backend has it), what is to be sent, and what
 * must come back. */
#include "upstream/health/probe.h"

static void probe_tcp_send(struct probe *p)
{
    struct str rest = str_slice(p->plan->send, p->n_sent, p->plan->send.len);
    struct iovec iov = {(void *)(uintptr_t)rest.ptr, rest.len};
    size_t n = 0;
    int r = rest.len > 0 ? stream_send(&p->stream, &iov, 1, &n) : 0;

    if (r != 0 && r != STREAM_AGAIN) {
        probe_finish(p, PROBE_FAILED);
        return;
    }
    p->n_sent += r == 0 ? n : 0;
    if (p->n_sent < p->plan->send.len)
        stream_want(&p->stream, LOOP_READ | LOOP_WRITE);
    else if (p->plan->receive.len == 0)
        probe_finish(p, PROBE_OK);
    else
        stream_want(&p->stream, LOOP_READ);
}

static void probe_tcp_receive(struct probe *p)
{
    struct upstreams *u = p->upstreams;
    size_t n = 0;
    int r = stream_recv(&p->stream, u->scratch, u->scratch_bytes, &n);
    bool is_over;

    if (r == STREAM_AGAIN)
        return;
    if (r != 0) {
        probe_finish(p, r == STREAM_EOF ? PROBE_CONTENT : PROBE_FAILED);
        return;
    }
    is_over = !probe_take(p, str_make(u->scratch, n));
    if (p->plan->receive.len > 0 && probe_has_content(p))
        probe_finish(p, PROBE_OK);
    else if (is_over)
        probe_finish(p, PROBE_CONTENT);
}

static void probe_tcp_on_event(struct stream *s, unsigned events)
{
    struct probe *p = CONTAINER_OF(s, struct probe, stream);

    if (events & (STREAM_READY | LOOP_WRITE))
        probe_tcp_send(p);
    else if (events & LOOP_READ)
        probe_tcp_receive(p);
    else if (events & LOOP_HANGUP)
        probe_finish(p, PROBE_FAILED);
}

void probe_tcp_start(struct probe *p)
{
    enum proxy_version proxy = p->cluster->transport.proxy;
    const struct stream_target to = {.address = (const struct sockaddr *)&p->target.address,
                                     .address_len = p->target.address_len,
                                     .tls = p->cluster->tls,
                                     .server_name = p->cluster->server_name,
                                     .preface = proxy ? &p->preface : NULL};

    if (proxy)
        p->preface = proxy_header_local(proxy);

    int r = stream_open_connect(&p->stream, p->upstreams->loop, &to, probe_tcp_on_event);

    if (r != 0)
        probe_finish(p, stream_lacks_descriptor(r) ? PROBE_NOT_MADE : PROBE_FAILED);
}
