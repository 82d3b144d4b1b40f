/* Slow start: weights over time. */
#include "policy/balance/slow_start.h"

#include "base/macro.h"
#include "policy/balance/balancer.h"
#include "test/harness/test.h"

TEST(a_new_endpoint_grows_evenly_from_a_tenth)
{
    static const uint64_t s = 1000000;
    static const struct {
        uint64_t since_us, now_us, window_us;
        unsigned percent;
    } cases[] = {
        {0, 0, 0, 100},
        {5 * s, 5 * s, 60 * s, 10},
        {5 * s, 4 * s, 60 * s, 10}, /* before its time */
        {5 * s, 10 * s, 60 * s, 10},
        {5 * s, 11 * s, 60 * s, 10},
        {5 * s, 20 * s, 60 * s, 25},
        {5 * s, 35 * s, 60 * s, 50},
        {5 * s, 64 * s, 60 * s, 98},
        {5 * s, 65 * s, 60 * s, 100},
        {5 * s, 1000 * s, 60 * s, 100},
        {0, UINT64_MAX / 4, UINT64_MAX / 2, 50}, /* no window overflows */
        {0, 1, 1, 100},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_INT(slow_start_weight(cases[i].since_us, cases[i].now_us, cases[i].window_us) /
                      (BALANCER_FULL_WEIGHT / 100),
                  cases[i].percent);
}
