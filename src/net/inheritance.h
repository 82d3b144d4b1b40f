/* Listening sockets that another process has left to this one: each belongs to who asks for its
 * address first, and those that nobody asks for are closed. Control's thread. */
#pragma once

#include "net/socket.h"

struct inherited_socket {
    int fd;
    struct socket_address address;
};

struct inheritance {
    struct inherited_socket *sockets;
    size_t n;
};

enum inheritance_result {
    INHERITANCE_BAD =
        1, /* not a TCP socket that listens, or one more than LIMIT_TAKEOVER_SOCKETS */
};

/* `fd` is the callee's in any case. 0 or INHERITANCE_BAD. */
MUST_USE int inheritance_add(struct inheritance *h, int fd);
/* The caller's now. -1: none (left) at that address; NULL has none. */
int inheritance_take(struct inheritance *h, const struct socket_address *a);
/* Closes the rest. Safe on zeroed memory and repeated. */
void inheritance_deinit(struct inheritance *h);
