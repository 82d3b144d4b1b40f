/* See inheritance.h. What a socket is and where it listens is asked of the kernel, not of who
 * passed it. */
#include "net/inheritance.h"

#include "base/limits.h"
#include "base/mem.h"

int inheritance_add(struct inheritance *h, int fd)
{
    struct inherited_socket s = {.fd = fd};

    if (h->n >= LIMIT_TAKEOVER_SOCKETS || !socket_is_port(fd, &s.address)) {
        socket_close(fd);
        return INHERITANCE_BAD;
    }
    h->sockets = mem_realloc(h->sockets, (h->n + 1) * sizeof s);
    h->sockets[h->n++] = s;
    return 0;
}

int inheritance_take(struct inheritance *h, const struct socket_address *a)
{
    for (size_t i = 0; h && i < h->n; i++) {
        struct inherited_socket *s = &h->sockets[i];
        int fd = s->fd;

        if (fd < 0 || !socket_address_is_same(&s->address, a))
            continue;
        s->fd = -1;
        return fd;
    }
    return -1;
}

void inheritance_deinit(struct inheritance *h)
{
    for (size_t i = 0; i < h->n; i++)
        socket_close(h->sockets[i].fd);
    mem_free(h->sockets);
    *h = (struct inheritance){0};
}
