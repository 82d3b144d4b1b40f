/* The header traceparent: which trace a request belongs to, and which span asked for it (W3C Trace
 * Context, level 1, section 3.2). Pure; any thread. */
#pragma once

#include "base/random.h"
#include "base/str.h"

/* A span of a trace, as others are told of it. */
struct trace_parent {
    uint64_t trace_id[2]; /* not both 0 */
    uint64_t span_id;     /* not 0 */
    bool is_sampled;      /* its caller says that the trace is being recorded */
};

enum { TRACE_PARENT_BYTES = 55, TRACE_ID_HEX_BYTES = 32, SPAN_ID_HEX_BYTES = 16 };

/* False: the text is none, and its trace is to be begun anew. Later versions are read as far as
 * this one knows them. */
bool trace_parent_parse(struct str text, struct trace_parent *ret);
/* Version 00; without a NUL. */
void trace_parent_format(const struct trace_parent *p, char ret_text[TRACE_PARENT_BYTES]);
/* A new id, never 0: unique, not secret. */
uint64_t trace_parent_new_id(struct random *r);
/* A new trace, with a span of its own, that is being recorded. */
void trace_parent_begin(struct random *r, struct trace_parent *ret);
/* Lower-case hexadecimal digits; without a NUL. */
void trace_parent_format_trace_id(const struct trace_parent *p, char ret_text[TRACE_ID_HEX_BYTES]);
void trace_parent_format_span_id(uint64_t id, char ret_text[SPAN_ID_HEX_BYTES]);
