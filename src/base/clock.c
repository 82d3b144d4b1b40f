/* Clock values and their text forms. gmtime_r is called per format: callers on the hot path keep
 * the text of the current second. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct clock clock_read(void)
{
    return (struct clock){(uint64_t)clock_us(CLOCK_MONOTONIC), clock_us(CLOCK_REALTIME)};
}

uint64_t clock_coarse_us(void)
{
    return (uint64_t)clock_us(CLOCK_MONOTONIC_COARSE);
}

void clock_format_iso(int64_t wall_unix_us, char ret_text[25])
{
    time_t seconds = (time_t)(wall_unix_us / 1000000);
    unsigned ms = (unsigned)(wall_unix_us / 1000 % 1000);
    char text[64];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ms);
    snprintf(ret_text, 25, "%.24s", text);
}

void clock_format_http(int64_t wall_unix_s, char ret_text[30])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)wall_unix_s;
    char text[64];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    snprintf(ret_text, 30, "%.29s", text);
}

static bool clock_parse_zone(const char *text, size_t len, int64_t *ret_offset_s)
{
    int hours, minutes;

    if (len == 1 && (text[0] == 'Z' || text[0] == 'z')) {
        *ret_offset_s = 0;
        return true;
    }
    if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
        return false;
    hours = (text[1] - '0') * 10 + text[2] - '0';
    minutes = (text[4] - '0') * 10 + text[5] - '0';
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *ret_offset_s = (text[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

bool clock_parse_rfc3339(const char *text, size_t len, int64_t *ret_unix_s)
{
    char copy[40];
    struct tm tm = {0};
    int64_t offset_s;

    if (len < 20 || len >= sizeof copy)
        return false;
    for (size_t i = 0; i < len; i++)
        copy[i] = text[i];
    copy[len] = '\0';
    const char *rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!rest)
        return false;
    if (*rest == '.') {
        do
            rest++;
        while (*rest >= '0' && *rest <= '9');
    }
    if (!clock_parse_zone(rest, len - (size_t)(rest - copy), &offset_s))
        return false;
    *ret_unix_s = (int64_t)timegm(&tm) - offset_s;
    return true;
}
