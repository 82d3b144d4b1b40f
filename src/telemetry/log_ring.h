/* One producer, one consumer, no lock: between log_ring.c and log_writer.c. Nobody else includes
 * this. */
#pragma once

#include <sys/uio.h>

#include "base/limits.h"
#include "telemetry/log_writer.h"

/* In front of each line; lengths are rounded up to 8. */
struct log_ring_head {
    uint32_t len; /* LOG_RING_SKIP: go on at the start of the ring */
    uint32_t sink;
};

#define LOG_RING_SKIP UINT32_MAX

/* So much in it cuts the writer's pause short: it may then have to wait for a processor as long as
 * three times as much takes to come. */
enum { LOG_RING_HURRY_BYTES = LIMIT_LOG_RING_BYTES / 4 };

struct log_ring {
    struct log_writer *writer;
    char *bytes;                        /* mapped: pages that were never used cost nothing */
    uint64_t tail_seen;                 /* producer's copy of `tail` */
    _Alignas(64) _Atomic uint64_t head; /* producer: bytes ever put in */
    _Atomic uint64_t n_dropped;
    _Alignas(64) _Atomic uint64_t tail; /* consumer: bytes ever taken out */
    uint64_t peeked;                    /* consumer: behind the lines that are looked at */
};

struct log_ring *log_ring_new(struct log_writer *w);
void log_ring_free(struct log_ring *r);
/* The oldest lines that go to one sink, at most `max`; how many, 0 when empty. They are valid until
 * log_ring_advance, which takes them out. */
unsigned log_ring_peek(struct log_ring *r, unsigned max, uint32_t *ret_sink,
                       struct iovec *ret_lines);
void log_ring_advance(struct log_ring *r);
bool log_ring_is_empty(struct log_ring *r);
/* log_writer.c: after a push. */
void log_writer_wake(struct log_writer *w);
/* The same where a pause would be too long: LOG_RING_HURRY_BYTES wait. */
void log_writer_hurry(struct log_writer *w);
