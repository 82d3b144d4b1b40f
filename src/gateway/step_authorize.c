/* authorize: may this caller use this route and this model? Judged on the request as claims left
 * it, before the route's own header modifiers. What passes gets its forwarding headers here. */
#include "gateway/exchange.h"
#include "gateway/forward.h"

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

    if (result.verdict == AUTHORIZE_LIMIT)
        return exchange_refuse(x, REFUSAL_MATCH_LIMIT);
    if (result.verdict == AUTHORIZE_ALLOW)
        return STEP_NEXT;
    x->refusal_detail = result.rule && result.rule->name.len ? result.rule->name : STR("default");
    return exchange_refuse(x, REFUSAL_FORBIDDEN);
}

enum step_result step_authorize(struct exchange *x)
{
    const struct security_plan *security = x->rule->security;
    enum step_result result = STEP_NEXT;

    if (security && security->authorization)
        result = authorize_judge(x, security->authorization);
    if (result == STEP_NEXT)
        forward_add_headers(x);
    return result;
}
