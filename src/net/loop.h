/* The event loop: epoll level-triggered, timers, wake-ups, deferred work, retire list. One loop per
 * thread; every function but wake_post is for the loop's own thread. Nothing here allocates per
 * event. */
#pragma once

#include <sys/epoll.h>

#include "base/clock.h"
#include "base/list.h"
#include "net/wake.h"

enum loop_events {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_HANGUP = 4, /* reported only: error or both sides closed */
};

struct loop;
struct loop_fd;
typedef void loop_fd_fn(struct loop_fd *io, unsigned events);

/* A watched descriptor, embedded in its owner. The descriptor stays the owner's to close. */
struct loop_fd {
    struct loop *loop;
    loop_fd_fn *on_ready;
    int fd;
    unsigned wanted; /* LOOP_READ | LOOP_WRITE as known to epoll */
    bool is_late;    /* see loop_fd_make_late */
};

struct timer;
typedef void timer_fn(struct timer *t);

/* Embedded in its owner; zeroed is unarmed. */
struct timer {
    timer_fn *fn;
    uint64_t due_us;     /* monotonic */
    uint64_t placed_us;  /* its order in the heap: never later than due_us */
    uint32_t heap_index; /* 0: not armed */
};

struct deferred;
typedef void deferred_fn(struct deferred *d);

/* Work for the end of this loop turn (flushes), or memory that must outlive the running callback
 * (retire). Runs once; may be scheduled again from within. Scheduling twice is one run. */
struct deferred {
    struct list_node node;
    deferred_fn *fn;
};

enum { LOOP_BATCH = 256 };

struct loop {
    struct clock now; /* read once a turn */
    int epoll_fd;
    int late_fd; /* an epoll of those that are late; watched by the first */
    int event_fd;
    bool is_open;
    bool is_stopping;
    struct timer **heap; /* 4-ary, [1..n_timers] */
    uint32_t n_timers;
    uint32_t heap_cap;
    struct list deferred;
    struct list retired;
    struct wake *_Atomic wakes; /* posted, last in first out */
    int batch_n;                /* events in hand */
    int batch_at;
    bool has_late;       /* there are late ones to fetch in this turn */
    uint32_t n_catch_up; /* turns in which timers wait for descriptors; see loop.c */
    uint64_t catch_up_until_us;
    struct epoll_event batch[LOOP_BATCH];
};

/* 0 or negative. */
MUST_USE int loop_init(struct loop *l);
void loop_deinit(struct loop *l);
/* Turns until loop_stop(). */
MUST_USE int loop_run(struct loop *l);
/* One turn that waits at most `timeout_ms` (-1: until something happens): tests, start-up. */
MUST_USE int loop_turn(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l);
/* Have more descriptors reported in this turn than were told? */
static inline bool loop_is_busy(const struct loop *l)
{
    return l->batch_at + 1 < l->batch_n;
}

/* `events` is what to watch for. 0 or negative. */
MUST_USE int loop_fd_add(struct loop *l, struct loop_fd *io, int fd, unsigned events,
                         loop_fd_fn *on_ready);
/* From now on it is served after the others of each turn, at most LOOP_BATCH of its kind at once.
 * Epoll reports in the order in which descriptors become ready: a request would wait behind
 * whatever thousands of answers have to say. 0 or negative; then it is watched as before. */
MUST_USE int loop_fd_make_late(struct loop_fd *io);
/* No system call when nothing changes. Level-triggered: an unwanted readable descriptor must be
 * unwatched once it has reported, or it reports each turn. */
MUST_USE int loop_fd_want(struct loop_fd *io, unsigned events);
/* Before the descriptor is closed. No callback follows, also in this turn. Safe when not added. */
void loop_fd_remove(struct loop_fd *io);

/* (Re)arms; never a system call. Moving a timer later is cheap: it is moved when it fires. */
void timer_set(struct loop *l, struct timer *t, uint64_t due_us);
void timer_cancel(struct loop *l, struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return t->heap_index != 0;
}

/* At the end of this turn, before waiting. */
void loop_defer(struct loop *l, struct deferred *d, deferred_fn *fn);
/* After all deferred work of this turn: for freeing. */
void loop_retire(struct loop *l, struct deferred *d, deferred_fn *fn);
