/* Tracing of one exchange: its place in a trace (W3C Trace Context), and its spans, for the request
 * and for each attempt at a backend, with the attributes of OpenTelemetry's conventions for HTTP
 * and generative AI. Content, queries and credentials are in none. Worker-local. */
#pragma once

#include "gateway/trace/trace_plan.h"
#include "telemetry/trace/trace_parent.h"

struct access_record;
struct exchange;
struct http_request;

/* Of an exchange that is traced: in its arena. */
struct trace {
    const struct trace_plan *plan; /* the listener's */
    struct trace_parent self;      /* the request's span */
    uint64_t parent_id;            /* of its caller's; 0: it begins the trace */
    struct str state;              /* tracestate, as it goes on */
    uint64_t attempt_id;           /* span of the attempt under way; 0: none */
    uint32_t n_attempts;
};

/* At admission, where the listener has tracing: draws whether the exchange is traced, and puts it
 * in x->trace then. One that is not goes on with the headers that it came with. */
void trace_begin(struct exchange *x);
/* Of an exchange that is traced, as are the next ones: an attempt begins, and `request`, what it
 * sends, says so. */
void trace_begin_attempt(struct exchange *x, struct http_request *request);
/* The attempt under way, if there is one, has ended. */
void trace_end_attempt(struct exchange *x);
/* The exchange has ended: its last attempt, if it is still under way, and itself. */
void trace_end(struct exchange *x, struct access_record *record);
