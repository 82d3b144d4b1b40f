/* Memory limits of cgroups. */
#include "app/memory_limit.h"

#include "app/cgroup.h"
#include "base/macro.h"

/* v1 writes "none" as the largest number of whole pages. */
static const uint64_t NO_LIMIT = UINT64_C(1) << 60;

uint64_t memory_limit_parse(struct str text)
{
    uint64_t n;

    if (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    return str_to_u64(text, &n) && n < NO_LIMIT ? n : 0;
}

static uint64_t memory_limit_of_group(const struct cgroup_place *place)
{
    char room[CGROUP_TEXT_BYTES];
    struct str text =
        cgroup_read(place, place->is_v2 ? "memory.max" : "memory.limit_in_bytes", room);

    return text.ptr ? memory_limit_parse(text) : 0;
}

uint64_t memory_limit_default(void)
{
    uint64_t n = cgroup_smallest("memory", memory_limit_of_group, NO_LIMIT);

    return n < NO_LIMIT ? n / 10 * 9 : 0;
}
