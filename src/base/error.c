/* Keeps one trace per thread: the place where the newest negative code arose. The journey's runner
 * logs it; nothing decides by it. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char error_trace_text[256];

static const char *error_base_name(const char *file)
{
    const char *slash = strrchr(file, '/');

    return slash ? slash + 1 : file;
}

int error_origin_at(int code, const char *func, const char *file, int line)
{
    if (code < 0) {
        char reason[96];

        snprintf(error_trace_text, sizeof error_trace_text, "%s (%s:%d): %s", func,
                 error_base_name(file), line, strerror_r(-code, reason, sizeof reason));
    }
    return code;
}

int error_fold_at(int code, const char *func, const char *file, int line)
{
    if (code <= 0)
        return code;
    snprintf(error_trace_text, sizeof error_trace_text, "%s (%s:%d): unhandled condition %d", func,
             error_base_name(file), line, code);
    return -ENOTRECOVERABLE;
}

const char *error_trace(void)
{
    return error_trace_text[0] ? error_trace_text : "no trace";
}
