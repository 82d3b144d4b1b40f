/* What a service manager hears, at a socket of the test. */
#include "app/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test/harness/test.h"

/* Bound where only this process is: an abstract name that the kernel chooses. */
static int listen_somewhere(char ret_name[64])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t len = sizeof address;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    size_t n;

    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    n = len - offsetof(struct sockaddr_un, sun_path);
    CHECK(n > 1 && n < 64);
    ret_name[0] = '@';
    memcpy(ret_name + 1, address.sun_path + 1, n - 1);
    ret_name[n] = '\0';
    return fd;
}

static const char *hear(int fd)
{
    static char text[4096];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

TEST(the_manager_hears_each_state)
{
    struct notify n;
    char name[64];
    int fd = listen_somewhere(name);

    setenv("NOTIFY_SOCKET", name, 1);
    notify_open(&n);
    notify_ready(&n, "serving");
    CHECK(strcmp(hear(fd), "READY=1\nSTATUS=serving") == 0);
    notify_reloading(&n);
    CHECK(strncmp(hear(fd), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
    /* A text of a manifest cannot say anything else in our name. */
    notify_ready(&n, "kept: a\nMAINPID=1\r\x7f");
    CHECK(strcmp(hear(fd), "READY=1\nSTATUS=kept: a MAINPID=1 \x7f") == 0);
    notify_stopping(&n);
    CHECK(strcmp(hear(fd), "STOPPING=1") == 0);
    notify_close(&n);
    notify_close(&n);
    close(fd);
}

TEST(long_words_are_cut_and_a_full_socket_is_not_waited_for)
{
    struct notify n;
    char name[64], status[8000];
    int fd = listen_somewhere(name);

    setenv("NOTIFY_SOCKET", name, 1);
    notify_open(&n);
    memset(status, 'a', sizeof status);
    status[sizeof status - 1] = '\0';
    notify_ready(&n, status);
    CHECK(strlen(hear(fd)) == 1023);
    for (int i = 0; i < 10000; i++)
        notify_ready(&n, status);
    notify_close(&n);
    close(fd);
}

/* One more than an address has room for. */
static char long_name[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];

TEST(nobody_is_told_where_nobody_can_be)
{
    static const char *const names[] = {NULL, "", "@", "relative", "/no/such/socket", long_name};

    memset(long_name, '/', sizeof long_name - 1);
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        struct notify n;

        if (names[i])
            setenv("NOTIFY_SOCKET", names[i], 1);
        else
            unsetenv("NOTIFY_SOCKET");
        notify_open(&n);
        CHECK_MSG(n.fd == -1, "row %zu", i);
        notify_ready(&n, "serving");
        notify_reloading(&n);
        notify_stopping(&n);
        notify_close(&n);
    }
}
