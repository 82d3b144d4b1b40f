/* inspect: which model? A KServe path names it; the bodies of other AI endpoints are read once AI
 * routes are enforced. The model becomes the late header x-ai-eg-model (and x-model), so that rules
 * and authorization can ask for it; a client's own was removed at admission. */
#include "gateway/exchange.h"

enum step_result step_inspect(struct exchange *x)
{
    if (x->kserve.call == KSERVE_NONE)
        return STEP_NEXT;
    x->model = x->kserve.model;
    VEC_FOREACH (&x->verdicts, v) {
        http_headers_add_id(&v->headers, HEADER_X_AI_EG_MODEL, x->model);
        http_headers_add_id(&v->headers, HEADER_X_MODEL, x->model);
    }
    return STEP_NEXT;
}
