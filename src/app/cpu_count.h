/* How many processors this process may use: the default of --workers. */
#pragma once

#include "base/str.h"

/* At least 1: the smallest of the affinity mask and the CPU quotas of the cgroups (v2 or v1) that
 * hold the process, quotas rounded up. */
uint32_t cpu_count_default(void);

/* The parts, for tests. 0: no quota. "200000 100000" (v2: cpu.max), "max 100000". */
uint32_t cpu_count_parse_max(struct str text);
/* v1: cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us. */
uint32_t cpu_count_parse_cfs(struct str quota, struct str period);
