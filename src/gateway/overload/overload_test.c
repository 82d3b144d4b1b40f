/* What follows from how much is used: up at once, down with a margin. */
#include "gateway/overload/overload.h"

#include "base/limits.h"
#include "test/harness/test.h"

TEST(levels_rise_at_once_and_fall_well_below)
{
    static const struct {
        unsigned now;
        uint64_t used;
        unsigned level;
    } cases[] = {
        {OVERLOAD_CALM, 0, OVERLOAD_CALM},           {OVERLOAD_CALM, 799, OVERLOAD_CALM},
        {OVERLOAD_CALM, 800, OVERLOAD_TIGHT},        {OVERLOAD_CALM, 900, OVERLOAD_SHEDDING},
        {OVERLOAD_CALM, 2000, OVERLOAD_CLOSED},      {OVERLOAD_TIGHT, 899, OVERLOAD_TIGHT},
        {OVERLOAD_TIGHT, 770, OVERLOAD_TIGHT},       {OVERLOAD_TIGHT, 769, OVERLOAD_CALM},
        {OVERLOAD_SHEDDING, 870, OVERLOAD_SHEDDING}, {OVERLOAD_SHEDDING, 869, OVERLOAD_TIGHT},
        {OVERLOAD_CLOSED, 920, OVERLOAD_CLOSED},     {OVERLOAD_CLOSED, 919, OVERLOAD_SHEDDING},
        {OVERLOAD_CLOSED, 1, OVERLOAD_CALM},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG((unsigned)overload_judge((enum overload_level)cases[i].now, cases[i].used,
                                           1000) == cases[i].level,
                  "%u at %u", (unsigned)cases[i].used, cases[i].now);
    CHECK_INT(overload_judge(OVERLOAD_CLOSED, UINT64_MAX, 0), OVERLOAD_CALM);
}

TEST(clients_have_a_part_of_the_descriptors)
{
    CHECK_INT(overload_clients_max(0), 16);
    CHECK_INT(overload_clients_max(64), 16);
    CHECK_INT(overload_clients_max(256), 96);
    CHECK_INT(overload_clients_max(1024), 480);
    CHECK_INT(overload_clients_max(UINT64_MAX), UINT32_MAX);
}

TEST(backends_have_as_many_within_their_limit)
{
    CHECK_INT(overload_upstreams_max(0), 16);
    CHECK_INT(overload_upstreams_max(1024), 480);
    CHECK_INT(overload_upstreams_max(UINT64_MAX), LIMIT_UPSTREAM_CONNECTIONS);
}
