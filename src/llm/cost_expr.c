/* Cost expressions: what CEL knows of a request's usage, and what its result means as a cost.
 *
 * Owner: nothing. Parsing on the compile thread, evaluation on any. What a failed cost means is
 * decided in cost.c. */
#include "llm/cost_expr.h"

#include "base/assert.h"

/* By offset in struct cost_input. */
#define COUNT(member)                                                                              \
    {                                                                                              \
#member, CEL_UINT, 0, offsetof(struct cost_input, member)                                  \
    }
#define TEXT(member)                                                                               \
    {                                                                                              \
#member, CEL_STRING, 0, offsetof(struct cost_input, member)                                \
    }
static const struct cel_variable cost_variables[] = {
    TEXT(model),
    TEXT(backend),
    TEXT(route_name),
    COUNT(input_tokens),
    COUNT(cached_input_tokens),
    COUNT(cache_creation_input_tokens),
    COUNT(output_tokens),
    COUNT(total_tokens),
    COUNT(reasoning_tokens),
};

static const struct cel_scope cost_scope = {
    .variables = cost_variables,
    .n_variables = N_ELEMENTS(cost_variables),
    .hint = "model, backend, route_name, input_tokens, cached_input_tokens, "
            "cache_creation_input_tokens, output_tokens, total_tokens and reasoning_tokens",
};

static bool cost_read(const void *context, unsigned id, struct str key, struct cel_value *ret)
{
    const char *input = context;

    (void)key;
    if (ret->type == CEL_STRING)
        memcpy(&ret->s, input + id, sizeof ret->s);
    else
        memcpy(&ret->u, input + id, sizeof ret->u);
    return true;
}

int cost_expr_parse(struct arena *arena, struct str text, const struct cel_expr **ret,
                    struct cel_error *ret_error)
{
    const struct cel_expr *expr;
    enum cel_type type;

    if (cel_parse(arena, &cost_scope, text, &expr, ret_error) != 0)
        return COST_EXPR_INVALID;
    type = cel_expr_type(expr);
    if (type == CEL_INT || type == CEL_UINT) {
        *ret = expr;
        return 0;
    }
    ret_error->text =
        arena_printf(arena, "a cost is an int or uint, but this is a %s", cel_type_name(type));
    return COST_EXPR_INVALID;
}

int cost_expr_eval(const struct cel_expr *expr, const struct cost_input *input, uint64_t *ret_cost)
{
    static const enum cost_expr_condition conditions[CEL_CONDITION_END_] = {
        [CEL_OVERFLOW] = COST_EXPR_OVERFLOW,
        [CEL_DIVIDE_BY_ZERO] = COST_EXPR_DIVIDE_BY_ZERO,
        [CEL_TEXT_TOO_LONG] = COST_EXPR_TEXT_TOO_LONG,
    };
    const struct cel_reader reader = {.context = input, .read = cost_read};
    struct cel_value v;
    int code = cel_eval(expr, &reader, &v);

    if (code != 0) {
        ASSERT(conditions[code] != 0);
        return (int)conditions[code];
    }
    if (v.type == CEL_INT && v.i < 0)
        return COST_EXPR_NEGATIVE;
    *ret_cost = v.type == CEL_INT ? (uint64_t)v.i : v.u;
    return 0;
}

const char *cost_expr_condition_text(enum cost_expr_condition condition)
{
    switch (condition) {
    case COST_EXPR_INVALID:
        return "the expression is not valid";
    case COST_EXPR_OVERFLOW:
        return "a number leaves the range of its type";
    case COST_EXPR_DIVIDE_BY_ZERO:
        return "it divides by zero";
    case COST_EXPR_NEGATIVE:
        return "the cost is negative";
    case COST_EXPR_TEXT_TOO_LONG:
        return "it joins texts that are too long";
    }
    UNREACHABLE();
}
