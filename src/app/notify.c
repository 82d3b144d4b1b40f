/* See notify.h. */
#include "app/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { NOTIFY_TEXT_MAX = 1024 };

/* A path, or behind an "@" a name of the abstract kind. False: it is neither, or too long. */
static bool notify_address(const char *name, struct sockaddr_un *ret, socklen_t *ret_len)
{
    size_t n = strlen(name);

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof ret->sun_path)
        return false;
    memcpy(ret->sun_path, name, n);
    if (name[0] == '@')
        ret->sun_path[0] = '\0';
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

void notify_open(struct notify *n)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t len;

    n->fd = -1;
    if (!name || !*name)
        return;
    if (!notify_address(name, &address, &len)) {
        log_warn("NOTIFY_SOCKET is no path or name of a socket: nobody is told when this is ready");
        return;
    }
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd >= 0 && connect(n->fd, (const struct sockaddr *)&address, len) == 0)
        return;
    log_warn("NOTIFY_SOCKET: nobody is told when this is ready: %s", strerror(errno));
    notify_close(n);
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

/* A manager that does not read is not waited for. */
static void notify_say(const struct notify *n, const char *text)
{
    if (n->fd >= 0 && send(n->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        log_warn("NOTIFY_SOCKET: %s", strerror(errno));
}

void notify_ready(const struct notify *n, const char *status)
{
    char text[NOTIFY_TEXT_MAX];
    size_t head = strlen("READY=1\nSTATUS=");

    if (n->fd < 0)
        return;
    snprintf(text, sizeof text, "READY=1\nSTATUS=%s", status);
    for (char *c = text + head; *c; c++) {
        if ((unsigned char)*c < ' ')
            *c = ' ';
    }
    notify_say(n, text);
}

void notify_reloading(const struct notify *n)
{
    char text[NOTIFY_TEXT_MAX];

    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)clock_read().mono_us);
    notify_say(n, text);
}

void notify_stopping(const struct notify *n)
{
    notify_say(n, "STOPPING=1");
}
