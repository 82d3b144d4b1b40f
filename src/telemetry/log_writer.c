/* The writer's thread works in rounds: rings to the sinks' buffers, buffers to the files, then a
 * short pause, so that a busy gateway's lines go out in large writes; a ring that is half full cuts
 * the pause short. After some empty rounds it sleeps until a push wakes it. What becomes of a line
 * at its sink is log_sink.c's business. */
#include "telemetry/log_writer.h"

#include <signal.h>
#include <time.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "telemetry/log_ring.h"
#include "telemetry/log_sink.h"

enum {
    LOG_WRITER_PAUSE_MS = 20,
    LOG_WRITER_EMPTY_ROUNDS = 10,
    LOG_WRITER_ROUND_LINES = 8192,
    LOG_WRITER_AT_ONCE = 256,  /* in one write to a file */
    LOG_WRITER_TELL_MS = 5000, /* between two of one sink's news */
};

/* ---- sinks ---- */

/* Once more, unless it is closed or about to be. */
static bool log_writer_take(struct log_writer *w, uint32_t at)
{
    uint32_t n = atomic_load(&w->n_users[at]);

    while (n < LOG_SINK_CLOSING) {
        if (atomic_compare_exchange_weak(&w->n_users[at], &n, n + 1))
            return true;
    }
    return false;
}

static uint32_t log_writer_free_place(struct log_writer *w)
{
    uint32_t n = atomic_load(&w->n_sinks);

    for (uint32_t i = 0; i < n; i++) {
        if (atomic_load(&w->n_users[i]) == LOG_SINK_FREE)
            return i;
    }
    return n;
}

/* It becomes the writer's with its first user, or by being counted. */
static int log_writer_new_sink(struct log_writer *w, struct str path, uint32_t *ret_sink)
{
    uint32_t at = log_writer_free_place(w);
    int r;

    if (at == LIMIT_LOG_SINKS)
        return LOG_WRITER_FULL;
    r = log_sink_init(&w->sinks[at], path);
    w->sinks[at].was_told = r < 0; /* by who asks for it */
    atomic_store(&w->n_users[at], 1);
    if (at == atomic_load(&w->n_sinks))
        atomic_store(&w->n_sinks, at + 1);
    *ret_sink = at;
    return r;
}

static int log_writer_add_sink(struct log_writer *w, struct str path, uint32_t *ret_sink)
{
    for (uint32_t i = 0; i < atomic_load(&w->n_sinks); i++) {
        if (!str_eq(str_of(w->sinks[i].path), path) || !log_writer_take(w, i))
            continue;
        *ret_sink = i;
        return -atomic_load(&w->sinks[i].error);
    }
    return log_writer_new_sink(w, path, ret_sink);
}

int log_writer_sink(struct log_writer *w, struct str path, uint32_t *ret_sink)
{
    int r;

    pthread_mutex_lock(&w->lock);
    r = log_writer_add_sink(w, path, ret_sink);
    pthread_mutex_unlock(&w->lock);
    return r;
}

void log_writer_release(struct log_writer *w, uint32_t sink)
{
    if (atomic_fetch_sub(&w->n_users[sink], 1) > 1 || !w->is_started)
        return;
    atomic_store(&w->has_released, true);
    log_writer_wake(w);
}

/* ---- rounds ---- */

static uint64_t log_writer_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void log_writer_lose(struct log_writer *w, uint64_t n)
{
    if (n > 0)
        atomic_fetch_add_explicit(&w->n_lost, n, memory_order_relaxed);
}

/* How many. A bound, so that a ring that fills as fast as it empties does not starve the others. */
static unsigned log_writer_empty_ring(struct log_writer *w, struct log_ring *ring)
{
    struct iovec lines[LOG_WRITER_AT_ONCE];
    uint32_t sink = 0;
    unsigned n = 0, n_more;

    while (n < LOG_WRITER_ROUND_LINES &&
           (n_more = log_ring_peek(ring, LOG_WRITER_AT_ONCE, &sink, lines)) > 0) {
        ASSERT(sink < atomic_load(&w->n_sinks));
        log_writer_lose(w, log_sink_put_lines(&w->sinks[sink], lines, n_more));
        log_ring_advance(ring);
        n += n_more;
    }
    return n;
}

/* The writer's own question. */
static bool log_writer_has_sink(struct log_writer *w, uint32_t at)
{
    return atomic_load(&w->n_users[at]) < LOG_SINK_CLOSING;
}

static void log_writer_reopen_sinks(struct log_writer *w)
{
    for (uint32_t i = 0; i < atomic_load(&w->n_sinks); i++) {
        if (!log_writer_has_sink(w, i))
            continue;
        log_writer_lose(w, log_sink_flush(&w->sinks[i]));
        log_writer_lose(w, log_sink_reopen(&w->sinks[i]));
    }
}

/* Whoever used them may have pushed lines until then: those are in rings that are emptied after
 * this. */
static void log_writer_find_doomed(struct log_writer *w)
{
    for (uint32_t i = 0; i < atomic_load(&w->n_sinks); i++) {
        if (log_writer_has_sink(w, i))
            w->sinks[i].is_doomed = atomic_load(&w->n_users[i]) == 0;
    }
}

/* Unless it has a user again. The path stays for who adds the next one. */
static void log_writer_close_sink(struct log_writer *w, uint32_t at)
{
    uint32_t nobody = 0;

    if (!atomic_compare_exchange_strong(&w->n_users[at], &nobody, LOG_SINK_CLOSING))
        return;
    log_sink_close(&w->sinks[at]);
    atomic_store(&w->n_users[at], LOG_SINK_FREE);
}

static void log_writer_tell(struct log_writer *w, struct log_sink *s, uint64_t now_ms)
{
    int error = atomic_load_explicit(&s->error, memory_order_relaxed);

    if (LIKELY((error != 0) == s->was_told) || now_ms < s->next_tell_ms)
        return;
    s->was_told = error != 0;
    s->next_tell_ms = now_ms + LOG_WRITER_TELL_MS;
    if (w->on_news)
        w->on_news(w->ctx, s->path, error);
}

/* True when something waits. */
static bool log_writer_serve_sink(struct log_writer *w, uint32_t at, uint64_t now_ms,
                                  bool is_drained)
{
    struct log_sink *s = &w->sinks[at];

    log_writer_lose(w, log_sink_retry(s, now_ms));
    if (s->pending.len > 0)
        log_writer_lose(w, log_sink_flush(s));
    log_writer_tell(w, s, now_ms);
    if (s->pending.len > 0)
        return true;
    if (s->pending.cap > LOG_SINK_FLUSH_BYTES * 2)
        buf_deinit(&s->pending);
    if (s->is_doomed && is_drained)
        log_writer_close_sink(w, at);
    return false;
}

/* True when there was something to do. */
static bool log_writer_round(struct log_writer *w)
{
    uint64_t now_ms = log_writer_now_ms();
    bool is_busy = false;
    bool is_drained = true;

    atomic_store(&w->is_hurried, false);
    if (atomic_exchange(&w->must_reopen, false))
        log_writer_reopen_sinks(w);
    atomic_store(&w->has_released, false);
    log_writer_find_doomed(w);
    for (uint32_t i = 0; i < atomic_load(&w->n_rings); i++) {
        unsigned n = log_writer_empty_ring(w, w->rings[i]);

        is_busy |= n > 0;
        is_drained &= n < LOG_WRITER_ROUND_LINES;
    }
    for (uint32_t i = 0; i < atomic_load(&w->n_sinks); i++) {
        if (log_writer_has_sink(w, i))
            is_busy |= log_writer_serve_sink(w, i, now_ms, is_drained);
    }
    return is_busy;
}

/* ---- the thread ---- */

static bool log_writer_has_lines(struct log_writer *w)
{
    for (uint32_t i = 0; i < atomic_load(&w->n_rings); i++) {
        if (!log_ring_is_empty(w->rings[i]))
            return true;
    }
    return false;
}

static bool log_writer_is_wanted(const struct log_writer *w)
{
    return atomic_load(&w->is_stopping) || atomic_load(&w->must_reopen) ||
           atomic_load(&w->is_hurried) || atomic_load(&w->has_released);
}

static void log_writer_pause(struct log_writer *w)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOG_WRITER_PAUSE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&w->sleep_lock);
    while (!log_writer_is_wanted(w) &&
           pthread_cond_timedwait(&w->news, &w->sleep_lock, &until) == 0)
        ;
    pthread_mutex_unlock(&w->sleep_lock);
}

static void log_writer_sleep(struct log_writer *w)
{
    pthread_mutex_lock(&w->sleep_lock);
    atomic_store(&w->is_asleep, true);
    while (atomic_load(&w->is_asleep) && !log_writer_has_lines(w) && !log_writer_is_wanted(w))
        pthread_cond_wait(&w->news, &w->sleep_lock);
    atomic_store(&w->is_asleep, false);
    pthread_mutex_unlock(&w->sleep_lock);
}

/* What is left at the end, for as long as it may take. */
static void log_writer_finish(struct log_writer *w)
{
    uint64_t until_ms = log_writer_now_ms() + LOG_WRITER_STOP_MS / 2;

    while (log_writer_round(w) && log_writer_now_ms() < until_ms) {
        struct timespec ms = {0, 1000000};

        nanosleep(&ms, NULL);
    }
    for (uint32_t i = 0; i < atomic_load(&w->n_sinks); i++) {
        if (log_writer_has_sink(w, i))
            log_writer_lose(w, log_sink_drop(&w->sinks[i]));
    }
}

static void *log_writer_main(void *arg)
{
    struct log_writer *w = arg;
    unsigned n_empty = 0;

    pthread_setname_np(pthread_self(), "log-writer");
    while (!atomic_load(&w->is_stopping)) {
        n_empty = log_writer_round(w) ? 0 : n_empty + 1;
        if (n_empty > LOG_WRITER_EMPTY_ROUNDS)
            log_writer_sleep(w);
        log_writer_pause(w);
    }
    log_writer_finish(w);
    pthread_mutex_lock(&w->sleep_lock);
    w->has_ended = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->sleep_lock);
    return NULL;
}

void log_writer_wake(struct log_writer *w)
{
    pthread_mutex_lock(&w->sleep_lock);
    atomic_store(&w->is_asleep, false);
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->sleep_lock);
}

void log_writer_hurry(struct log_writer *w)
{
    if (!atomic_exchange(&w->is_hurried, true))
        log_writer_wake(w);
}

void log_writer_reopen(struct log_writer *w)
{
    if (!w->is_started)
        return;
    atomic_store(&w->must_reopen, true);
    log_writer_wake(w);
}

/* ---- life ---- */

static int log_writer_start_thread(struct log_writer *w)
{
    sigset_t all, before;
    int r;

    /* Signals are others' business, and a closed pipe is an error here, not an end. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&w->thread, NULL, log_writer_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r == 0 ? 0 : error_origin(-r);
}

static void log_writer_deinit_locks(struct log_writer *w)
{
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->sleep_lock);
    pthread_mutex_destroy(&w->lock);
}

int log_writer_start(struct log_writer *w)
{
    pthread_condattr_t attr;
    int r;

    *w = (struct log_writer){0};
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_init(&w->sleep_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->news, &attr);
    pthread_condattr_destroy(&attr);
    r = log_writer_start_thread(w);
    w->is_started = r == 0;
    if (r < 0)
        log_writer_deinit_locks(w);
    return r;
}

/* By the clock of `news`, which is monotonic: joining with a time limit goes by the wall clock. */
static bool log_writer_wait_end(struct log_writer *w)
{
    struct timespec until;
    bool has_ended;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOG_WRITER_STOP_MS / 1000;
    pthread_mutex_lock(&w->sleep_lock);
    while (!w->has_ended && pthread_cond_timedwait(&w->news, &w->sleep_lock, &until) == 0)
        ;
    has_ended = w->has_ended;
    pthread_mutex_unlock(&w->sleep_lock);
    return has_ended;
}

void log_writer_stop(struct log_writer *w)
{
    if (!w->is_started)
        return;
    w->is_started = false;
    atomic_store(&w->is_stopping, true);
    log_writer_wake(w);
    w->is_stuck = !log_writer_wait_end(w);
    if (w->is_stuck) {
        pthread_detach(w->thread); /* in a dead file system */
        return;
    }
    pthread_join(w->thread, NULL);
    for (uint32_t i = 0; i < atomic_load(&w->n_rings); i++) {
        atomic_fetch_add(&w->n_lost, atomic_load(&w->rings[i]->n_dropped));
        log_ring_free(w->rings[i]);
    }
    for (uint32_t i = 0; i < atomic_load(&w->n_sinks); i++)
        log_sink_deinit(&w->sinks[i]);
    atomic_store(&w->n_rings, 0);
    atomic_store(&w->n_sinks, 0);
    log_writer_deinit_locks(w);
}

struct log_ring *log_writer_ring(struct log_writer *w)
{
    struct log_ring *r = log_ring_new(w);
    uint32_t n;

    pthread_mutex_lock(&w->lock);
    n = atomic_load(&w->n_rings);
    ASSERT(n < LOG_WRITER_RINGS_MAX);
    w->rings[n] = r;
    atomic_store(&w->n_rings, n + 1);
    pthread_mutex_unlock(&w->lock);
    return r;
}

uint64_t log_writer_n_dropped(const struct log_writer *w)
{
    uint64_t n = atomic_load_explicit(&w->n_lost, memory_order_relaxed);

    for (uint32_t i = 0; i < atomic_load(&w->n_rings); i++)
        n += atomic_load_explicit(&w->rings[i]->n_dropped, memory_order_relaxed);
    return n;
}
