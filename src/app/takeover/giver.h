/* The end of a takeover that has the sockets: it offers them on a socket of the file system, and
 * goes on as if nothing had happened when whoever asks fails before it has said COMMIT. Control's
 * thread. */
#pragma once

#include "admin/admin.h"
#include "app/takeover/ask.h"
#include "app/takeover/queue.h"

/* In the order of a takeover that succeeds:
 *
 *   IDLE -connection-> GREETED -HELLO-> LOADING -READY-> HANDING -COMMIT-> DRAINING -> GONE ->
 * ENDED ^                    |                |                |       workers accept no more |
 *    +--- the other fails, or its time is over -------------+            the other has ended
 */
enum giver_state {
    GIVER_IDLE,
    GIVER_GREETED,  /* who connected has not said what it is */
    GIVER_LOADING,  /* it reads its configuration */
    GIVER_HANDING,  /* it is sent sockets and state; no reload meanwhile */
    GIVER_DRAINING, /* it has them, and waits until we accept no more */
    GIVER_GONE,     /* it serves; it is told what changes */
    GIVER_ENDED,    /* nobody to tell any more */
};

struct giver;
typedef void giver_fn(struct giver *g);

struct giver {
    struct server *server;
    struct loop *loop; /* control's; outlives the server */
    struct admin *admin;
    giver_fn *on_hand;    /* the configuration must not change from now on */
    giver_fn *on_abandon; /* it may again: nobody took over */
    giver_fn *on_taken;   /* drain, and call giver_go when no worker accepts any more */
    enum giver_state state;
    int door_fd; /* listens; -1: none */
    struct listener door;
    int peer_fd;
    int peer_pid;
    struct loop_fd peer;
    struct timer timer;
    struct wake told;
    struct takeover_queue queue;
    struct takeover_ask ask; /* the workers', from COMMIT on */
    uint32_t n_sessions;
};

enum giver_result {
    GIVER_NO_SOCKET = 1, /* what stands at the path is something else */
};

/* A socket that listens at `path`, for this user alone, in place of one that nobody listens on any
 * more. 0, negative or GIVER_NO_SOCKET. */
MUST_USE int giver_make_door(const char *path, int *ret_fd);
/* Offers on `door_fd` (taken over; -1: does nothing). The callbacks are set before. 0 or negative.
 */
MUST_USE int giver_open(struct giver *g, struct server *server, struct admin *admin, int door_fd);
/* Nobody takes over from now on. Safe on zeroed memory. */
void giver_stop(struct giver *g);
/* No worker accepts any more. */
void giver_go(struct giver *g);
/* Is somebody to be told what changes? */
bool giver_has_successor(const struct giver *g);
/* Tells the rest, in bounded time, and closes; the server may be gone already. Safe on zeroed
 * memory.
 */
void giver_close(struct giver *g);
