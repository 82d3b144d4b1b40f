/* CPU quotas of cgroups (Linux: scheduler/sched-bwc.rst). */
#include "app/cpu_count.h"

#include <sched.h>

#include "app/cgroup.h"
#include "base/macro.h"

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

static uint64_t cpu_count_of_group(const struct cgroup_place *place)
{
    char quota_room[CGROUP_TEXT_BYTES], period_room[CGROUP_TEXT_BYTES];
    struct str quota =
        cgroup_read(place, place->is_v2 ? "cpu.max" : "cpu.cfs_quota_us", quota_room);

    if (!quota.ptr)
        return 0;
    if (place->is_v2)
        return cpu_count_parse_max(quota);
    return cpu_count_parse_cfs(quota, cgroup_read(place, "cpu.cfs_period_us", period_room));
}

uint32_t cpu_count_default(void)
{
    cpu_set_t set;
    int n_cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return (uint32_t)cgroup_smallest("cpu", cpu_count_of_group, (uint64_t)MAX(n_cpus, 1));
}
