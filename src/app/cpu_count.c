/* CPU quotas of cgroups (Linux: Documentation/admin-guide/cgroup-v2.rst, scheduler/sched-bwc.rst).
 * A quota of any group above binds too, so the walk goes from the process's own group to the root.
 * Inside a container the root that is seen is the container's. A file that cannot be read says
 * nothing. */
#include "app/cpu_count.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/macro.h"

enum { CPU_COUNT_TEXT_BYTES = 4096 };

static uint32_t cpu_count_round(uint64_t quota, uint64_t period)
{
    uint64_t n = period > 0 ? (quota + period - 1) / period : 0;

    return (uint32_t)MIN(n, (uint64_t)UINT16_MAX);
}

uint32_t cpu_count_parse_max(struct str text)
{
    struct str rest = str_trim(text), quota;
    uint64_t q, p;

    if (rest.len > 0 && rest.ptr[rest.len - 1] == '\n')
        rest.len--;
    if (!str_split(&rest, ' ', &quota) || !rest.ptr || !str_to_u64(quota, &q) ||
        !str_to_u64(rest, &p) || q == 0)
        return 0;
    return cpu_count_round(q, p);
}

uint32_t cpu_count_parse_cfs(struct str quota, struct str period)
{
    uint64_t q, p;
    struct str rest_q = quota, rest_p = period;

    if (!str_split(&rest_q, '\n', &quota) || !str_split(&rest_p, '\n', &period) ||
        !str_to_u64(quota, &q) || !str_to_u64(period, &p) || q == 0)
        return 0;
    return cpu_count_round(q, p);
}

static bool cpu_count_has_controller(struct str list)
{
    struct str word;

    while (str_split(&list, ',', &word)) {
        if (str_eq(word, STR("cpu")))
            return true;
    }
    return false;
}

struct str cpu_count_find_path(struct str text, bool is_v2)
{
    struct str line, id, list;

    while (str_split(&text, '\n', &line)) {
        if (!str_split(&line, ':', &id) || !line.ptr || !str_split(&line, ':', &list) || !line.ptr)
            continue;
        if (is_v2 ? str_eq(id, STR("0")) && list.len == 0 : cpu_count_has_controller(list))
            return line;
    }
    return STR_NULL;
}

/* ---- files ---- */

static struct str cpu_count_read(const char *path, char room[CPU_COUNT_TEXT_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return STR_NULL;
    n = read(fd, room, CPU_COUNT_TEXT_BYTES);
    close(fd);
    return n > 0 ? str_make(room, (size_t)n) : STR_NULL;
}

static uint32_t cpu_count_of_group(struct str path, bool is_v2)
{
    char quota_room[CPU_COUNT_TEXT_BYTES], period_room[CPU_COUNT_TEXT_BYTES];
    const char *root = is_v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    char file[PATH_MAX];
    struct str quota;

    snprintf(file, sizeof file, "%s%.*s/%s", root, STR_ARG(path),
             is_v2 ? "cpu.max" : "cpu.cfs_quota_us");
    quota = cpu_count_read(file, quota_room);
    if (!quota.ptr)
        return 0;
    if (is_v2)
        return cpu_count_parse_max(quota);
    snprintf(file, sizeof file, "%s%.*s/cpu.cfs_period_us", root, STR_ARG(path));
    return cpu_count_parse_cfs(quota, cpu_count_read(file, period_room));
}

/* The smallest quota from the group up to the root; `limit` when none is smaller. */
static uint32_t cpu_count_of_hierarchy(struct str path, bool is_v2, uint32_t limit)
{
    for (;;) {
        uint32_t n;

        while (path.len > 0 && path.ptr[path.len - 1] == '/')
            path.len--;
        n = cpu_count_of_group(path, is_v2);
        limit = n > 0 ? MIN(n, limit) : limit;
        if (path.len == 0)
            return limit;
        while (path.len > 0 && path.ptr[path.len - 1] != '/')
            path.len--;
    }
}

uint32_t cpu_count_default(void)
{
    char room[CPU_COUNT_TEXT_BYTES];
    struct str groups = cpu_count_read("/proc/self/cgroup", room);
    cpu_set_t set;
    int n_cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    uint32_t n = (uint32_t)MAX(n_cpus, 1);

    n = cpu_count_of_hierarchy(cpu_count_find_path(groups, true), true, n);
    return cpu_count_of_hierarchy(cpu_count_find_path(groups, false), false, n);
}
