/* Cost expressions: what AI requests cost, in CEL (cel/cel.h). An AIGatewayRoute's llmRequestCosts
 * with type CEL (Envoy AI Gateway) are written in it.
 *
 * Variables: `model`, `backend`, `route_name` (string); `input_tokens`, `cached_input_tokens`,
 * `cache_creation_input_tokens`, `output_tokens`, `total_tokens`, `reasoning_tokens` (uint). The
 * result is an int or uint. Any thread. */
#pragma once

#include "cel/cel.h"

/* What the cost of one request is computed from; a count that nobody told is 0. Texts borrow. */
struct cost_input {
    uint64_t input_tokens;
    uint64_t cached_input_tokens;
    uint64_t cache_creation_input_tokens;
    uint64_t output_tokens;
    uint64_t total_tokens;
    uint64_t reasoning_tokens;
    struct str model;
    struct str backend;    /* "name.namespace", as Envoy AI Gateway's LLMRequestCost says */
    struct str route_name; /* "namespace/name" of the route */
};

enum cost_expr_condition {
    COST_EXPR_INVALID = 1,    /* parse: malformed or ill-typed */
    COST_EXPR_OVERFLOW,       /* a number leaves the range of its type, or is not finite */
    COST_EXPR_DIVIDE_BY_ZERO, /* of int or uint; doubles give an infinity, as IEEE 754 says */
    COST_EXPR_NEGATIVE,       /* the result is less than 0 */
    COST_EXPR_TEXT_TOO_LONG,  /* texts joined by `+` exceed LIMIT_CEL_TEXT_BYTES */
};

/* 0, or COST_EXPR_INVALID with `*ret_error`: no expression, or one whose result is no number of
 * tokens. */
MUST_USE int cost_expr_parse(struct arena *arena, struct str text, const struct cel_expr **ret,
                             struct cel_error *ret_error);
/* 0, or a condition other than COST_EXPR_INVALID: the cost cannot be told. Whoever charges for it
 * then charges all tokens (cost_compute does): no request is free because of its price. */
MUST_USE int cost_expr_eval(const struct cel_expr *expr, const struct cost_input *input,
                            uint64_t *ret_cost);
/* Why no cost could be told, as part of a sentence; static. */
const char *cost_expr_condition_text(enum cost_expr_condition condition);
