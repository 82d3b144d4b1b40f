/* The process_* metrics: read from /proc/self at each scrape, the start once. What cannot be read
 * is left out. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "telemetry/metrics_internal.h"

static void process_collect_memory(struct metrics_scrape *s)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long n_virtual, n_resident;
    double page = (double)sysconf(_SC_PAGESIZE);

    if (!file)
        return;
    if (fscanf(file, "%llu %llu", &n_virtual, &n_resident) == 2) {
        metrics_emit(s, METRIC_PROCESS_VIRTUAL, NULL, (double)n_virtual * page);
        metrics_emit(s, METRIC_PROCESS_RSS, NULL, (double)n_resident * page);
    }
    fclose(file);
}

static void process_collect_cpu(struct metrics_scrape *s)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0)
        metrics_emit(s, METRIC_PROCESS_CPU, NULL, (double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static void process_collect_fds(struct metrics_scrape *s)
{
    DIR *folder = opendir("/proc/self/fd");
    struct rlimit limit;
    double n = -3; /* ".", ".." and the folder's own */

    if (folder) {
        while (readdir(folder))
            n++;
        closedir(folder);
        metrics_emit(s, METRIC_PROCESS_FDS, NULL, n);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_emit(s, METRIC_PROCESS_MAX_FDS, NULL, (double)limit.rlim_cur);
}

/* Field 22 of /proc/self/stat: ticks since boot. The name in field 2 may hold anything but ends at
 * the last ')'. */
static bool process_start_ticks(unsigned long long *ret_ticks)
{
    FILE *file = fopen("/proc/self/stat", "re");
    char text[1024];
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    const char *rest;

    if (file)
        fclose(file);
    text[n] = '\0';
    rest = strrchr(text, ')');
    return rest && sscanf(rest + 1,
                          " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
                          " %*d %*d %llu",
                          ret_ticks) == 1;
}

static double process_start_s; /* 0: unknown */

static void process_find_start(void)
{
    struct timespec wall, boot;
    unsigned long long ticks;

    if (!process_start_ticks(&ticks) || clock_gettime(CLOCK_REALTIME, &wall) != 0 ||
        clock_gettime(CLOCK_BOOTTIME, &boot) != 0)
        return;
    process_start_s = (double)(wall.tv_sec - boot.tv_sec) +
                      (double)(wall.tv_nsec - boot.tv_nsec) / 1e9 +
                      (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* Found once: found again at each scrape it would drift with the wall clock, and a change of this
 * value means a restart to those who watch it. */
static void process_collect_start(struct metrics_scrape *s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, process_find_start);
    if (process_start_s > 0)
        metrics_emit(s, METRIC_PROCESS_START, NULL, process_start_s);
}

void process_metrics_collect(struct metrics_scrape *s, void *ctx UNUSED)
{
    process_collect_cpu(s);
    process_collect_memory(s);
    process_collect_fds(s);
    process_collect_start(s);
}
