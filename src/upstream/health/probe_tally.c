/* Thresholds of probes. Nothing here knows a clock or a connection. */
#include "upstream/health/probe_tally.h"

bool probe_tally_note(struct probe_tally *t, uint32_t unhealthy_threshold,
                      uint32_t healthy_threshold, enum probe_result result)
{
    bool is_first = !t->is_known;
    uint32_t threshold = t->is_unhealthy ? healthy_threshold : unhealthy_threshold;

    if (result == PROBE_NOT_MADE)
        return false;
    t->is_known = true;
    if ((result == PROBE_OK) != t->is_unhealthy) {
        t->n_against = 0;
        return false;
    }
    t->n_against++;
    if (t->n_against < threshold && !is_first && result != PROBE_STATUS)
        return false;
    t->is_unhealthy = !t->is_unhealthy;
    t->n_against = 0;
    return true;
}
