/* inspect: which model? A KServe path names it, or the body of another AI endpoint, which is read
 * as it comes (body_gate.h) where the listener has AI routes. The model becomes the late header
 * x-ai-eg-model (and x-model), so that rules and authorization can ask for it; a client's own was
 * removed at admission. */
#include "gateway/exchange.h"

enum step_result step_inspect(struct exchange *x)
{
    enum step_result result = STEP_NEXT;

    x->model = x->kserve.model;
    if (x->is_ai)
        result = body_gate_run(x);
    if (result != STEP_NEXT || x->model.len == 0)
        return result;
    VEC_FOREACH (&x->verdicts, v) {
        http_headers_add_id(&v->headers, HEADER_X_AI_EG_MODEL, x->model);
        http_headers_add_id(&v->headers, HEADER_X_MODEL, x->model);
    }
    return STEP_NEXT;
}
