/* What a request costs: one count of its usage, or an expression over them (llmRequestCosts of an
 * AIGatewayRoute). Pure; any thread. */
#pragma once

#include "llm/cost_expr.h"

enum cost_type {
    COST_INPUT_TOKEN,
    COST_OUTPUT_TOKEN,
    COST_CACHED_INPUT_TOKEN,
    COST_CACHE_CREATION_INPUT_TOKEN,
    COST_REASONING_TOKEN,
    COST_TOTAL_TOKEN,
    COST_CEL,
};

/* In tokens, or whatever unit the expression has. `expr` is of COST_CEL, else ignored. An
 * expression that cannot be computed costs cost_total(), and `*ret_failure` says why; otherwise it
 * is 0. */
uint64_t cost_compute(enum cost_type type, const struct cel_expr *expr,
                      const struct cost_input *input, enum cost_expr_condition *ret_failure);
/* All tokens, whatever was left out: the total of the input, and never less than its input and
 * output together (saturating). */
uint64_t cost_total(const struct cost_input *input);
