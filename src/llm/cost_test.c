/* Costs: each type takes its count; what cannot be computed costs all tokens. */
#include "llm/cost.h"

#include "test/harness/test.h"

static const struct cost_input usage = {
    .input_tokens = 10,
    .cached_input_tokens = 4,
    .cache_creation_input_tokens = 3,
    .output_tokens = 20,
    .total_tokens = 31,
    .reasoning_tokens = 7,
};

TEST(each_type_takes_its_count)
{
    static const struct {
        enum cost_type type;
        uint64_t cost;
    } rows[] = {
        {COST_INPUT_TOKEN, 10},       {COST_OUTPUT_TOKEN, 20},
        {COST_CACHED_INPUT_TOKEN, 4}, {COST_CACHE_CREATION_INPUT_TOKEN, 3},
        {COST_REASONING_TOKEN, 7},    {COST_TOTAL_TOKEN, 31},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        enum cost_expr_condition failure = COST_EXPR_INVALID;

        CHECK_INT(cost_compute(rows[i].type, NULL, &usage, &failure), rows[i].cost);
        CHECK_INT(failure, 0);
    }
}

TEST(an_expression_that_fails_costs_all_tokens)
{
    static const struct {
        const char *text;
        uint64_t cost;
        int failure;
    } rows[] = {
        {"input_tokens * 2u + output_tokens * 8u", 180, 0},
        {"0", 0, 0},
        {"input_tokens - output_tokens", 31, COST_EXPR_OVERFLOW},
        {"input_tokens / (total_tokens - 31u)", 31, COST_EXPR_DIVIDE_BY_ZERO},
        {"-1", 31, COST_EXPR_NEGATIVE},
        {"uint(double(output_tokens) / 0.0)", 31, COST_EXPR_OVERFLOW},
    };
    struct arena arena;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        enum cost_expr_condition failure;
        struct cel_error error;
        const struct cel_expr *expr;

        CHECK_INT(cost_expr_parse(&arena, str_of(rows[i].text), &expr, &error), 0);
        CHECK_INT(cost_compute(COST_CEL, expr, &usage, &failure), rows[i].cost);
        CHECK_INT(failure, rows[i].failure);
    }
    arena_deinit(&arena);
}

TEST(all_tokens_are_never_less_than_input_and_output)
{
    struct cost_input input = {.input_tokens = 5, .output_tokens = 6};

    CHECK_INT(cost_total(&input), 11);
    input.total_tokens = 12;
    CHECK_INT(cost_total(&input), 12);
    input.input_tokens = UINT64_MAX;
    CHECK(cost_total(&input) == UINT64_MAX);
}
