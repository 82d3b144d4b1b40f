/* The listening sockets that the parent holds for its child: bound when the child asks, kept while
 * a child that died is started anew, closed when it lets go. */
#pragma once

#include "base/limits.h"
#include "net/broker.h"

struct held_socket {
    int fd;
    bool is_lent; /* to the child that runs */
    uint64_t cookie;
    struct socket_address address;
};

/* Messages that are served before the parent looks at its signals and timers again. */
enum { SOCKET_HOLDER_BATCH = 64 };

/* One object, of the parent's only thread. */
struct socket_holder {
    struct held_socket sockets[LIMIT_HELD_SOCKETS];
    size_t n;
    bool may_bind_privileged;
    bool is_ready; /* the child says that it serves: it brings no sockets of its own any more */
    bool has_left; /* it says that another process serves now, and asks for nothing more */
};

/* Does what the messages ask that have come, SOCKET_HOLDER_BATCH of them at most, and answers them.
 * BROKER_EMPTY, 0 (there may be more), or else: the channel is at its end, or holds what is no
 * message of ours. */
MUST_USE int socket_holder_serve(struct socket_holder *h, int channel);
/* The child is gone: its sockets wait for the next one, as far as they listen. */
void socket_holder_take_back(struct socket_holder *h);
void socket_holder_close_all(struct socket_holder *h);
