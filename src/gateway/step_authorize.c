/* authorize: may this caller use this route and this model? First the layers that say who calls,
 * API keys and basic credentials, besides the token that identify has looked at; then the policy's
 * rules, judged on the request as claims left it, before the route's own header modifiers; last the
 * external authorizers, who see the forwarding headers too. All must agree. What passes gets its
 * forwarding headers here. Where the model decides and is not known, nobody passes. */
#include "gateway/ai/ai_request.h"
#include "gateway/exchange.h"
#include "gateway/forward.h"
#include "gateway/rehearsal.h"
#include "llm/kserve_grpc.h"

/* A call to a model that has not been read in its messages. Who asks for the model would take it
 * for one without. A call that the rule's rewrite makes of another counts as well: that is what the
 * backend gets. */
static bool authorize_misses_model(struct exchange *x)
{
    const struct path_rewrite *rewrite = x->rule->path_rewrite;
    bool is_read = x->rpc == KSERVE_RPC_NAMED && x->gate.message;
    struct str sent;

    if (x->rpc != KSERVE_RPC_NONE && x->rpc != KSERVE_RPC_BARE && !is_read)
        return true;
    return rewrite &&
           path_rewrite_apply(rewrite, x->request.path, x->n_matched, &x->arena, &sent) == 0 &&
           kserve_grpc_find(sent) != KSERVE_RPC_NONE && !str_eq(sent, x->request.path);
}

static enum step_result authorize_judge(struct exchange *x,
                                        const struct authorization *authorization)
{
    const struct verdict *identity = x->identity;
    struct authorize_input input = {
        .request = &x->request,
        .client = &x->client.address,
        .provider = identity->provider,
        .claims = identity->claims,
    };
    struct authorize_result result = authorization_decide(authorization, &input);

    if (UNLIKELY(x->rehearsal))
        x->rehearsal->ops->on_rules(x->rehearsal, authorization, &input, &result);
    if (result.verdict == AUTHORIZE_LIMIT)
        return exchange_refuse(x, REFUSAL_MATCH_LIMIT);
    if (result.verdict == AUTHORIZE_ALLOW)
        return STEP_NEXT;
    x->refusal_detail = result.rule && result.rule->name.len ? result.rule->name : STR("default");
    return exchange_refuse(x, REFUSAL_FORBIDDEN);
}

/* The step runs again when an authorizer has answered: the rules have their say once. */
static enum step_result authorize_by_rules(struct exchange *x)
{
    const struct security_plan *security = x->rule->security;
    enum step_result result = STEP_NEXT;

    if (x->layers.is_judged)
        return STEP_NEXT;
    if ((x->rule->model_uses & MODEL_JUDGED) && authorize_misses_model(x))
        return exchange_refuse(x, REFUSAL_MODEL_NOT_READ);
    if (security && security->authorization)
        result = authorize_judge(x, security->authorization);
    if (result == STEP_NEXT)
        forward_add_headers(x);
    x->layers.is_judged = true;
    return result;
}

enum step_result step_authorize(struct exchange *x)
{
    enum step_result result = layer_check_credentials(x);

    if (result == STEP_NEXT)
        result = authorize_by_rules(x);
    if (result == STEP_NEXT)
        result = layer_ask_authorizers(x);
    /* What a backend needs of the body may be more than the gate has held so far; nothing may be
     * reserved while the client takes its time. */
    if (result == STEP_NEXT && (x->gate.state == GATE_FAILED || ai_request_needs_hold(x)))
        return body_gate_hold_on(x);
    if (result == STEP_NEXT)
        forward_modify_headers(x);
    return result;
}
