/* What the limits of a configuration stand at: for metrics and whoever else shows them. Of each
 * counter the values that were asked about last, so that its cost and its lines are bounded. */
#pragma once

#include "gateway/limit.h"
#include "gateway/snapshot.h"

struct limit_reading {
    const struct limit_rule_plan *rule;
    struct str route; /* log_name of the route rule whose own counter it is; "": of all */
    struct str key;   /* as limit_rule_format_key; values that a client chose are hidden. Lent */
    struct str scope; /* whom the rule counts, as limit_rule_format_scope. Lent */
    size_t n_keys;    /* of the counter, shown or not; told with its first reading */
    struct bucket_level level;
};

typedef void limit_reading_fn(void *ctx, const struct limit_reading *reading);
/* On control. At most LIMIT_READINGS_PER_COUNTER of a counter, LIMIT_READINGS in all. */
void limit_readings(const struct snapshot *s, int64_t now_wall_us, limit_reading_fn *fn, void *ctx);
