/* Requests of a rule with `requestBuffer` go to a backend when their content is complete, and are
 * refused when it is longer than the policy says (413). Bodies that the gate reads (body_gate.h)
 * are held by it. What is held counts in the worker's held_bodies; in the exchange's pipe. */
#pragma once

#include "gateway/exchange.h"

/* For the step `upstream`, before its first try: NEXT when all is there; WAIT; or a refusal. */
enum step_result request_buffer_run(struct exchange *x);
/* From the pump: so many bytes more stand in the pipe, or the content is complete. */
void request_buffer_on_body(struct exchange *x, size_t n_bytes);
void request_buffer_on_end(struct exchange *x);
