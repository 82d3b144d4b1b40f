/* The longest time of streams, as a BackendTrafficPolicy has it (maxStreamDuration): of calls of
 * gRPC, upgrades, and answers that are streams of events; counted from when the request is sent.
 * The end comes as the listener's own (exchange_bound_life). Worker-local. */
#pragma once

struct exchange;

/* A try begins: x->upstream_us. */
void stream_time_on_try(struct exchange *x);
/* Its answer is a stream, which is going to the client. */
void stream_time_on_stream(struct exchange *x);
