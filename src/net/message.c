/* See message.h. There is room for one descriptor and not for a byte more: of several that come the
 * kernel closes all but the first, and that one is closed here, since nobody has asked for it. */
#include "net/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/socket.h"

union message_control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

ssize_t message_send(int socket, const void *bytes, size_t n, int fd, int flags)
{
    union message_control control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t r;

    if (fd >= 0) {
        control.header = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        m.msg_control = control.room;
        m.msg_controllen = sizeof control.room;
    }
    do
        r = sendmsg(socket, &m, flags | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r;
}

/* The descriptor of a message, if it is the only one. */
static int message_take_fd(struct msghdr *m)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(m);
    int fd;

    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN(sizeof fd))
        return -1;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    if (!(m->msg_flags & MSG_CTRUNC))
        return fd;
    socket_close(fd);
    return -1;
}

ssize_t message_receive(int socket, void *room, size_t cap, int *ret_fd, int flags)
{
    union message_control control = {0};
    struct iovec iov = {room, cap};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t r;

    *ret_fd = -1;
    do
        r = recvmsg(socket, &m, flags | MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r >= 0)
        *ret_fd = message_take_fd(&m);
    return r;
}
