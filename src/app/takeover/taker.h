/* The end of a takeover that gets the sockets: the new process. Until it has said COMMIT it may
 * fail at any point, and the other goes on; from then on it serves, and is told what the other's
 * last requests cost. Control's thread; before the loop runs it waits for each answer, a bounded
 * time. */
#pragma once

#include "gateway/server.h"

struct taker;
typedef void taker_fn(struct taker *t);

struct taker {
    int fd; /* -1: nobody was there, or it has ended */
    int door_fd;
    int ask_fd; /* where the other's workers ask; -1: they do not */
    int peer_pid;
    struct server *server;
    struct inheritance sockets;
    struct loop_fd io;
    struct loop_fd ask_io;
    taker_fn *on_end; /* the other process has ended; NULL: nobody is told */
    bool has_state;
};

enum taker_result {
    TAKER_NOBODY = 1, /* nobody listens there */
    TAKER_REFUSED,    /* `ret_why` says why */
};

/* Finds the gateway that listens at `path`. Before the sandbox, which allows no such socket. 0,
 * negative or a condition. */
MUST_USE int taker_open(struct taker *t, const char *path, struct buf *ret_why);
/* Gets its sockets and state, into `server`, whose configuration is compiled and whose ports are
 * not open. 0, negative or TAKER_REFUSED. */
MUST_USE int taker_take(struct taker *t, struct server *server, struct buf *ret_why);
/* The ports are open: from here on there is no way back. The other accepts no more when it returns,
 * or is gone. 0 or negative: it goes on, and this process must not serve. */
MUST_USE int taker_commit(struct taker *t);
/* Listens to what the other has left to say. 0 or negative. */
MUST_USE int taker_follow(struct taker *t);
/* Also of one that takeover_init has made, and repeated. */
void taker_close(struct taker *t);
