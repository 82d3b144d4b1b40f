/* The program's own log (not the access log): one line per event on stderr, `key=value` text. Only
 * `app`, `admin` and `gateway` log above debug; lower levels return facts. Thread-safe. Secrets
 * never go in. */
#pragma once

#include "base/macro.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);
/* One line; line breaks and control bytes in the text are shown escaped. At most 4 KiB, then cut.
 */
void log_write(enum log_level level, const char *format, ...) PRINTF(2, 3);

#define log_debug(...) (log_is_on(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
