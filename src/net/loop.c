/* The event loop; see loop.h. Order within a turn: wait, read the clocks, descriptors, late
 * descriptors, timers that are due, deferred work, retired memory. Deferred work scheduled by
 * deferred work runs in the same turn (an answer that is complete leads to the next pipelined
 * request), up to LOOP_DEFER_ROUNDS rounds; the rest waits for the next turn, which then does not
 * block. What is retired goes only after a whole round that began later: its own deferred work has
 * run by then.
 *
 * Timers come after descriptors because what moves a timer on lies in a descriptor. When the thread
 * was away (the process was stopped, the machine slept), one turn may not get at all of that:
 * timers then wait until a turn finds nothing more to read, or for LOOP_CATCH_UP_TURNS turns, or as
 * long again as it was away. Else every time limit that ended in the gap would be a failure,
 * although what was waited for came in time. Turns that have much to do are no such gap, or a loop
 * that is never done would never come to its timers.
 * Thread: the loop's own, but for wake_post. */
#include "net/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "net/loop_internal.h"

enum {
    LOOP_DEFER_ROUNDS = 8,
    LOOP_OVERSLEPT_US = 100 * 1000,  /* shorter than any time limit */
    LOOP_LONG_TURN_US = 1000 * 1000, /* there is no turn that has so much to do */
    LOOP_CATCH_UP_TURNS = 64,
};

static int loop_open(struct loop *l)
{
    struct epoll_event wakes = {.events = EPOLLIN, .data.ptr = NULL};
    struct epoll_event late = {.events = EPOLLIN, .data.ptr = LOOP_LATE};

    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return error_origin(-errno);
    l->late_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->late_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->late_fd, &late) < 0)
        return error_origin(-errno);
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->event_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->event_fd, &wakes) < 0)
        return error_origin(-errno);
    return 0;
}

int loop_init(struct loop *l)
{
    int r;

    *l = (struct loop){.is_open = true, .epoll_fd = -1, .late_fd = -1, .event_fd = -1};
    l->now = clock_read();
    r = loop_open(l);
    if (r < 0)
        loop_deinit(l);
    return r;
}

void loop_deinit(struct loop *l)
{
    if (!l->is_open)
        return;
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->late_fd >= 0)
        close(l->late_fd);
    if (l->event_fd >= 0)
        close(l->event_fd);
    mem_free(l->heap);
    *l = (struct loop){.epoll_fd = -1, .late_fd = -1, .event_fd = -1};
}

/* ---- descriptors ---- */

static uint32_t loop_epoll_mask(unsigned events)
{
    return ((events & LOOP_READ) ? EPOLLIN : 0U) | ((events & LOOP_WRITE) ? EPOLLOUT : 0U);
}

static int loop_epoll_of(const struct loop_fd *io)
{
    return io->is_late ? io->loop->late_fd : io->loop->epoll_fd;
}

int loop_fd_add(struct loop *l, struct loop_fd *io, int fd, unsigned events, loop_fd_fn *on_ready)
{
    struct epoll_event event = {.events = loop_epoll_mask(events), .data.ptr = io};

    PRE(!io->loop && fd >= 0);
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return error_origin(-errno);
    io->loop = l;
    io->fd = fd;
    io->wanted = events;
    io->on_ready = on_ready;
    io->is_late = false;
    return 0;
}

int loop_fd_make_late(struct loop_fd *io)
{
    struct epoll_event event = {.events = loop_epoll_mask(io->wanted), .data.ptr = io};

    PRE(io->loop && !io->is_late);
    if (epoll_ctl(io->loop->late_fd, EPOLL_CTL_ADD, io->fd, &event) < 0)
        return error_origin(-errno);
    epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    io->is_late = true;
    return 0;
}

int loop_fd_want(struct loop_fd *io, unsigned events)
{
    struct epoll_event event = {.events = loop_epoll_mask(events), .data.ptr = io};

    if (io->wanted == events)
        return 0;
    if (epoll_ctl(loop_epoll_of(io), EPOLL_CTL_MOD, io->fd, &event) < 0)
        return error_origin(-errno);
    io->wanted = events;
    return 0;
}

void loop_fd_remove(struct loop_fd *io)
{
    struct loop *l = io->loop;

    if (!l)
        return;
    epoll_ctl(loop_epoll_of(io), EPOLL_CTL_DEL, io->fd, NULL);
    /* Events of this turn that were fetched already must not find it. */
    for (int i = l->batch_at; i < l->batch_n; i++) {
        if (l->batch[i].data.ptr == io)
            l->batch[i].data.ptr = LOOP_GONE;
    }
    io->loop = NULL;
    io->fd = -1;
    io->wanted = 0;
}

static unsigned loop_events_of(uint32_t mask)
{
    unsigned events = 0;

    if (mask & (EPOLLIN | EPOLLRDHUP))
        events |= LOOP_READ;
    if (mask & EPOLLOUT)
        events |= LOOP_WRITE;
    if (mask & (EPOLLERR | EPOLLHUP))
        events |= LOOP_HANGUP;
    return events;
}

static void loop_dispatch(struct loop *l, const struct epoll_event *event)
{
    struct loop_fd *io = event->data.ptr;
    uint64_t count;

    if (event->data.ptr == LOOP_GONE)
        return;
    if (event->data.ptr == LOOP_LATE) {
        l->has_late = true;
        return;
    }
    if (!io) {
        ssize_t unused UNUSED = read(l->event_fd, &count, sizeof count);

        loop_run_wakes(l);
        return;
    }
    unsigned events = loop_events_of(event->events);

    /* Whatever was not asked for is not told, but the hang-up, which comes unasked. */
    events &= io->wanted | LOOP_HANGUP;
    if (events)
        io->on_ready(io, events);
}

/* ---- deferred and retired ---- */

static void loop_schedule(struct list *list, struct deferred *d, deferred_fn *fn)
{
    d->fn = fn;
    if (!d->node.owner)
        list_append(list, &d->node);
}

void loop_defer(struct loop *l, struct deferred *d, deferred_fn *fn)
{
    loop_schedule(&l->deferred, d, fn);
}

void loop_retire(struct loop *l, struct deferred *d, deferred_fn *fn)
{
    loop_schedule(&l->retired, d, fn);
}

/* Runs the first n that stand on the list, none that is added meanwhile. */
static void loop_run_list(struct list *list, size_t n)
{
    while (n-- > 0 && list->first) {
        struct deferred *d = CONTAINER_OF(list->first, struct deferred, node);

        list_remove(&d->node);
        d->fn(d);
    }
}

static void loop_end_turn(struct loop *l)
{
    size_t n_retired = 0;

    for (int i = 0; i < LOOP_DEFER_ROUNDS && l->deferred.first; i++) {
        n_retired = l->retired.n_nodes;
        loop_run_list(&l->deferred, l->deferred.n_nodes);
    }
    if (l->deferred.first)
        loop_run_list(&l->retired, n_retired);
    while (!l->deferred.first && l->retired.first)
        loop_run_list(&l->retired, l->retired.n_nodes);
}

/* ---- turns ---- */

static int loop_timeout_ms(struct loop *l, int timeout_ms)
{
    int timer_ms = loop_timer_wait_ms(l);

    if (l->deferred.first || l->retired.first)
        return 0;
    if (timer_ms >= 0 && (timeout_ms < 0 || timer_ms < timeout_ms))
        return timer_ms;
    return timeout_ms;
}

static void loop_dispatch_batch(struct loop *l, int n)
{
    l->batch_n = n < 0 ? 0 : n; /* interrupted: what is ready is reported again */
    for (l->batch_at = 0; l->batch_at < l->batch_n; l->batch_at++)
        loop_dispatch(l, &l->batch[l->batch_at]);
    l->batch_n = 0;
}

/* For how long the thread was away; 0: it was not. The turn before began at `began_us`, and at
 * `waited_us` it went to sleep for `wait_us`, or until it was interrupted (`n` is negative then:
 * our threads block signals, so that only being stopped and continued does that). */
static uint64_t loop_away_us(const struct loop *l, uint64_t began_us, uint64_t waited_us,
                             uint64_t wait_us, int n)
{
    uint64_t slept_us = l->now.mono_us > waited_us ? l->now.mono_us - waited_us : 0;

    if (n < 0 || slept_us > wait_us + LOOP_OVERSLEPT_US)
        return MAX(slept_us, (uint64_t)1);
    return waited_us > began_us + LOOP_LONG_TURN_US ? waited_us - began_us : 0;
}

/* May the timers run, after a turn with `n` events that came late? */
static bool loop_has_caught_up(struct loop *l, int n)
{
    l->n_catch_up--;
    if (n == 0 || !loop_has_due_timer(l) || l->now.mono_us >= l->catch_up_until_us)
        l->n_catch_up = 0;
    return l->n_catch_up == 0;
}

int loop_turn(struct loop *l, int timeout_ms)
{
    int wait_ms = loop_timeout_ms(l, timeout_ms);
    uint64_t began_us = l->now.mono_us;
    uint64_t waited_us = clock_coarse_us();
    uint64_t wait_us = wait_ms < 0 ? (uint64_t)INT64_MAX : (uint64_t)wait_ms * 1000;
    int n = epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, wait_ms);
    uint64_t away_us;

    if (n < 0 && errno != EINTR)
        return error_origin(-errno);
    l->now = clock_read();
    away_us = loop_away_us(l, began_us, waited_us, wait_us, n);
    if (UNLIKELY(away_us > 0 && l->n_catch_up == 0)) {
        l->n_catch_up = LOOP_CATCH_UP_TURNS;
        l->catch_up_until_us = l->now.mono_us + away_us;
    }
    loop_dispatch_batch(l, n);
    if (l->has_late) {
        l->has_late = false;
        loop_dispatch_batch(l, epoll_wait(l->late_fd, l->batch, LOOP_BATCH, 0));
    }
    if (LIKELY(l->n_catch_up == 0) || loop_has_caught_up(l, n))
        loop_run_timers(l);
    loop_end_turn(l);
    return 0;
}

int loop_run(struct loop *l)
{
    while (!l->is_stopping) {
        int r = loop_turn(l, -1);

        if (r < 0)
            return r;
    }
    return 0;
}

void loop_stop(struct loop *l)
{
    l->is_stopping = true;
}
