/* account: what did it cost, and what must be given back? Runs whatever the end: an answer read to
 * its own end says what it used; of one that broke off, or whose provider says nothing, tokens are
 * counted from what passed, and marked as estimated. Nothing is free by leaving early. An upstream
 * that still works for a client that has left is stopped here at the latest. */
#include "gateway/ai/ai_answer.h"
#include "gateway/exchange.h"
#include "gateway/mirror.h"
#include "gateway/traffic/retry.h"
#include "llm/estimate.h"
#include "llm/request_scan.h"

bool exchange_cost(const struct exchange *x, struct str metadata_namespace, struct str key,
                   uint64_t *ret_cost)
{
    if (!str_eq(metadata_namespace, COST_NAMESPACE))
        return false;
    VEC_FOREACH (&x->costs, cost) {
        if (str_eq(cost->key, key)) {
            *ret_cost = cost->value;
            return true;
        }
    }
    return false;
}

/* ---- usage ---- */

/* Did a backend take the request to work on it? A status that says no means that it did not. */
static bool account_was_served(const struct exchange *x)
{
    /* Without a try at the last priority, x->attempt is still that of the one before, which did not
     * serve it: else nobody would have gone on. */
    if (x->n_tries == 0 || !x->answer || x->failure == ATTEMPT_REFUSED)
        return false;
    return x->attempt.has_head ? x->attempt.response.status / 100 == 2 : x->attempt.has_sent_body;
}

static void account_estimate(struct exchange *x)
{
    const struct ai_answer *a = x->answer;
    uint64_t text_bytes = a->has_scan ? answer_scan_open_text_bytes(&a->scan) : 0;

    /* What could not be read stands for itself, and what was read before that for no less. */
    if (a->has_failed_decoding)
        text_bytes = MAX(text_bytes, a->n_body_bytes);
    if (x->estimate.n_rows > 0)
        estimate_rows_fill(&x->usage, (int64_t)x->estimate.n_rows);
    else
        estimate_tokens_fill(&x->usage, body_gate_text_bytes(&x->gate), text_bytes);
}

static void account_read_usage(struct exchange *x)
{
    ai_answer_close(x);
    if (x->answer && x->answer->has_scan)
        answer_scan_usage(&x->answer->scan, &x->usage);
    if (account_was_served(x))
        account_estimate(x);
    else if (!x->usage.has_input && !x->usage.has_output)
        return;
    x->has_usage = true;
    if (x->attempt.has_head && !x->usage.is_estimated && x->estimate.n_rows == 0)
        limit_learn(x, (uint64_t)x->usage.output);
}

/* ---- costs ---- */

const struct cost_list *exchange_costs(const struct exchange *x)
{
    const struct cost_list *own = &x->rule->route->costs;

    return own->n > 0 ? own : &x->listener->costs;
}

/* CEL's `backend`: "name.namespace" (Envoy AI Gateway, LLMRequestCost). Of an HTTPRoute's backend,
 * "Kind/namespace/name:port", the same two. */
static struct str account_backend_name(struct exchange *x)
{
    struct str name = x->backend->ai ? x->backend->ai->name : x->backend->name;
    ssize_t slash = str_find_char(name, '/', 0);
    ssize_t colon = str_find_char(name, ':', 0);
    struct str namespace;

    if (!x->backend->ai) {
        name = str_slice(name, (size_t)(slash + 1), colon >= 0 ? (size_t)colon : name.len);
        slash = str_find_char(name, '/', 0);
    }
    if (slash < 0)
        return name;
    namespace = str_slice(name, 0, (size_t)slash);
    name = str_slice(name, (size_t)slash + 1, name.len);
    return arena_printf(&x->tail, "%.*s.%.*s", STR_ARG(name), STR_ARG(namespace));
}

static void account_price(struct exchange *x)
{
    const struct usage *u = &x->usage;
    const struct cost_list *costs = exchange_costs(x);
    enum cost_expr_condition failure;
    struct cost_input input = {
        .input_tokens = (uint64_t)u->input,
        .cached_input_tokens = (uint64_t)u->cached_input,
        .cache_creation_input_tokens = (uint64_t)u->cache_creation_input,
        .output_tokens = (uint64_t)u->output,
        .total_tokens = (uint64_t)u->total,
        .reasoning_tokens = (uint64_t)u->reasoning,
        .model = x->model,
        .route_name = x->rule->route->name,
    };

    for (uint32_t i = 0; i < costs->n; i++) {
        const struct cost_plan *c = &costs->items[i];

        if (c->expr && !input.backend.ptr)
            input.backend = account_backend_name(x);
        VEC_PUSH(&x->tail, &x->costs,
                 ((struct cost_value){c->metadata_key,
                                      cost_compute(c->type, c->expr, &input, &failure)}));
    }
}

enum step_result step_account(struct exchange *x)
{
    attempt_cancel(&x->attempt);
    retry_close(x);
    mirror_drop(x);
    if (x->is_ai && x->rule) {
        account_read_usage(x);
        if (x->has_usage)
            account_price(x);
    }
    limit_settle(x);
    if (x->downstream) {
        x->bytes_sent = x->downstream->bytes_sent;
        x->bytes_received = x->downstream->bytes_received;
    }
    return STEP_NEXT;
}
