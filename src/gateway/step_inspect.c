/* inspect: which model? A KServe path names it, or the body of another AI endpoint, which is read
 * as it comes (body_gate.h) where the listener has AI routes; or the message of a call to KServe's
 * gRPC service, which is read where something hangs on its model. The model becomes the late header
 * x-ai-eg-model (and x-model), so that rules and authorization can ask for it; a client's own was
 * removed at admission. */
#include "gateway/exchange.h"

static bool inspect_reads_message(const struct exchange *x)
{
    return x->rpc == KSERVE_RPC_NAMED && x->is_grpc && x->model_uses != 0;
}

/* A rule is meant for one model, and this may be a call to it: no other rule may take its place. */
static bool inspect_misses_model(const struct exchange *x)
{
    return (x->model_uses & MODEL_MATCHED) && x->rpc != KSERVE_RPC_BARE &&
           !inspect_reads_message(x);
}

enum step_result step_inspect(struct exchange *x)
{
    enum step_result result = STEP_NEXT;

    x->model = x->kserve.model;
    if (inspect_misses_model(x))
        return exchange_refuse(x, REFUSAL_MODEL_NOT_READ);
    if (x->is_ai || inspect_reads_message(x))
        result = body_gate_run(x);
    if (result != STEP_NEXT || x->model.len == 0)
        return result;
    VEC_FOREACH (&x->verdicts, v) {
        http_headers_add_id(&v->headers, HEADER_X_AI_EG_MODEL, x->model);
        http_headers_add_id(&v->headers, HEADER_X_MODEL, x->model);
    }
    return STEP_NEXT;
}
