/* shortlist: which rules does the head not exclude? Walks the candidates in precedence order up to
 * the first that no late header can take out of the race, and notes which distinct authentications
 * they ask for. A CORS preflight carries no credentials and none of the headers to come: it is
 * answered here, by the CORS policy of a rule that the request to come may meet. */
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "llm/ai_endpoint.h"
#include "policy/route_cursor.h"

static void shortlist_note(struct exchange *x, uint32_t auth_group)
{
    struct verdict *v;

    VEC_FOREACH (&x->verdicts, known) {
        if (known->auth_group == auth_group)
            return;
    }
    v = VEC_ADD(&x->arena, &x->verdicts);
    v->auth_group = auth_group;
    v->authentication = auth_group ? x->listener->authentications[auth_group - 1] : NULL;
    http_headers_init(&v->headers, &x->arena);
}

/* What the head alone decides must be within reach; late headers are the gateway's to write. */
static bool shortlist_may_be_met(const struct exchange *x, const struct route_match *match)
{
    for (uint16_t i = 0; i < match->n_early; i++) {
        if (!cors_may_bring(&x->request, match->early[i].name.text))
            return false;
    }
    return !match->is_grpc || cors_may_bring(&x->request, header_name(HEADER_CONTENT_TYPE));
}

/* The CORS policy that answers a preflight: the first in precedence order that allows its origin,
 * else the first of all. NULL: no rule in question has one. */
static const struct cors *shortlist_preflight(const struct exchange *x)
{
    const struct http_header *origin = http_headers_find_id(&x->request.headers, HEADER_ORIGIN);
    const struct http_header *method =
        http_headers_find_id(&x->request.headers, HEADER_ACCESS_CONTROL_REQUEST_METHOD);
    struct http_request to_come = x->request;
    const struct route_match *match;
    const struct cors *first = NULL;
    struct route_cursor cursor;

    to_come.method = http_method_parse(method->value);
    to_come.method_text = method->value;
    route_cursor_init(&cursor, x->listener->routes, &to_come,
                      ai_endpoint_find(to_come.method, x->request.path, x->kserve.call) !=
                          AI_ENDPOINT_NONE);
    route_cursor_set_preflight(&cursor);
    while (route_cursor_next(&cursor, &match) == ROUTE_CANDIDATE) {
        const struct rule_plan *rule = match->rule;

        if (!shortlist_may_be_met(x, match))
            continue;
        if (rule->cors && cors_allows_origin(rule->cors, origin->value))
            return rule->cors;
        if (!first)
            first = rule->cors;
        if (match->n_late == 0 && match->n_early == 0)
            break; /* it takes what the rules before it leave */
    }
    return first;
}

enum step_result step_shortlist(struct exchange *x)
{
    bool has_origin = http_headers_find_id(&x->request.headers, HEADER_ORIGIN) != NULL;
    const struct cors *preflight;
    struct route_cursor cursor;
    const struct route_match *match;
    enum route_step step;

    if (kserve_parse(x->request.path, &x->arena, &x->kserve) != 0)
        return exchange_refuse(x, REFUSAL_BAD_PATH);
    x->rpc = kserve_grpc_find(x->request.path);
    x->endpoint = ai_endpoint_find(x->request.method, x->request.path, x->kserve.call);
    x->is_ai = x->endpoint != AI_ENDPOINT_NONE && x->listener->has_ai_routes;
    preflight = has_origin && cors_is_preflight(&x->request) ? shortlist_preflight(x) : NULL;
    if (preflight)
        return answer_preflight(x, preflight);
    route_cursor_init(&cursor, x->listener->routes, &x->request, x->is_ai);
    /* Of many rules that one late header tells apart one is enough, but for what each makes of the
     * model. */
    if (x->rpc == KSERVE_RPC_NONE)
        route_cursor_set_shortlist(&cursor);
    while ((step = route_cursor_next(&cursor, &match)) == ROUTE_CANDIDATE) {
        const struct rule_plan *rule = match->rule;

        PREFETCH(rule);
        if (x->rpc != KSERVE_RPC_NONE)
            x->model_uses |= rule->model_uses;
        if (has_origin && !x->cors)
            x->cors = rule->cors;
        shortlist_note(x, match->auth_group);
        if (match->n_late == 0)
            break;
    }
    if (step == ROUTE_REFUSE)
        return exchange_refuse(x, REFUSAL_MATCH_LIMIT);
    if (x->verdicts.n == 0)
        return exchange_refuse(x, exchange_no_route(x));
    return STEP_NEXT;
}
