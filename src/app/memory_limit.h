/* How much memory this process may use: the default of --memory-limit. */
#pragma once

#include "base/str.h"

/* Nine tenths of the smallest limit of the cgroups (v2 or v1) that hold the process; 0: none has
 * one. Bytes. */
uint64_t memory_limit_default(void);

/* The part, for tests. "1073741824", "max"; 0: no limit, as also one that is beyond all memory. */
uint64_t memory_limit_parse(struct str text);
