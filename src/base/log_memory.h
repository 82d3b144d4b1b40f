/* The last lines of the program's own log, for who asks a running gateway instead of reading its
 * standard error. Shared: one short lock, under which a line is copied in or what is kept copied
 * out; nobody waits for a reader. Nothing is kept before it is opened. */
#pragma once

#include "base/buf.h"

/* Once, before there are threads; the memory goes with the process. */
void log_memory_open(void);
/* A whole line, with its end. */
void log_memory_add(const char *line, size_t len);
/* Appends the lines behind position `from` (0: all that are kept). Returns the position behind the
 * last one, to go on from; `ret_missed`: bytes since `from` that are gone already. */
uint64_t log_memory_read(uint64_t from, struct buf *out, uint64_t *ret_missed);
