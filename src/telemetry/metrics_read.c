/* See metrics_read.h. */
#include "telemetry/metrics_read.h"

#include "telemetry/metrics_internal.h"

struct str metric_series_label(const struct metric_series *s, unsigned i)
{
    const char *at = s->bytes;

    for (; i > 0; i--)
        at += 1 + (unsigned char)*at;
    return str_make(at + 1, (unsigned char)*at);
}

void metrics_visit(const struct metrics *m, metrics_visit_fn *fn, void *ctx)
{
    for (const struct metrics_shard *shard = m->shards; shard; shard = shard->next) {
        const struct metric_series *series =
            atomic_load_explicit(&shard->newest, memory_order_acquire);

        for (; series; series = atomic_load_explicit(&series->next, memory_order_relaxed))
            fn(ctx, series);
    }
}
