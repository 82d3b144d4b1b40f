/* Writes the program's own log: a stamp, a level, the text, one write(2) a line so that threads
 * never interleave, and keeps it in memory. Shared by all threads; the only state of its own is the
 * level. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_memory.h"

static _Atomic int log_level_now = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

void log_write(enum log_level level, const char *format, ...)
{
    static const char names[][6] = {"debug", "info", "warn", "error"};
    char line[4096];
    char stamp[25];
    va_list args;

    if (!log_is_on(level))
        return;
    clock_format_iso(clock_read().wall_unix_us, stamp);
    int head = snprintf(line, sizeof line, "%s %s ", stamp, names[level]);
    size_t room = sizeof line - (size_t)head - 1;

    va_start(args, format);
    int text = vsnprintf(line + head, room, format, args);

    va_end(args);
    size_t len = (size_t)head + (text < 0 ? 0 : MIN((size_t)text, room - 1));

    for (size_t i = (size_t)head; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    }
    line[len++] = '\n';
    log_memory_add(line, len);
    ssize_t unused UNUSED = write(STDERR_FILENO, line, len);
}
