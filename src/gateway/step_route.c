/* route: which rule? Candidates in precedence order, each judged with the late headers as its own
 * authentication leaves them; the first that holds is final. A rule whose authentication failed
 * refuses here, with that authentication's reason. From now on the exchange needs nothing of the
 * snapshot but its listener and the rule's route (exchange_pin). */
#include "gateway/ai/model_list.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "policy/route_cursor.h"

static struct str route_late_value(void *context, uint32_t auth_group, struct str name)
{
    struct exchange *x = context;
    const struct verdict *v = exchange_verdict(x, auth_group);

    return v ? http_headers_joined(&v->headers, name) : STR_NULL;
}

/* Tenant and subject for logs and metrics: of verified claims only, never of what a client sent. */
static void route_note_identity(struct exchange *x, const struct verdict *v)
{
    if (!v->claims)
        return;
    x->tenant = arena_str(&x->arena, jwt_claim_string(v->claims, STR("tenant")));
    x->subject = arena_str(&x->arena, jwt_claim_string(v->claims, STR("sub")));
}

/* Does the match itself say which model it is for: by its path, or by the model's header? */
static bool route_names_model(const struct exchange *x, const struct route_match *match)
{
    /* "/v1/models/" and "/v2/models/" are equally long. */
    if (x->rpc == KSERVE_RPC_NONE &&
        (match->path_kind == ROUTE_PATH_EXACT ||
         (match->path_kind == ROUTE_PATH_PREFIX && match->path.len > strlen("/v1/models/"))))
        return x->kserve.call != KSERVE_NONE;
    for (uint16_t i = 0; i < match->n_late; i++) {
        if (str_eq(match->late[i].name.text, STR("x-ai-eg-model")) && !match->late[i].regex)
            return true;
    }
    return false;
}

static void route_settle(struct exchange *x, const struct route_match *match, struct verdict *v)
{
    const struct rule_plan *rule = match->rule;

    x->rule = rule;
    x->n_matched = match->path_kind == ROUTE_PATH_PREFIX ? match->path.len : 0;
    x->cors = rule->cors;
    x->is_model_named = (x->endpoint != AI_ENDPOINT_NONE || x->rpc != KSERVE_RPC_NONE) &&
                        route_names_model(x, match);
    if (x->hold->is_current)
        PREFETCH(&x->hold->memos[rule->number]);
    if (rule->n_backends > 0)
        PREFETCH(rule->backends);
    x->identity = v;
    route_note_identity(x, v);
    for (uint16_t i = 0; i < v->headers.n; i++)
        http_headers_add(&x->request.headers, v->headers.items[i].name, v->headers.items[i].value);
}

/* REGEX_HIT: final; REGEX_LIMIT: refuse. */
static enum regex_verdict route_judge(struct exchange *x, const struct route_match *match)
{
    struct verdict *v = exchange_verdict(x, match->auth_group);
    enum regex_verdict holds;

    /* The shortlist saw every authentication up to the first rule that cannot be lost; if the two
     * ever disagreed, nothing may pass. */
    if (!v)
        return REGEX_LIMIT;
    holds = route_match_late(match, &v->headers);
    if (holds == REGEX_HIT) {
        x->is_model_list = model_list_is_asked(x, match);
        route_settle(x, match, v);
    }
    return holds;
}

/* What needs the snapshot is done here: it may go as soon as the exchange is pinned. */
static void route_leave_snapshot(struct exchange *x)
{
    if (x->is_model_list)
        model_list_make(x);
    if (x->rule && !x->hold->is_current)
        exchange_pin(x);
}

enum step_result step_route(struct exchange *x)
{
    enum regex_verdict holds = REGEX_MISS;
    const struct route_match *match;
    struct route_cursor cursor;
    enum route_step step;

    route_cursor_init(&cursor, x->listener->routes, &x->request, x->is_ai);
    route_cursor_set_late(&cursor, route_late_value, x);
    do {
        step = route_cursor_next(&cursor, &match);
        if (step == ROUTE_CANDIDATE)
            holds = route_judge(x, match);
    } while (step == ROUTE_CANDIDATE && holds == REGEX_MISS);
    if (step == ROUTE_REFUSE || holds == REGEX_LIMIT)
        return exchange_refuse(x, REFUSAL_MATCH_LIMIT);
    if (!x->rule)
        x->is_model_list = model_list_is_asked(x, NULL);
    route_leave_snapshot(x);
    if (!x->rule)
        return x->is_model_list ? model_list_answer(x) : exchange_refuse(x, exchange_no_route(x));
    if (x->rule->security && x->rule->security->is_unavailable) {
        x->refusal_detail = x->rule->security->why;
        return exchange_refuse(x, REFUSAL_SECURITY_UNAVAILABLE);
    }
    if (x->identity->refusal != REFUSAL_NONE)
        return exchange_refuse(x, x->identity->refusal);
    if (x->rule->is_broken) {
        x->refusal_detail = x->rule->why_broken;
        return exchange_refuse(x, REFUSAL_ROUTE_BROKEN);
    }
    return exchange_arm_total(x) ? STEP_NEXT : exchange_refuse(x, REFUSAL_UPSTREAM_TIMEOUT);
}
