/* See broker.h. Messages are fixed structs between two processes of one program on one machine.
 * A socket is named by its cookie (SO_COOKIE), which the kernel gives: no numbering of ours can get
 * out of step. */
#include "net/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "net/message.h"

uint64_t broker_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;

    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

/* ---- the child's end ---- */

static int broker_send(const struct broker *b, const struct broker_request *q, int fd)
{
    ssize_t n = message_send(b->fd, q, sizeof *q, fd, 0);

    return n == (ssize_t)sizeof *q ? 0 : error_origin(n < 0 ? -errno : -EPROTO);
}

/* 0 (and *ret_fd, or -1), an enum socket_condition, or negative: the parent is gone. */
static int broker_ask(const struct broker *b, const struct broker_request *q, int *ret_fd)
{
    struct broker_answer a = {0};
    int r = broker_send(b, q, -1);
    ssize_t n;

    *ret_fd = -1;
    if (r < 0)
        return r;
    n = message_receive(b->fd, &a, sizeof a, ret_fd, 0);
    if (n == (ssize_t)sizeof a)
        return a.condition;
    socket_close(*ret_fd);
    *ret_fd = -1;
    return error_origin(n < 0 ? -errno : -EPROTO);
}

int broker_open(struct broker *b)
{
    const char *text = getenv(BROKER_VARIABLE);
    struct broker_request hello = {.kind = BROKER_HELLO};
    uint64_t number = 0;
    int fd, r;

    *b = (struct broker){.fd = -1};
    if (!text)
        return 0;
    if (!str_to_u64(str_of(text), &number) || number > UINT16_MAX)
        return error_origin(-EBADF);
    b->fd = (int)number;
    unsetenv(BROKER_VARIABLE);
    if (fcntl(b->fd, F_SETFD, FD_CLOEXEC) < 0)
        return error_origin(-errno);
    r = broker_ask(b, &hello, &fd);
    socket_close(fd);
    b->may_bind_privileged = r == 0;
    return r < 0 ? r : 0;
}

void broker_close(struct broker *b)
{
    socket_close(b->fd);
    b->fd = -1;
}

int broker_listen(const struct broker *b, const struct socket_address *a, int *ret_fd)
{
    struct broker_request q = {
        .kind = BROKER_LISTEN, .address = a->address, .address_len = (uint32_t)a->len};
    int r;

    if (!b)
        return socket_listen(a, ret_fd);
    r = broker_ask(b, &q, ret_fd);
    if (r == 0 && *ret_fd >= 0)
        return 0;
    socket_close(*ret_fd);
    *ret_fd = -1;
    return r > 0 ? r : SOCKET_FAILED;
}

/* What has no answer. */
static void broker_say(const struct broker *b, const struct broker_request *q, int fd)
{
    if (b && broker_send(b, q, fd) < 0)
        errno = 0; /* the parent is gone, and we are about to go */
}

void broker_close_socket(const struct broker *b, int fd)
{
    struct broker_request q = {.kind = BROKER_RELEASE};

    if (b && fd >= 0 && !atomic_load(&b->is_shared)) {
        /* A close leaves the parent's descriptor listening, and who connects would wait in a
         * backlog that nobody takes from; this ends the listening for both. */
        shutdown(fd, SHUT_RDWR);
        q.cookie = broker_cookie(fd);
        broker_say(b, &q, -1);
    }
    socket_close(fd);
}

void broker_say_ready(const struct broker *b)
{
    broker_say(b, &(struct broker_request){.kind = BROKER_READY}, -1);
}

void broker_adopt(const struct broker *b, int fd)
{
    broker_say(b, &(struct broker_request){.kind = BROKER_ADOPT}, fd);
}

void broker_share(struct broker *b, bool is_shared)
{
    if (b)
        atomic_store(&b->is_shared, is_shared);
}

void broker_leave(struct broker *b)
{
    broker_share(b, true);
    broker_say(b, &(struct broker_request){.kind = BROKER_LEAVE}, -1);
}

bool broker_may_bind_privileged(const struct broker *b)
{
    return b ? b->may_bind_privileged : socket_may_bind_privileged();
}

/* ---- the parent's end ---- */

int broker_receive(int channel, struct broker_request *ret, int *ret_fd)
{
    ssize_t n = message_receive(channel, ret, sizeof *ret, ret_fd, MSG_DONTWAIT | MSG_TRUNC);

    if (n != (ssize_t)sizeof *ret || ret->kind != BROKER_ADOPT) {
        socket_close(*ret_fd);
        *ret_fd = -1;
    }
    if (n == (ssize_t)sizeof *ret)
        return 0;
    if (n == 0)
        return BROKER_CLOSED;
    if (n > 0)
        return BROKER_BAD;
    if (errno == EAGAIN)
        return BROKER_EMPTY;
    return errno == ECONNRESET ? BROKER_CLOSED : error_origin(-errno);
}

void broker_answer(int channel, int condition, int fd)
{
    struct broker_answer a = {.condition = condition};

    if (message_send(channel, &a, sizeof a, fd, MSG_DONTWAIT) < 0)
        errno = 0; /* the child is gone, or reads no answers */
}
