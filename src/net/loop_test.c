/* Timers run on a time of the test's own (loop.now set by hand); descriptors, deferred work and
 * wakes run on a real loop. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "net/loop_internal.h"
#include "test/harness/test.h"

/* What happened, in order: one letter each. */
static char story[64];
static size_t story_len;

static void tell(char c)
{
    if (story_len + 1 < sizeof story)
        story[story_len++] = c;
    story[story_len] = '\0';
}

#define CHECK_STORY(text) CHECK_MSG(strcmp(story, (text)) == 0, "story: %s", story)

struct told_timer {
    struct timer timer;
    char letter;
    struct loop *again_on; /* arms itself for now, this often */
    int n_again;
};

static void told_timer_on_due(struct timer *t)
{
    struct told_timer *m = CONTAINER_OF(t, struct told_timer, timer);

    tell(m->letter);
    if (m->again_on && m->n_again-- > 0)
        timer_set(m->again_on, t, m->again_on->now.mono_us);
}

static void run_timers_at(struct loop *l, uint64_t now_us)
{
    l->now.mono_us = now_us;
    loop_run_timers(l);
}

TEST(a_timer_runs_when_due_and_only_once)
{
    struct loop l = {0};
    struct told_timer a = {.timer.fn = told_timer_on_due, .letter = 'a'};

    timer_set(&l, &a.timer, 100);
    CHECK(timer_is_set(&a.timer));
    run_timers_at(&l, 99);
    CHECK_STORY("");
    run_timers_at(&l, 100);
    CHECK(!timer_is_set(&a.timer));
    run_timers_at(&l, 1000);
    CHECK_STORY("a");
    free(l.heap);
}

TEST(timers_run_in_the_order_of_their_times_also_when_moved)
{
    struct loop l = {0};
    struct told_timer t[4];

    for (int i = 0; i < 4; i++) {
        t[i] = (struct told_timer){.timer.fn = told_timer_on_due, .letter = (char)('a' + i)};
        timer_set(&l, &t[i].timer, (uint64_t)(40 - i * 10));
    }
    timer_set(&l, &t[3].timer, 35); /* later: lazily */
    timer_set(&l, &t[0].timer, 5);  /* earlier: at once */
    CHECK(t[3].timer.placed_us == 10);
    CHECK(l.n_timers == 4);
    run_timers_at(&l, 100);
    CHECK_STORY("acbd");
    free(l.heap);
}

TEST(a_timer_moved_later_does_not_run_at_its_old_time)
{
    struct loop l = {0};
    struct told_timer a = {.timer.fn = told_timer_on_due, .letter = 'a'};

    timer_set(&l, &a.timer, 100);
    timer_set(&l, &a.timer, 200);
    timer_set(&l, &a.timer, 150); /* between where it stands and where it was moved */
    run_timers_at(&l, 149);
    CHECK_STORY("");
    CHECK(timer_is_set(&a.timer));
    CHECK_INT(loop_timer_wait_ms(&l), 1);
    run_timers_at(&l, 150);
    CHECK_STORY("a");
    free(l.heap);
}

TEST(a_cancelled_timer_never_runs)
{
    struct loop l = {0};
    struct told_timer a = {.timer.fn = told_timer_on_due, .letter = 'a'};
    struct told_timer b = {.timer.fn = told_timer_on_due, .letter = 'b'};

    timer_set(&l, &a.timer, 10);
    timer_set(&l, &b.timer, 20);
    timer_cancel(&l, &a.timer);
    timer_cancel(&l, &a.timer);
    run_timers_at(&l, 100);
    CHECK_STORY("b");
    CHECK_INT(loop_timer_wait_ms(&l), -1);
    free(l.heap);
}

TEST(a_timer_that_arms_itself_for_now_lets_the_turn_end)
{
    struct loop l = {0};
    struct told_timer a = {
        .timer.fn = told_timer_on_due, .letter = 'a', .again_on = &l, .n_again = 1000};
    struct told_timer b = {.timer.fn = told_timer_on_due, .letter = 'b'};

    timer_set(&l, &a.timer, 10);
    timer_set(&l, &b.timer, 20);
    run_timers_at(&l, 100);
    CHECK_STORY("ab");
    CHECK_INT(loop_timer_wait_ms(&l), 0);
    run_timers_at(&l, 101);
    CHECK_STORY("aba");
    free(l.heap);
}

enum { MANY_TIMERS = 2000 };

static uint64_t last_due_us;
static int n_due;

static void many_on_due(struct timer *t)
{
    CHECK(t->due_us >= last_due_us);
    last_due_us = t->due_us;
    n_due++;
}

TEST(thousands_of_timers_set_moved_and_cancelled_at_random_keep_their_order)
{
    static struct timer many[MANY_TIMERS];
    struct loop l = {0};
    struct random random;
    int n_set = 0;

    random_init_seed(&random, 7);
    for (int i = 0; i < MANY_TIMERS * 20; i++) {
        struct timer *t = &many[random_below(&random, MANY_TIMERS)];

        t->fn = many_on_due;
        if (random_below(&random, 4) == 0)
            timer_cancel(&l, t);
        else
            timer_set(&l, t, 1 + random_below(&random, 100000));
    }
    for (int i = 0; i < MANY_TIMERS; i++)
        n_set += timer_is_set(&many[i]);
    CHECK_INT(l.n_timers, n_set);
    run_timers_at(&l, 30000);
    run_timers_at(&l, 200000);
    CHECK_INT(n_due, n_set);
    CHECK_INT(l.n_timers, 0);
    free(l.heap);
}

/* ---- deferred and retired ---- */

struct told_work {
    struct deferred work;
    struct loop *loop;
    char letter;
    int n_again;
    struct deferred retire;
};

static void told_retire(struct deferred *d)
{
    struct told_work *w = CONTAINER_OF(d, struct told_work, retire);

    CHECK_MSG(!w->work.node.owner, "retired before its own deferred work ran");
    tell((char)(w->letter - 'a' + 'A'));
}

static void told_work(struct deferred *d)
{
    struct told_work *w = CONTAINER_OF(d, struct told_work, work);

    tell(w->letter);
    if (w->n_again-- > 0)
        loop_defer(w->loop, d, told_work);
}

TEST(deferred_work_runs_once_per_turn_and_before_what_is_retired)
{
    struct loop l;
    struct told_work a = {.letter = 'a', .loop = &l};
    struct told_work b = {.letter = 'b', .loop = &l, .n_again = 2};

    CHECK(loop_init(&l) == 0);
    loop_retire(&l, &a.retire, told_retire);
    loop_defer(&l, &a.work, told_work);
    loop_defer(&l, &b.work, told_work);
    loop_defer(&l, &a.work, told_work);
    CHECK(loop_turn(&l, -1) == 0); /* -1: what is deferred must keep it from waiting */
    CHECK_STORY("abbbA");
    loop_deinit(&l);
}

static struct told_work late = {.letter = 'z'};

static void work_that_ends_another(struct deferred *d)
{
    struct told_work *w = CONTAINER_OF(d, struct told_work, work);

    if (w->n_again-- > 0) {
        loop_defer(w->loop, d, work_that_ends_another);
        return;
    }
    /* In the last round of the turn: the other's work is scheduled, then it is retired. */
    loop_defer(w->loop, &late.work, told_work);
    loop_retire(w->loop, &late.retire, told_retire);
}

TEST(nothing_is_retired_before_its_own_deferred_work_even_when_a_turn_is_cut_short)
{
    struct loop l;
    struct told_work chain = {.letter = 'c', .loop = &l, .n_again = 7};

    CHECK(loop_init(&l) == 0);
    late.loop = &l;
    loop_defer(&l, &chain.work, work_that_ends_another);
    CHECK(loop_turn(&l, 0) == 0);
    CHECK_STORY("");
    CHECK(loop_turn(&l, -1) == 0);
    CHECK_STORY("zZ");
    loop_deinit(&l);
}

TEST(work_that_defers_itself_for_ever_starves_neither_the_loop_nor_the_retired)
{
    struct loop l;
    struct told_work a = {.letter = 'a', .loop = &l, .n_again = 1000000};
    struct told_work b = {.letter = 'b', .loop = &l};

    CHECK(loop_init(&l) == 0);
    loop_defer(&l, &a.work, told_work);
    loop_retire(&l, &b.retire, told_retire);
    CHECK(loop_turn(&l, -1) == 0);
    CHECK_STORY("aaaaaaaaB");
    loop_deinit(&l);
}

/* ---- descriptors ---- */

struct told_fd {
    struct loop_fd io;
    int peer;
    struct told_fd *removes;
    unsigned events;
    int n_calls;
};

static void told_fd_on_ready(struct loop_fd *io, unsigned events)
{
    struct told_fd *f = CONTAINER_OF(io, struct told_fd, io);

    f->events = events;
    f->n_calls++;
    if (f->removes)
        loop_fd_remove(&f->removes->io);
}

static void told_fd_open(struct told_fd *f, struct loop *l, unsigned events)
{
    int pair[2];

    *f = (struct told_fd){0};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    f->peer = pair[1];
    CHECK(loop_fd_add(l, &f->io, pair[0], events, told_fd_on_ready) == 0);
}

static void told_fd_close(struct told_fd *f, int fd)
{
    loop_fd_remove(&f->io);
    close(fd);
    close(f->peer);
}

TEST(a_removed_descriptor_is_not_called_for_events_of_the_same_turn)
{
    struct loop l;
    struct told_fd a, b;
    int a_fd, b_fd;

    CHECK(loop_init(&l) == 0);
    told_fd_open(&a, &l, LOOP_READ);
    told_fd_open(&b, &l, LOOP_READ);
    a_fd = a.io.fd;
    b_fd = b.io.fd;
    a.removes = &b;
    b.removes = &a;
    /* Hung up, too: that is told even to who wants nothing. */
    CHECK(shutdown(a.peer, SHUT_RDWR) == 0 && shutdown(b.peer, SHUT_RDWR) == 0);
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK_INT(a.n_calls + b.n_calls, 1);
    told_fd_close(&a, a_fd);
    told_fd_close(&b, b_fd);
    loop_deinit(&l);
}

static struct told_fd *fd_order[4];
static int n_fd_order;

static void ordered_fd_on_ready(struct loop_fd *io, unsigned events UNUSED)
{
    fd_order[n_fd_order++] = CONTAINER_OF(io, struct told_fd, io);
    CHECK(loop_fd_want(io, 0) == 0);
}

TEST(late_descriptors_are_served_after_the_others_of_a_turn)
{
    struct loop l;
    struct told_fd last, early;
    int last_fd, early_fd;

    CHECK(loop_init(&l) == 0);
    told_fd_open(&last, &l, LOOP_READ);
    told_fd_open(&early, &l, LOOP_READ);
    last.io.on_ready = early.io.on_ready = ordered_fd_on_ready;
    last_fd = last.io.fd;
    early_fd = early.io.fd;
    CHECK(loop_fd_make_late(&last.io) == 0);
    CHECK(write(last.peer, "x", 1) == 1 && write(early.peer, "x", 1) == 1);
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK_INT(n_fd_order, 2);
    CHECK(fd_order[0] == &early && fd_order[1] == &last);
    /* Alone it wakes the loop as any other; what it wants is known where it is now. */
    CHECK(loop_fd_want(&last.io, LOOP_READ) == 0);
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK_INT(n_fd_order, 3);
    CHECK(fd_order[2] == &last);
    /* Removed by an earlier one of the same turn it is told nothing. */
    early.io.on_ready = told_fd_on_ready;
    early.removes = &last;
    CHECK(loop_fd_want(&last.io, LOOP_READ) == 0 && loop_fd_want(&early.io, LOOP_READ) == 0);
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK_INT(early.n_calls, 1);
    CHECK_INT(n_fd_order, 3);
    told_fd_close(&last, last_fd);
    told_fd_close(&early, early_fd);
    loop_deinit(&l);
}

TEST(a_descriptor_that_cannot_be_made_late_is_watched_as_before)
{
    struct loop l;
    struct told_fd a;
    int fd, late_fd;

    CHECK(loop_init(&l) == 0);
    told_fd_open(&a, &l, LOOP_READ);
    fd = a.io.fd;
    late_fd = l.late_fd;
    l.late_fd = -1;
    CHECK(loop_fd_make_late(&a.io) < 0);
    l.late_fd = late_fd;
    CHECK(a.io.fd == fd); /* its owner closes it */
    CHECK(write(a.peer, "x", 1) == 1);
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK_INT(a.n_calls, 1);
    told_fd_close(&a, fd);
    loop_deinit(&l);
}

TEST(a_descriptor_is_told_what_it_wants_and_the_hangup)
{
    struct loop l;
    struct told_fd a;
    int fd;

    CHECK(loop_init(&l) == 0);
    told_fd_open(&a, &l, LOOP_READ | LOOP_WRITE);
    fd = a.io.fd;
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK_INT(a.events, LOOP_WRITE);
    CHECK(loop_fd_want(&a.io, 0) == 0);
    CHECK(write(a.peer, "x", 1) == 1);
    CHECK(loop_turn(&l, 0) == 0);
    CHECK_INT(a.n_calls, 1);
    CHECK(loop_fd_want(&a.io, LOOP_READ) == 0);
    CHECK(loop_turn(&l, 0) == 0);
    CHECK_INT(a.events, LOOP_READ);
    CHECK(loop_fd_want(&a.io, 0) == 0);
    CHECK(shutdown(a.peer, SHUT_RDWR) == 0);
    CHECK(loop_turn(&l, 0) == 0);
    CHECK_INT(a.events, LOOP_HANGUP);
    told_fd_close(&a, fd);
    loop_deinit(&l);
}

TEST(a_loop_is_closed_twice_and_never_opened_without_harm)
{
    struct loop l = {0};

    loop_deinit(&l);
    CHECK(loop_init(&l) == 0);
    loop_deinit(&l);
    loop_deinit(&l);
    CHECK(fcntl(0, F_GETFD) >= 0 || errno == EBADF);
}

/* ---- wakes ---- */

enum { WAKE_THREADS = 4, WAKE_POSTS = 20000 };

struct counted_wake {
    struct wake wake;
    _Atomic unsigned n_posted;
    unsigned n_seen;
    unsigned n_runs;
};

static struct counted_wake wakes[2];

static void counted_wake_on_run(struct wake *w)
{
    struct counted_wake *c = CONTAINER_OF(w, struct counted_wake, wake);

    c->n_seen = atomic_load_explicit(&c->n_posted, memory_order_relaxed);
    c->n_runs++;
    if (wakes[0].n_seen + wakes[1].n_seen == WAKE_THREADS * WAKE_POSTS)
        loop_stop(w->loop);
}

static void *wake_poster(void *arg)
{
    struct counted_wake *c = arg;

    for (int i = 0; i < WAKE_POSTS; i++) {
        atomic_fetch_add_explicit(&c->n_posted, 1, memory_order_relaxed);
        wake_post(&c->wake);
    }
    return NULL;
}

TEST(wakes_of_many_threads_are_never_lost)
{
    pthread_t threads[WAKE_THREADS];
    struct loop l;

    CHECK(loop_init(&l) == 0);
    for (int i = 0; i < 2; i++)
        wake_init(&wakes[i].wake, &l, counted_wake_on_run);
    for (int i = 0; i < WAKE_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, wake_poster, &wakes[i % 2]) == 0);
    CHECK(loop_run(&l) == 0); /* ends only when the last post has been seen */
    for (int i = 0; i < WAKE_THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(wakes[0].n_runs > 0 && wakes[1].n_runs > 0);
    loop_deinit(&l);
}

TEST(a_wake_posted_several_times_runs_once)
{
    struct loop l;

    CHECK(loop_init(&l) == 0);
    wake_init(&wakes[0].wake, &l, counted_wake_on_run);
    wake_post(&wakes[0].wake);
    wake_post(&wakes[0].wake);
    CHECK(loop_turn(&l, -1) == 0);
    CHECK(loop_turn(&l, 0) == 0);
    CHECK_INT(wakes[0].n_runs, 1);
    wake_post(&wakes[0].wake);
    CHECK(loop_turn(&l, -1) == 0);
    CHECK_INT(wakes[0].n_runs, 2);
    loop_deinit(&l);
}

static void reposting_wake_on_run(struct wake *w)
{
    struct counted_wake *c = CONTAINER_OF(w, struct counted_wake, wake);

    if (c->n_runs++ == 0)
        wake_post(w); /* as another thread might just now: what it brings was not looked at yet */
}

TEST(a_wake_posted_while_it_runs_runs_again)
{
    struct loop l;

    CHECK(loop_init(&l) == 0);
    wake_init(&wakes[0].wake, &l, reposting_wake_on_run);
    wake_post(&wakes[0].wake);
    while (wakes[0].n_runs < 2)
        CHECK(loop_turn(&l, -1) == 0);
    CHECK(loop_turn(&l, 0) == 0);
    CHECK_INT(wakes[0].n_runs, 2);
    loop_deinit(&l);
}

/* ---- after a stop ---- */

enum { STOPPED_FDS = 2 * LOOP_BATCH + 50, STOPPED_BYTES = 3 };

/* A connection with a time limit, which the last of the bytes in its socket meets. */
struct limited_fd {
    struct loop_fd io;
    struct timer limit;
    int peer;
    int n_read;
};

static struct limited_fd limited[STOPPED_FDS];
static int n_failed;

static void limited_fd_on_limit(struct timer *t UNUSED)
{
    n_failed++;
}

static void limited_fd_on_ready(struct loop_fd *io, unsigned events UNUSED)
{
    struct limited_fd *f = CONTAINER_OF(io, struct limited_fd, io);
    char c;

    if (read(io->fd, &c, 1) == 1 && ++f->n_read == STOPPED_BYTES)
        timer_cancel(io->loop, &f->limit);
}

/* The loop as it would find itself `away_us` after it meant to wake up. */
static void loop_was_away(struct loop *l, uint64_t away_us)
{
    l->now.mono_us = clock_read().mono_us - away_us;
}

static void limited_fd_open(struct limited_fd *f, struct loop *l, uint64_t due_us)
{
    int pair[2];

    *f = (struct limited_fd){.limit.fn = limited_fd_on_limit};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    f->peer = pair[1];
    CHECK(loop_fd_add(l, &f->io, pair[0], LOOP_READ, limited_fd_on_ready) == 0);
    timer_set(l, &f->limit, due_us);
}

static void limited_fd_close(struct limited_fd *f)
{
    int fd = f->io.fd;

    loop_fd_remove(&f->io);
    close(fd);
    close(f->peer);
}

TEST(what_lies_in_the_sockets_after_a_stop_is_read_before_the_timers_that_ended_in_it)
{
    struct loop l;
    struct timer due = {.fn = limited_fd_on_limit};
    int n_turns = 0;

    CHECK(loop_init(&l) == 0);
    loop_was_away(&l, 30 * 1000000);
    for (int i = 0; i < STOPPED_FDS; i++) {
        limited_fd_open(&limited[i], &l, l.now.mono_us + 1000000);
        CHECK(write(limited[i].peer, "abc", STOPPED_BYTES) == STOPPED_BYTES);
    }
    timer_set(&l, &due, l.now.mono_us + 1000000);
    while (timer_is_set(&due) && n_turns++ < 100)
        CHECK(loop_turn(&l, -1) == 0);
    CHECK_INT(n_failed, 1); /* nothing came for that one */
    for (int i = 0; i < STOPPED_FDS; i++) {
        CHECK_INT(limited[i].n_read, STOPPED_BYTES);
        limited_fd_close(&limited[i]);
    }
    loop_deinit(&l);
}

TEST(a_descriptor_that_is_always_ready_holds_up_no_timer_for_ever_after_a_stop)
{
    struct loop l;
    struct told_fd endless;
    struct told_timer a = {.timer.fn = told_timer_on_due, .letter = 'a'};
    int fd;

    CHECK(loop_init(&l) == 0);
    told_fd_open(&endless, &l, LOOP_READ);
    fd = endless.io.fd;
    CHECK(write(endless.peer, "x", 1) == 1);
    loop_was_away(&l, 30 * 1000000);
    timer_set(&l, &a.timer, l.now.mono_us + 1000000);
    for (int i = 0; i < 64; i++) {
        CHECK_STORY("");
        CHECK(loop_turn(&l, -1) == 0);
    }
    CHECK_STORY("a");
    told_fd_close(&endless, fd);
    loop_deinit(&l);
}

TEST(a_timer_waits_for_nobody_when_the_loop_comes_in_time)
{
    struct loop l;
    struct told_fd endless;
    struct told_timer a = {.timer.fn = told_timer_on_due, .letter = 'a'};
    int fd;

    CHECK(loop_init(&l) == 0);
    told_fd_open(&endless, &l, LOOP_READ);
    fd = endless.io.fd;
    CHECK(write(endless.peer, "x", 1) == 1);
    loop_was_away(&l, 0);
    timer_set(&l, &a.timer, l.now.mono_us);
    CHECK(loop_turn(&l, -1) == 0);
    CHECK_STORY("a");
    told_fd_close(&endless, fd);
    loop_deinit(&l);
}

/* One that is always ready, with a timer that is due, in a loop whose last turn took so long. */
static void late_open(struct loop *l, struct told_fd *endless, struct told_timer *a,
                      uint64_t late_us)
{
    *a = (struct told_timer){.timer.fn = told_timer_on_due, .letter = 'a'};
    CHECK(loop_init(l) == 0);
    told_fd_open(endless, l, LOOP_READ);
    CHECK(write(endless->peer, "x", 1) == 1);
    loop_was_away(l, late_us);
    timer_set(l, &a->timer, l->now.mono_us + late_us / 2);
}

static void late_close(struct loop *l, struct told_fd *endless)
{
    told_fd_close(endless, endless->io.fd);
    loop_deinit(l);
}

TEST(turns_that_take_long_hold_up_no_timer)
{
    struct loop l;
    struct told_fd endless;
    struct told_timer a;

    late_open(&l, &endless, &a, 500000);
    CHECK(loop_turn(&l, -1) == 0);
    CHECK_STORY("a");
    late_close(&l, &endless);
}

TEST(timers_wait_no_longer_after_a_stop_than_it_took)
{
    struct loop l;
    struct told_fd endless;
    struct told_timer a;

    late_open(&l, &endless, &a, 2000000);
    CHECK(loop_turn(&l, -1) == 0);
    CHECK_STORY("");
    CHECK(l.catch_up_until_us > l.now.mono_us && l.catch_up_until_us <= l.now.mono_us + 2000000);
    l.catch_up_until_us = l.now.mono_us; /* as if that time had gone by */
    CHECK(loop_turn(&l, -1) == 0);
    CHECK_STORY("a");
    late_close(&l, &endless);
}
