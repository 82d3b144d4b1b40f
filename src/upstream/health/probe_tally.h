/* Probes of one endpoint into a verdict (Envoy, "Health checking"): so many failures in a row make
 * it unhealthy, so many successes healthy again. Until the first probe has ended it is taken for
 * healthy; that one decides at once. Pure. */
#pragma once

#include "upstream/health/health_state.h"

struct probe_tally {
    bool is_known; /* some probe has ended */
    bool is_unhealthy;
    uint32_t n_against; /* in a row against what is_unhealthy says */
};

/* A status that is neither expected nor retriable makes unhealthy at once, whatever the threshold.
 * True: the verdict has changed. */
bool probe_tally_note(struct probe_tally *t, uint32_t unhealthy_threshold,
                      uint32_t healthy_threshold, enum probe_result result);
