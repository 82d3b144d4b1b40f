/* See stream_time.h. What is known to be a stream by its request is bounded from then on, before
 * its answer begins: that may never be. */
#include "gateway/traffic/stream_time.h"

#include "gateway/exchange.h"

void stream_time_on_try(struct exchange *x)
{
    if (x->is_grpc || x->request.upgrade.len > 0)
        stream_time_on_stream(x);
}

void stream_time_on_stream(struct exchange *x)
{
    exchange_bound_life(x, x->upstream_us + x->rule->stream_us);
}
