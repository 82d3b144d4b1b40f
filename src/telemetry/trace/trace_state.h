/* The header tracestate: what the systems that a trace went through say to themselves (W3C Trace
 * Context, level 1, section 3.3). The gateway adds nothing to it. Pure; any thread. */
#pragma once

#include "base/arena.h"

/* What of it goes on, `text` itself or in `a`: all of it, or as many members as there is room for
 * in LIMIT_TRACE_STATE_BYTES, the longest left out first; empty where it is not well-formed. Header
 * lines are joined in their order. */
struct str trace_state_sound(struct str text, struct arena *a);
