/* Attempts that wait for a connection to a backend, of all workers together: bounded, and shared
 * among tenants by deficit round robin. Whoever gives a place for a connection back hands it to the
 * next in turn, on whichever worker that waits: the place, and one among the requests under way,
 * are taken on its behalf, within its own bounds as they are then, so that nobody comes in between;
 * then its worker is woken. One lock for each backend, which nobody takes while nobody waits.
 *
 *     join --> WAITING --> GRANTED (has a place) | DROPPED (has no place in the queue any more)
 *                 |                                     --> taken by its worker, once woken
 *                 +--> served by a connection of its own worker, or leaves
 *
 * No wake is lost: who waits counts itself first and looks for a place second, who gives one back
 * counts it first and looks for those who wait second. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "policy/deficit.h"

struct breaker;
struct breaker_limits;
struct endpoint;
struct endpoint_set;
struct endpoint_state;
struct wake;

/* The queue of one backend. Shared. */
struct pending_queue {
    _Atomic uint32_t n_waiting;
    pthread_mutex_t lock; /* of all that follows, and of what is in it */
    struct deficit tenants;
    struct map by_tenant;
    struct list members;
    uint32_t n_beyond;   /* of those who wait: for a connection that is unused, beyond the bound */
    uint32_t n_yielding; /* connections that end, once their streams are through, for who waits */
    uint32_t n_standins;
    uint32_t n_elsewhere; /* who waits in another process, stand-ins included */
    uint32_t session;     /* places.h */
};

enum pending_verdict { PENDING_WAITING, PENDING_GRANTED, PENDING_DROPPED };
#define PENDING_NEVER_US UINT64_MAX

/* The pool of one worker, as the others see it. */
struct pending_member {
    struct list_node node;
    struct list told;   /* waiters of it with a verdict; under the lock */
    uint32_t n_waiting; /* of it; so too */
    struct wake *wake;  /* posted when there is one, or something to do */
    _Atomic bool has_told;
    _Atomic bool has_turn; /* its connections may be good for who waits, though they were not */
    _Atomic uint64_t idle_since_us; /* of the connection that is unused longest */
    _Atomic uint32_t n_wanted;      /* unused connections that it is asked to close */
};

/* Embedded in its attempt. What its worker fills in before it joins stands first. */
struct pending_waiter {
    struct pending_member *home;
    const struct breaker_limits *limits;
    struct endpoint_set *endpoints; /* where it may go; the worker's reference */
    bool is_fresh_wanted;           /* no connection that is open already will do */
    bool may_share;                 /* one of HTTP/2 will */
    bool may_panic;                 /* endpoints that are ill will do, where too few are well */
    bool is_standin;                /* for another process, which has chosen them by itself */
    struct list_node node;          /* of its tenant's, then of its home's told; under the lock */
    struct pending_tenant *tenant;
    bool is_beyond;
    uint32_t n_passed; /* how often others have gone before it, out of turn */
    enum pending_verdict verdict;
    struct endpoint *place; /* granted: where its connection may go */
};

/* A connection of a worker with room for one more attempt. */
struct pending_offer {
    const struct endpoint_state *endpoint;
    bool is_ill;    /* its endpoint is: good in panic only */
    bool is_shared; /* HTTP/2 */
    bool is_busy;   /* it has streams: where it yields it ends when they do */
    bool may_yield; /* it can be ended for the sake of another worker's */
};

void pending_init(struct pending_queue *q);
void pending_deinit(struct pending_queue *q);
static inline uint32_t pending_count(const struct pending_queue *q)
{
    return atomic_load_explicit(&q->n_waiting, memory_order_relaxed);
}
static inline bool pending_is_any(const struct pending_queue *q)
{
    return pending_count(q) > 0;
}
/* The same, in order after what this thread has written before. */
static inline bool pending_is_any_now(struct pending_queue *q)
{
    return atomic_fetch_add_explicit(&q->n_waiting, 0, memory_order_acq_rel) > 0;
}

void pending_add_member(struct breaker *b, struct pending_member *m, struct wake *wake);
void pending_remove_member(struct breaker *b, struct pending_member *m); /* nobody of it may wait */

/* False: there is no room, which is counted; a tenant who has more waiting than the new one makes
 * some, and so do connections that are unused. `tenant` is copied. */
MUST_USE bool pending_join(struct breaker *b, struct pending_waiter *w, struct str tenant);
/* Whatever it was granted goes to the next. */
void pending_leave(struct breaker *b, struct pending_waiter *w);
/* One of the member's with a verdict: it, and what it was granted, is its worker's; NULL: none. */
struct pending_waiter *pending_take_told(struct breaker *b, struct pending_member *m);
/* A place was given back: whoever can have it gets it. `is_request`: one among the requests, which
 * may be all that somebody needs beside a connection that is open. */
void pending_on_place(struct breaker *b, bool is_request);
/* The same where bounds have changed; who is not let in by them at all is dropped. */
void pending_on_bounds(struct breaker *b);
/* Who of the member's own goes on by this connection, with a place among the requests. NULL:
 * nobody, and with *ret_yields it is to end, for another's turn (of busy ones one at a time). */
struct pending_waiter *pending_serve(struct breaker *b, struct pending_member *m,
                                     const struct pending_offer *offer, bool *ret_yields);
void pending_end_yielding(struct breaker *b);           /* one that was busy has ended */
uint32_t pending_take_wanted(struct pending_member *m); /* how many it is to close, once */
void pending_want(struct breaker *b);                   /* it had fewer: another one is asked */
