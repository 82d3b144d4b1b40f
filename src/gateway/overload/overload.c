/* Control's side: ten times a second the resident memory that is the process's own against its
 * limit. What was freed and not given back to the system counts as used, so it is given back before
 * anybody is refused for it. */
#include "gateway/overload/overload.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "gateway/server.h"

enum {
    OVERLOAD_TICK_US = 100000,
    OVERLOAD_TRIM_US = 1000000,
    OVERLOAD_MARGIN = 3, /* percent of the limit, between up and down */
    OVERLOAD_FILES = 64, /* descriptors for files, listeners, control's own connections */
    OVERLOAD_CONNECTIONS_MIN = 16,
};

static const unsigned overload_percent[] = {
    [OVERLOAD_TIGHT] = 80,
    [OVERLOAD_SHEDDING] = 90,
    [OVERLOAD_CLOSED] = 95,
};

uint32_t overload_clients_max(uint64_t n_files)
{
    uint64_t n = n_files > OVERLOAD_FILES ? (n_files - OVERLOAD_FILES) / 2 : 0;

    return (uint32_t)MIN(MAX(n, (uint64_t)OVERLOAD_CONNECTIONS_MIN), (uint64_t)UINT32_MAX);
}

uint32_t overload_upstreams_max(uint64_t n_files)
{
    return MIN(overload_clients_max(n_files), (uint32_t)LIMIT_UPSTREAM_CONNECTIONS);
}

enum overload_level overload_judge(enum overload_level now, uint64_t used, uint64_t limit)
{
    enum overload_level level = OVERLOAD_CALM;

    for (unsigned i = OVERLOAD_TIGHT; limit > 0 && i <= OVERLOAD_CLOSED; i++) {
        unsigned percent = overload_percent[i] - (i <= (unsigned)now ? OVERLOAD_MARGIN : 0);

        if (used >= limit / 100 * percent)
            level = (enum overload_level)i;
    }
    return level;
}

/* Resident pages that are not of files; 0 when it cannot be read. */
static uint64_t overload_measure(const struct overload *o)
{
    unsigned long long n_all, n_resident, n_shared;
    char text[128];
    ssize_t n = pread(o->statm_fd, text, sizeof text - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%llu %llu %llu", &n_all, &n_resident, &n_shared) != 3)
        return 0;
    return (n_resident - MIN(n_shared, n_resident)) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void overload_tell(struct overload *o, enum overload_level level)
{
    bool is_calm = level == OVERLOAD_CALM;

    if (is_calm != o->is_told)
        return;
    o->is_told = !is_calm;
    if (is_calm)
        log_info("memory: %llu MiB, below its limit again", (unsigned long long)(o->used >> 20));
    else
        log_warn("memory: %llu of %llu MiB: idle connections are closed, then requests refused",
                 (unsigned long long)(o->used >> 20), (unsigned long long)(o->memory_limit >> 20));
}

/* Others wait for the allocator meanwhile: once a second. */
static bool overload_trim(struct overload *o)
{
    uint64_t now_us = o->server->loop->now.mono_us;

    if (o->trimmed_us && now_us - o->trimmed_us < OVERLOAD_TRIM_US)
        return false;
    o->trimmed_us = now_us;
    if (!malloc_trim(0))
        return false;
    o->used = overload_measure(o);
    return true;
}

static void overload_on_tick(struct timer *t)
{
    struct overload *o = CONTAINER_OF(t, struct overload, timer);
    struct server *g = o->server;
    enum overload_level before = overload_level(o);
    enum overload_level level;

    timer_set(g->loop, t, g->loop->now.mono_us + OVERLOAD_TICK_US);
    o->used = overload_measure(o);
    level = overload_judge(before, o->used, o->memory_limit);
    if (level > OVERLOAD_CALM && overload_trim(o))
        level = overload_judge(before, o->used, o->memory_limit);
    overload_tell(o, level);
    atomic_store_explicit(&o->level, (uint32_t)level, memory_order_relaxed);
    for (uint32_t i = 0; (level | before) != OVERLOAD_CALM && i < g->n_workers; i++)
        worker_order(g->workers[i], ORDER_SHED);
}

static void overload_on_room_wanted(struct wake *wake)
{
    struct server *g = CONTAINER_OF(wake, struct overload, room_wanted)->server;

    for (uint32_t i = 0; i < g->n_workers; i++)
        worker_order(g->workers[i], ORDER_ROOM);
}

void overload_init(struct overload *o, struct server *g, uint64_t memory_limit)
{
    struct rlimit files = {0};

    *o = (struct overload){.server = g, .memory_limit = memory_limit};
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        files.rlim_cur = 0;
    o->n_clients_max = overload_clients_max(files.rlim_cur);
    wake_init(&o->room_wanted, g->loop, overload_on_room_wanted);
    conn_limit_init(&o->upstreams, overload_upstreams_max(files.rlim_cur));
    o->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    o->timer.fn = overload_on_tick;
    if (memory_limit > 0 && o->statm_fd < 0)
        log_warn("memory: /proc/self/statm cannot be read: its limit does not hold");
    else if (memory_limit > 0)
        timer_set(g->loop, &o->timer, g->loop->now.mono_us + OVERLOAD_TICK_US);
}

void overload_deinit(struct overload *o)
{
    if (!o->server)
        return;
    timer_cancel(o->server->loop, &o->timer);
    conn_limit_deinit(&o->upstreams);
    if (o->statm_fd >= 0)
        close(o->statm_fd);
    o->statm_fd = -1;
}
