/* Time as a value. The loop reads the clocks once a turn and passes the value on; levels 2 and 3
 * get it as a parameter, so that tests own time. */
#pragma once

#include "base/macro.h"

struct clock {
    uint64_t mono_us;     /* CLOCK_MONOTONIC: timers and durations */
    int64_t wall_unix_us; /* CLOCK_REALTIME: exp/nbf, log stamps, rate-limit windows */
};

/* Reads both clocks (vDSO, no system call). */
struct clock clock_read(void);
/* CLOCK_MONOTONIC as of the kernel's last tick, up to 10 ms ago: cheaper. */
uint64_t clock_coarse_us(void);

static inline uint64_t clock_mono_ms(struct clock c)
{
    return c.mono_us / 1000;
}
static inline int64_t clock_wall_s(struct clock c)
{
    return c.wall_unix_us / 1000000;
}

/* "2026-01-02T03:04:05.678Z" (24 bytes and a NUL) of a wall time in microseconds. */
void clock_format_iso(int64_t wall_unix_us, char ret_text[25]);
/* "Mon, 02 Jan 2026 03:04:05 GMT" (RFC 9110 IMF-fixdate, 29 bytes and a NUL). */
void clock_format_http(int64_t wall_unix_s, char ret_text[30]);
/* RFC 3339 timestamp ("2026-01-02T03:04:05Z", fraction and offset allowed) to unix seconds. */
bool clock_parse_rfc3339(const char *text, size_t len, int64_t *ret_unix_s);
