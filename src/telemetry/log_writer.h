/* Writing access-log lines on a thread of their own. Each worker has a ring of bytes that only it
 * fills and only the writer empties; a push makes no system call unless the writer sleeps. A slow
 * or full disk costs lines, which are counted, never requests. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/limits.h"

enum {
    LOG_WRITER_RINGS_MAX = 128,
    LOG_WRITER_STOP_MS = 2000, /* what is left after this is dropped */
    LOG_SINK_FLUSH_BYTES = 65536,
};

struct log_ring;

/* A file, or a standard stream. The writer's as soon as it is counted in n_sinks, until it is
 * LOG_SINK_FREE; `path` is that of those who add sinks. */
struct log_sink {
    char *path;
    _Atomic int error; /* why it is not written, or not under its name, now; 0: it is */
    int fd;            /* -1: it could not be opened yet, and its lines are lost */
    bool must_open;    /* that failed: it is tried again now and then */
    bool is_stream;    /* standard output or error: neither opened nor closed here */
    bool is_direct;    /* never blocks for long: written in large pieces */
    bool is_midline;   /* what was written last ended inside a line, whose rest waits */
    bool is_broken;    /* the same, but its rest was given up */
    bool is_doomed;    /* nobody used it when this round began */
    bool was_told;     /* of `error` */
    uint64_t next_try_ms;
    uint64_t next_tell_ms;
    struct buf pending;
};

/* On the writer's thread: `path` is not written, or not under its name, for the reason of that
 * errno; 0: it is again. */
typedef void log_writer_news_fn(void *ctx, const char *path, int error);

struct log_writer {
    pthread_t thread;
    bool is_started;
    pthread_mutex_t lock; /* among those who add rings and sinks; the writer never takes it */
    struct log_ring *rings[LOG_WRITER_RINGS_MAX];
    struct log_sink sinks[LIMIT_LOG_SINKS];
    _Atomic uint32_t n_users[LIMIT_LOG_SINKS]; /* of each */
    log_writer_news_fn *on_news; /* set before there are sinks; NULL: nobody is told */
    void *ctx;
    _Atomic uint32_t n_rings; /* entries below are complete */
    _Atomic uint32_t n_sinks;
    pthread_mutex_t sleep_lock; /* never held during a write */
    pthread_cond_t news;
    bool has_ended; /* the thread has nothing to do with this any more; under sleep_lock */
    bool is_stuck;  /* log_writer_stop: it has, so this memory must stay */
    _Atomic bool is_asleep;
    _Atomic bool is_hurried; /* to begin a round at once; cleared by that */
    _Atomic bool is_stopping;
    _Atomic bool must_reopen;
    _Atomic bool has_released; /* some sink has no users any more */
    _Atomic uint64_t n_lost;   /* lines that a sink did not take */
};

/* Instead of a number of users: the writer closes it; it is closed, and the next one's. */
#define LOG_SINK_CLOSING (UINT32_MAX - 1)
#define LOG_SINK_FREE    UINT32_MAX

enum log_writer_result { LOG_WRITER_FULL = 1 };

/* Starts the thread. 0 or negative. `w` stays where it is. */
MUST_USE int log_writer_start(struct log_writer *w);
/* Writes what is in the rings, waiting at most LOG_WRITER_STOP_MS, and ends the thread, unless it
 * `is_stuck` in a write that does not return. Nobody may push any more. Safe on zeroed memory and
 * repeated. */
void log_writer_stop(struct log_writer *w);
/* A ring for one pushing thread; owned by `w`. */
struct log_ring *log_writer_ring(struct log_writer *w);
/* The number of the sink that writes to `path`, opened (append, mode 0640) if it is new;
 * "/dev/stdout" and "/dev/stderr" are the process's own. 0; negative when it cannot be written now:
 * its lines are lost and counted until it can, which is tried again and again; or LOG_WRITER_FULL,
 * and there is no such sink. Any thread. */
MUST_USE int log_writer_sink(struct log_writer *w, struct str path, uint32_t *ret_sink);
/* One for each of log_writer_sink but those that were full: nobody pushes lines for it any more by
 * that. The last one closes it, when what was pushed is written. Any thread. */
void log_writer_release(struct log_writer *w, uint32_t sink);
/* Files are closed and opened again by name before the next line is written (log rotation). Any
 * thread. */
void log_writer_reopen(struct log_writer *w);
/* Lines dropped so far: ring full, line too long, or refused by the sink. Any thread, until stop.
 */
uint64_t log_writer_n_dropped(const struct log_writer *w);

/* Copies `line` (its line feed included); drops and counts it when the ring is full. Only the
 * ring's own thread. */
void log_ring_push(struct log_ring *r, uint32_t sink, struct str line);
