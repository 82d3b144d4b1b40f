/* Writing access logs: a thread of its own takes lines from one ring per worker and writes them to
 * files or standard output, so that a slow or full disk drops lines (counted) and never delays a
 * request. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/str.h"

enum { LOG_SINKS_MAX = 64, LOG_RINGS_MAX = 128 };

enum log_writer_result {
    LOG_WRITER_CANNOT_OPEN = 1,
    LOG_WRITER_TOO_MANY,
};

/* One producer (a worker), one consumer (the writer). The memory is mapped at the first line. */
struct log_ring {
    char *bytes;
    _Atomic uint64_t head; /* written up to here, by the worker */
    _Atomic uint64_t tail; /* taken up to here, by the writer */
    _Atomic uint64_t n_dropped;
    struct log_writer *writer;
};

struct log_sink {
    char *path;
    int fd;
};

struct log_writer {
    pthread_t thread;
    pthread_mutex_t lock; /* sinks and rings */
    struct log_sink sinks[LOG_SINKS_MAX];
    _Atomic uint32_t n_sinks;
    struct log_ring *rings[LOG_RINGS_MAX];
    _Atomic uint32_t n_rings;
    _Atomic uint32_t is_asleep; /* futex: 1 while the writer waits for a line */
    _Atomic bool must_reopen;
    _Atomic bool must_stop;
    _Atomic uint64_t n_failed; /* lines lost to write errors */
    bool is_started;
};

/* Starts the thread. 0 or negative. */
MUST_USE int log_writer_start(struct log_writer *w);
/* Writes what is queued, for a second at most, and ends the thread. No worker pushes any more. */
void log_writer_stop(struct log_writer *w);
/* A ring for one worker, owned by the writer. Any thread. */
struct log_ring *log_writer_ring(struct log_writer *w);
/* The number of the sink for a path ("/dev/stdout" and "/dev/stderr" mean those), opened when new.
 * 0 or an enum log_writer_result. Any thread. */
MUST_USE int log_writer_sink(struct log_writer *w, struct str path, uint32_t *ret_sink);
/* Opens the files again by their paths (after a rotation). Any thread. */
void log_writer_reopen(struct log_writer *w);
/* Lines dropped so far. Any thread. */
uint64_t log_writer_dropped(struct log_writer *w);

/* Queues one line (with its line feed). The worker of the ring; no system call but when the writer
 * sleeps. */
void log_ring_push(struct log_ring *r, uint32_t sink, struct str line);
