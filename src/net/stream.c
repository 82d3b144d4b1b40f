/* Streams: opening, closing, and plain TCP. What differs for TLS stands in stream_tls.c behind
 * stream_ops. */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "net/socket.h"
#include "net/tls_internal.h"

static void stream_set_nodelay(int fd)
{
    int on = 1;

    /* Fails on sockets that are not TCP (tests): nothing to delay there. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int stream_fail(struct stream *s, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR)
        return STREAM_AGAIN;
    s->error = error;
    return STREAM_RESET;
}

static int plain_recv(struct stream *s, void *ret_bytes, size_t cap, size_t *ret_n)
{
    ssize_t n = recv(s->io.fd, ret_bytes, cap, 0);

    if (n > 0) {
        *ret_n = (size_t)n;
        return 0;
    }
    if (n < 0)
        return stream_fail(s, errno);
    /* An end that we made ourselves is none of an answer that ends with its connection. */
    return s->is_broken ? STREAM_RESET : STREAM_EOF;
}

static int plain_send(struct stream *s, const struct iovec *iov, int n_iov, size_t *ret_n)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                             .msg_iovlen = (size_t)n_iov};
    ssize_t n;

    if (n_iov == 1)
        n = send(s->io.fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
    else
        n = sendmsg(s->io.fd, &message, MSG_NOSIGNAL);
    if (n < 0)
        return stream_fail(s, errno);
    *ret_n = (size_t)n;
    return n > 0 ? 0 : STREAM_AGAIN;
}

static void plain_shutdown(struct stream *s)
{
    shutdown(s->io.fd, SHUT_WR);
}

static void plain_on_ready(struct stream *s, unsigned events)
{
    s->on_event(s, events);
}

static void plain_close(struct stream *s UNUSED, bool is_abort UNUSED)
{
}

static const struct stream_ops stream_plain_ops = {
    .recv = plain_recv,
    .send = plain_send,
    .shutdown = plain_shutdown,
    .on_ready = plain_on_ready,
    .close = plain_close,
};

static void stream_on_io(struct loop_fd *io, unsigned events)
{
    struct stream *s = CONTAINER_OF(io, struct stream, io);

    s->ops->on_ready(s, events);
}

int stream_open_accepted(struct stream *s, struct loop *l, int fd, struct tls_server *tls,
                         stream_event_fn *on_event)
{
    int r;

    *s = (struct stream){
        .ops = &stream_plain_ops, .on_event = on_event, .is_ready = !tls, .io.fd = -1};
    stream_set_nodelay(fd);
    r = loop_fd_add(l, &s->io, fd, LOOP_READ, stream_on_io);
    if (r < 0)
        return r;
    s->wanted = LOOP_READ;
    if (tls) {
        r = stream_tls_start_server(s, tls);
        if (r < 0)
            loop_fd_remove(&s->io);
    }
    return r;
}

/* All of it at once, for which a new socket has room: what would have to wait for the rest does
 * not go on without it. 0 or an errno. */
static int stream_send_preface(struct stream *s)
{
    const struct str *preface = TAKE(s->preface);
    ssize_t n;

    if (!preface)
        return 0;
    n = send(s->io.fd, preface->ptr, preface->len, MSG_NOSIGNAL);
    if (n < 0)
        return errno;
    return (size_t)n == preface->len ? 0 : ENOBUFS;
}

/* Both plain and TLS connections begin here; TLS goes on with its handshake. */
static void stream_on_connected(struct stream *s, unsigned events)
{
    int error = 0;
    socklen_t len = sizeof error;

    getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    /* What an upstream says waits for what clients ask; that it is there does not. */
    if (error == 0 && loop_fd_make_late(&s->io) < 0)
        error = ENOMEM;
    if (error == 0)
        error = stream_send_preface(s);
    if (error != 0 || (events & (LOOP_WRITE | LOOP_HANGUP)) == LOOP_HANGUP) {
        s->error = error;
        s->on_event(s, LOOP_HANGUP);
        return;
    }
    if (s->tls) {
        s->ops = &stream_tls_ops;
        s->ops->on_ready(s, LOOP_WRITE);
        return;
    }
    s->ops = &stream_plain_ops;
    s->is_ready = true;
    stream_want(s, s->wanted | LOOP_READ);
    s->on_event(s, STREAM_READY);
}

static int connecting_recv(struct stream *s UNUSED, void *bytes UNUSED, size_t cap UNUSED,
                           size_t *ret_n UNUSED)
{
    return STREAM_AGAIN;
}

static int connecting_send(struct stream *s UNUSED, const struct iovec *iov UNUSED, int n UNUSED,
                           size_t *ret_n UNUSED)
{
    return STREAM_AGAIN;
}

static const struct stream_ops stream_connecting_ops = {
    .recv = connecting_recv,
    .send = connecting_send,
    .shutdown = plain_shutdown,
    .on_ready = stream_on_connected,
    .close = plain_close,
};

int stream_open_connect(struct stream *s, struct loop *l, const struct stream_target *to,
                        stream_event_fn *on_event)
{
    int fd = socket(to->address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return error_origin(-errno);
    *s = (struct stream){
        .ops = &stream_connecting_ops, .on_event = on_event, .preface = to->preface, .io.fd = -1};
    stream_set_nodelay(fd);
    if (to->options)
        socket_set_options(fd, to->options);
    if (connect(fd, to->address, to->address_len) < 0 && errno != EINPROGRESS) {
        r = error_origin(-errno);
        close(fd);
        return r;
    }
    r = loop_fd_add(l, &s->io, fd, LOOP_WRITE, stream_on_io);
    if (r == 0 && to->tls)
        r = stream_tls_start_client(s, to->tls, to->server_name);
    if (r < 0) {
        loop_fd_remove(&s->io);
        close(fd);
        return r;
    }
    s->ops = &stream_connecting_ops;
    return 0;
}

int stream_recv(struct stream *s, void *ret_bytes, size_t cap, size_t *ret_n)
{
    return s->ops->recv(s, ret_bytes, cap, ret_n);
}

int stream_send(struct stream *s, const struct iovec *iov, int n_iov, size_t *ret_n)
{
    return s->ops->send(s, iov, n_iov, ret_n);
}

void stream_want(struct stream *s, unsigned events)
{
    /* While connecting or shaking hands the stream itself decides what to wait for. */
    if (!s->is_ready || !s->io.loop)
        s->wanted = events;
    else if (s->tls)
        stream_tls_want(s, events);
    else {
        s->wanted = events;
        if (loop_fd_want(&s->io, events) < 0)
            s->error = errno;
    }
}

void stream_shutdown(struct stream *s)
{
    if (s->io.loop)
        s->ops->shutdown(s);
}

void stream_break(struct stream *s)
{
    /* One that is over already fails here: it tells its end by itself, behind what has come. */
    if (s->io.loop && shutdown(s->io.fd, SHUT_RDWR) == 0)
        s->is_broken = true;
}

void stream_close(struct stream *s, bool is_abort)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int fd = s->io.fd;

    if (!s->io.loop)
        return;
    if (s->tls)
        stream_tls_ops.close(s, is_abort);
    loop_fd_remove(&s->io);
    if (is_abort)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}
