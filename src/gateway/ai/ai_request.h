/* From a client's AI request to the one that an AI service receives: path of its schema, its own
 * model name, changes of headers and body, its credential; translated where it speaks another API.
 * Bytes stay as they are but for a named change. */
#pragma once

#include "gateway/exchange.h"

/* Must the rest of the body be waited for, because some backend of the rule needs all of it at
 * once?
 */
bool ai_request_needs_hold(const struct exchange *x);
/* Before each attempt, on the head that forward_prepare made (its header list is its own). Sets
 * x->sent_body and makes x->answer anew. REFUSAL_NONE, or why the backend cannot serve this. */
enum refusal ai_request_prepare(struct exchange *x, const struct backend_plan *b,
                                struct http_request *r);
/* Is usage to be asked for, which this stream's client did not want to see? */
bool ai_request_asks_for_usage(const struct exchange *x);
