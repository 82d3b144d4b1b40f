/* The cost of a request from its usage.
 *
 * A cost expression may overflow or divide by zero on counts that its author did not think of, and
 * a client can choose some of them. Then all tokens are charged, one unit each: neither nothing
 * (free requests) nor the largest number (a budget emptied by one request). Owner: nothing. Pure.
 */
#include "llm/cost.h"

#include "base/assert.h"

uint64_t cost_total(const struct cost_input *input)
{
    uint64_t sum;

    if (__builtin_add_overflow(input->input_tokens, input->output_tokens, &sum))
        sum = UINT64_MAX;
    return MAX(sum, input->total_tokens);
}

uint64_t cost_compute(enum cost_type type, const struct cel_expr *expr,
                      const struct cost_input *input, enum cost_expr_condition *ret_failure)
{
    uint64_t cost = 0;
    int code;

    *ret_failure = 0;
    switch (type) {
    case COST_INPUT_TOKEN:
        return input->input_tokens;
    case COST_OUTPUT_TOKEN:
        return input->output_tokens;
    case COST_CACHED_INPUT_TOKEN:
        return input->cached_input_tokens;
    case COST_CACHE_CREATION_INPUT_TOKEN:
        return input->cache_creation_input_tokens;
    case COST_REASONING_TOKEN:
        return input->reasoning_tokens;
    case COST_TOTAL_TOKEN:
        return input->total_tokens;
    case COST_CEL:
        code = cost_expr_eval(expr, input, &cost);
        if (code == 0)
            return cost;
        *ret_failure = (enum cost_expr_condition)code;
        return cost_total(input);
    }
    UNREACHABLE();
}
