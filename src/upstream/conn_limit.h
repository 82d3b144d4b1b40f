/* How many connections to backends there are, of all workers together, and may be: descriptors are
 * shared out, and of backends there may be many. Where no more may be, or the system has no
 * descriptor, those that are unused the longest make room: a worker's own at once, the others' when
 * they are asked, for which an attempt waits a moment (ATTEMPT_CROWDED). Where none is unused it is
 * refused.
 *
 * No wake is lost: who waits counts itself first and tries once more second, who gives a place back
 * does that first and looks for those who wait second. Shared by all threads. */
#pragma once

#include <pthread.h>

#include "base/bounded_count.h"
#include "base/list.h"
#include "base/macro.h"
#include "net/wake.h"

struct conn_limit {
    struct bounded_count open;
    uint32_t n_max;
    _Atomic uint32_t n_crowded; /* attempts that wait for a place */
    _Atomic uint32_t n_closing; /* connections that are unused no more, and hold their places yet */
    _Atomic uint64_t n_given;   /* places given back so far */
    _Atomic uint64_t n_closed;  /* unused ones that have made room */
    pthread_mutex_t lock;       /* of the list */
    struct list members;
};

/* The connections of one worker, as the others see them. */
struct conn_limit_member {
    struct list_node node;
    struct conn_limit *limit;  /* NULL: nothing bounds them, nobody asks for them */
    struct wake wake;          /* it is asked, or there may be a place */
    _Atomic uint32_t n_unused; /* pools with a connection that is not used; its worker's to write */
    _Atomic bool is_asked;     /* to close the one that is unused longest */
    uint64_t n_given_seen;     /* before the last take; its worker's alone */
};

void conn_limit_init(struct conn_limit *l, uint32_t n_max);
/* No member is left. */
void conn_limit_deinit(struct conn_limit *l);
/* Its wake is the caller's to set up. */
void conn_limit_add_member(struct conn_limit *l, struct conn_limit_member *m);
void conn_limit_remove_member(struct conn_limit_member *m);

/* A place for one connection. False: there is none. */
MUST_USE bool conn_limit_take(struct conn_limit_member *m);
/* Its connection is about to be closed, which ends with conn_limit_put: for a moment nobody has it
 * as an unused one and its place is not free. */
void conn_limit_begin_closing(struct conn_limit_member *m);
/* Its connection is closed: whoever waits is told. */
void conn_limit_put(struct conn_limit_member *m);
/* A place has come since the last take, or comes: it is worth trying again. To be asked after
 * conn_limit_ask, or a connection that closes meanwhile is seen by neither. */
MUST_USE bool conn_limit_gets_room(const struct conn_limit_member *m);
/* There was none, for want of a descriptor: nobody else would have more luck. */
void conn_limit_put_unused(struct conn_limit_member *m);
/* Others than `m` are to close an unused connection each. False: they have none. */
MUST_USE bool conn_limit_ask(struct conn_limit_member *m);
/* Am I? Once for each time of being asked. */
MUST_USE bool conn_limit_is_asked(struct conn_limit_member *m);
/* One of the member's pools has an unused connection now, or has none. */
void conn_limit_note_unused(struct conn_limit_member *m, bool has_some);
/* One that waits, and waits no longer. */
void conn_limit_join(struct conn_limit_member *m);
void conn_limit_leave(struct conn_limit_member *m);
