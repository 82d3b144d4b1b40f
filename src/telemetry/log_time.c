/* Time formats: strftime, with what Envoy adds to it. Owner: nothing; the text lies in the caller's
 * scratch. Any thread. */
#include "telemetry/log_time.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

/* One of Envoy's additions to strftime at `format`: %f and %1f to %9f (fraction), %s (seconds; that
 * of strftime would take the time for local). Its length, or 0; the digits go to `ret_digits`. */
static size_t log_time_addition(struct str format, int64_t wall_us, char ret_digits[24])
{
    char second = format.len > 1 ? format.ptr[1] : '\0';
    size_t width = 9;

    if (second == 's') {
        snprintf(ret_digits, 24, "%lld", (long long)(wall_us / 1000000));
        return 2;
    }
    if (second >= '1' && second <= '9' && format.len > 2 && format.ptr[2] == 'f')
        width = (size_t)(second - '0');
    else if (second != 'f')
        return 0;
    snprintf(ret_digits, 24, "%06u000", (unsigned)(wall_us % 1000000));
    ret_digits[width] = '\0';
    return second == 'f' ? 2 : 3;
}

static void log_expand_time_format(struct str format, int64_t wall_us, char *ret, size_t cap)
{
    size_t n = 0;
    size_t step;

    for (size_t i = 0; i < format.len && n + 26 < cap; i += step) {
        char digits[24];

        step = format.ptr[i] == '%'
                   ? log_time_addition(str_slice(format, i, format.len), wall_us, digits)
                   : 0;
        if (step > 0) {
            memcpy(ret + n, digits, strlen(digits));
            n += strlen(digits);
            continue;
        }
        step = format.ptr[i] == '%' && i + 1 < format.len ? 2 : 1;
        memcpy(ret + n, format.ptr + i, step);
        n += step;
    }
    ret[n] = '\0';
}

static struct str log_time_by_format(struct str format, int64_t wall_us,
                                     char scratch[LOG_SCRATCH_BYTES])
{
    char expanded[1024];
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;

    log_expand_time_format(format, wall_us, expanded, sizeof expanded);
    gmtime_r(&seconds, &tm);
    return str_make(scratch, strftime(scratch, LOG_SCRATCH_BYTES, expanded, &tm));
}

/* Lines of one second share its text. */
static struct str log_time_iso(int64_t wall_us, char scratch[LOG_SCRATCH_BYTES])
{
    static _Thread_local int64_t text_s = -1;
    static _Thread_local char text[25];
    unsigned ms = (unsigned)(wall_us / 1000 % 1000);

    if (wall_us / 1000000 != text_s) {
        clock_format_iso(wall_us, text);
        text_s = wall_us / 1000000;
    }
    memcpy(scratch, text, 24);
    scratch[20] = (char)('0' + ms / 100);
    scratch[21] = (char)('0' + ms / 10 % 10);
    scratch[22] = (char)('0' + ms % 10);
    return str_make(scratch, 24);
}

struct str log_time_format(struct str format, int64_t wall_us, char scratch[LOG_SCRATCH_BYTES])
{
    return format.len > 0 ? log_time_by_format(format, wall_us, scratch)
                          : log_time_iso(wall_us, scratch);
}
