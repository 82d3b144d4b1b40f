/* Messages with descriptors and without: what comes is what was sent, and no descriptor is left
 * that nobody has asked for (the harness counts them). */
#include "net/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"
#include "test/harness/test.h"

static int here, there;

static void open_pair(void)
{
    int pair[2];

    CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    here = pair[0];
    there = pair[1];
}

static void close_pair(void)
{
    socket_close(here);
    socket_close(there);
}

static bool is_same_file(int a, int b)
{
    struct stat one, other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino;
}

TEST(a_descriptor_comes_with_its_message_and_only_with_that)
{
    char room[8];
    int fd;

    open_pair();
    CHECK_INT(message_send(here, "with", 4, here, 0), 4);
    CHECK_INT(message_send(here, "none", 4, -1, 0), 4);
    CHECK_INT(message_receive(there, room, sizeof room, &fd, 0), 4);
    CHECK(memcmp(room, "with", 4) == 0 && fd > there && is_same_file(fd, here));
    socket_close(fd);
    CHECK_INT(message_receive(there, room, sizeof room, &fd, 0), 4);
    CHECK(memcmp(room, "none", 4) == 0 && fd == -1);
    close_pair();
}

TEST(of_several_descriptors_none_is_taken_and_none_stays_open)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control = {0};
    struct iovec iov = {(char[]){"many"}, 4};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room};
    char room[8];
    int fd;

    open_pair();
    for (size_t n = 2; n <= 3; n++) {
        int fds[] = {here, there, here};

        m.msg_controllen = CMSG_SPACE(n * sizeof fds[0]);
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(n * sizeof fds[0]),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, n * sizeof fds[0]);
        CHECK_INT(sendmsg(here, &m, 0), 4);
        CHECK_INT(message_receive(there, room, sizeof room, &fd, 0), 4);
        CHECK_INT(fd, -1);
    }
    close_pair();
}

TEST(the_whole_length_is_told_of_what_has_no_room)
{
    char room[2];
    int fd;

    open_pair();
    CHECK_INT(message_receive(there, room, sizeof room, &fd, MSG_DONTWAIT), -1);
    CHECK_INT(errno, EAGAIN);
    CHECK_INT(message_send(here, "long", 4, -1, 0), 4);
    CHECK_INT(message_receive(there, room, sizeof room, &fd, MSG_DONTWAIT | MSG_TRUNC), 4);
    close_pair();
}
