/* Cost expressions: the part of CEL (Common Expression Language, language definition) that prices
 * need. An AIGatewayRoute's llmRequestCosts with type CEL (Envoy AI Gateway) are written in it.
 *
 * Variables: `model`, `backend`, `route_name` (string); `input_tokens`, `cached_input_tokens`,
 * `cache_creation_input_tokens`, `output_tokens`, `total_tokens`, `reasoning_tokens` (uint).
 * Literals: int, uint (`3u`), double, string (all escapes, raw and triple-quoted), true, false.
 * Operators: `+ - * / %`, `== != < <= > >=`, `in [literals]`, `&& || !`, unary `-`, `? :`.
 * Functions: `int() uint() double()` of numbers; `.startsWith() .endsWith() .contains()`.
 * As in CEL, arithmetic does not mix number types, comparison does. The result is an int or uint.
 *
 * Parsing: the compile thread, into an arena; the tree borrows nothing from the text and is
 * immutable. Evaluation: any thread, no allocation, no loops but over literals. */
#pragma once

#include "base/arena.h"

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
    COST_EXPR_TEXT_TOO_LONG,  /* texts joined by `+` exceed LIMIT_COST_EXPR_TEXT_BYTES */
};

struct cost_expr;

/* Where and why an expression is refused. */
struct cost_expr_error {
    size_t offset;   /* bytes before the place, in the text */
    struct str text; /* a sentence without its full stop; in the arena of the parse */
};

/* 0, or COST_EXPR_INVALID with `*ret_error`. Time and memory are linear in the text, which may have
 * LIMIT_COST_EXPR_BYTES. */
MUST_USE int cost_expr_parse(struct arena *arena, struct str text, const struct cost_expr **ret,
                             struct cost_expr_error *ret_error);
/* 0, or a condition other than COST_EXPR_INVALID: the cost cannot be told. Whoever charges for it
 * then charges all tokens (cost_compute does): no request is free because of its price. */
MUST_USE int cost_expr_eval(const struct cost_expr *expr, const struct cost_input *input,
                            uint64_t *ret_cost);
/* Why no cost could be told, as part of a sentence; static. */
const char *cost_expr_condition_text(enum cost_expr_condition condition);
