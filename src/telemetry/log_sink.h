/* One place that lines go to: a file, a pipe or a standard stream. Between log_sink.c and
 * log_writer.c; nobody else includes this. */
#pragma once

#include <sys/uio.h>

#include "telemetry/log_writer.h"

/* Opens `path` (append, mode 0640); 0, or negative and it is to be tried again. Into a zeroed one,
 * or one that is closed. */
MUST_USE int log_sink_init(struct log_sink *s, struct str path);
/* Nothing may wait any more; only the path stays. */
void log_sink_close(struct log_sink *s);
void log_sink_deinit(struct log_sink *s);

/* These return how many lines were lost. */

/* Opens a file again by its name. When that fails the old one goes on: lines in a file that was
 * moved away are better than none. */
uint64_t log_sink_reopen(struct log_sink *s);
/* The same where that failed, now and then. */
uint64_t log_sink_retry(struct log_sink *s, uint64_t now_ms);
/* Keeps `line` for the next flush. */
uint64_t log_sink_put(struct log_sink *s, struct str line);
/* Lines in their order. A file takes them from where they are; what it does not take, and what goes
 * elsewhere, is kept for the next flush. */
uint64_t log_sink_put_lines(struct log_sink *s, const struct iovec *lines, unsigned n);
/* Writes what the sink takes now without waiting; what it does not take stays. */
uint64_t log_sink_flush(struct log_sink *s);
/* Gives up what waits. */
uint64_t log_sink_drop(struct log_sink *s);
