/* Whole messages between processes of this program, each with one descriptor or none (SCM_RIGHTS).
 */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

/* `fd` goes with it unless it is -1, and stays the caller's. `flags` as of sendmsg(2). What
 * sendmsg(2) answers; never interrupted. */
ssize_t message_send(int socket, const void *bytes, size_t n, int fd, int flags);
/* `*ret_fd` is the caller's now; -1: none came, or more than one. What recvmsg(2) answers with
 * `flags`; never interrupted. */
ssize_t message_receive(int socket, void *room, size_t cap, int *ret_fd, int flags);
