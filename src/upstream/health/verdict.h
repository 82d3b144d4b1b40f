/* What is known of endpoints' health, for a process that takes over: by the names of backend and
 * endpoint, with what is left of an ejection instead of its end, since clocks may differ. Control's
 * thread. */
#pragma once

#include "upstream/health/monitor.h"

struct health_verdict {
    struct str backend; /* borrowed, as the next */
    struct str endpoint;
    bool is_probed; /* by one probe at least */
    bool fails_probes;
    bool is_ejected;
    uint32_t n_ejections;
    uint64_t ejected_us; /* how long it still is */
};

typedef void health_verdict_fn(void *ctx, const struct health_verdict *v);

/* Of each endpoint that is watched and of which something is known. */
void health_verdicts_export(const struct health_registry *r, uint64_t now_us,
                            health_verdict_fn *tell, void *ctx);
/* Who watches it from now on begins with that, as far as its plan asks for it. */
void health_verdict_import(struct endpoint_state *e, uint64_t now_us,
                           const struct health_verdict *v);
