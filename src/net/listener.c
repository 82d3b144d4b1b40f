/* Accepting: LISTENER_BATCH connections a turn at most, so that a storm of connections does not
 * starve those that are being served. When descriptors run out, the socket is left alone for a
 * moment: level-triggered readiness would spin otherwise. So it would with a socket that was shut
 * down, which hangs up whatever is asked: that one is watched no longer. */
#include "net/listener.h"

#include <errno.h>

enum { LISTENER_BATCH = 16, LISTENER_PAUSE_US = 100000, LISTENER_BACKLOG_MAX = 8192 };

static void listener_end(struct listener *l)
{
    listener_close(l, false);
    if (l->on_end)
        l->on_end(l);
}

static void listener_pause(struct listener *l)
{
    struct loop *loop = l->io.loop;

    l->n_pauses++;
    if (loop_fd_want(&l->io, 0) == 0)
        timer_set(loop, &l->pause, loop->now.mono_us + LISTENER_PAUSE_US);
}

/* False when there is nothing more to take now. */
static bool listener_take(struct listener *l)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    int fd;

    if (l->may_accept && !l->may_accept(l)) {
        listener_pause(l);
        return false;
    }
    fd = accept4(l->io.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        l->on_accept(l, fd, (const struct sockaddr *)&peer, len);
        return l->io.loop != NULL;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        listener_pause(l);
        return false;
    }
    if (errno == EINVAL) { /* it does not listen */
        listener_end(l);
        return false;
    }
    return errno == ECONNABORTED || errno == EINTR;
}

static void listener_on_ready(struct loop_fd *io, unsigned events)
{
    struct listener *l = CONTAINER_OF(io, struct listener, io);

    /* Not left to accept(): without descriptors it has another reason to fail. */
    if (events & LOOP_HANGUP) {
        listener_end(l);
        return;
    }
    for (int i = 0; i < LISTENER_BATCH && listener_take(l); i++)
        ;
}

static void listener_on_pause_end(struct timer *t)
{
    struct listener *l = CONTAINER_OF(t, struct listener, pause);

    if (loop_fd_want(&l->io, LOOP_READ) < 0)
        timer_set(l->io.loop, t, l->io.loop->now.mono_us + LISTENER_PAUSE_US);
}

int listener_open(struct listener *l, struct loop *loop, int fd, listener_fn *on_accept)
{
    *l = (struct listener){.on_accept = on_accept, .pause.fn = listener_on_pause_end};
    return loop_fd_add(loop, &l->io, fd, LOOP_READ, listener_on_ready);
}

void listener_close(struct listener *l, bool takes_backlog)
{
    struct loop *loop = l->io.loop;

    if (!loop)
        return;
    for (int i = 0; takes_backlog && i < LISTENER_BACKLOG_MAX && listener_take(l); i++)
        ;
    timer_cancel(loop, &l->pause);
    loop_fd_remove(&l->io);
}
