/* One signalfd on control's loop. */
#include "net/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/error.h"

static sigset_t signals_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    return set;
}

void signals_block(void)
{
    sigset_t set = signals_set();

    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void signals_on_ready(struct loop_fd *io, unsigned events UNUSED)
{
    struct signals *s = CONTAINER_OF(io, struct signals, io);
    struct signalfd_siginfo info;

    while (s->io.loop && read(io->fd, &info, sizeof info) == (ssize_t)sizeof info)
        s->on_signal(s, (int)info.ssi_signo);
}

int signals_open(struct signals *s, struct loop *l, signals_fn *on_signal)
{
    sigset_t set = signals_set();
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    int r;

    if (fd < 0)
        return error_origin(-errno);
    *s = (struct signals){.on_signal = on_signal};
    r = loop_fd_add(l, &s->io, fd, LOOP_READ, signals_on_ready);
    if (r < 0)
        close(fd);
    return r;
}

void signals_close(struct signals *s)
{
    int fd = s->io.fd;

    if (!s->io.loop)
        return;
    loop_fd_remove(&s->io);
    close(fd);
}
