/* A listening socket of one worker: accepts in small batches and hands the descriptors on.
 * Worker-local. */
#pragma once

#include <sys/socket.h>

#include "net/loop.h"

struct listener;
/* `fd` is non-blocking and now the callee's. */
typedef void listener_fn(struct listener *l, int fd, const struct sockaddr *peer,
                         socklen_t peer_len);
typedef void listener_end_fn(struct listener *l);

struct listener {
    struct loop_fd io;
    struct timer pause; /* out of descriptors: accepting pauses and tries again */
    listener_fn *on_accept;
    /* Once, when the socket listens no more and is watched no more: whoever shares it has shut it
     * down. Set after listener_open; NULL: nobody is told. */
    listener_end_fn *on_end;
    /* False: not now; those who come wait in the kernel's backlog. As on_end; NULL: always. */
    bool (*may_accept)(struct listener *l);
    uint64_t n_pauses;
};

/* Watches `fd`, which stays the caller's. 0 or negative. */
MUST_USE int listener_open(struct listener *l, struct loop *loop, int fd, listener_fn *on_accept);
/* Stops. With `takes_backlog` connections that the kernel has accepted already are taken first, so
 * that nobody is reset by a drain. */
void listener_close(struct listener *l, bool takes_backlog);
