/* Fuzz target of cost expressions: an expression is refused with a place inside of it, or computes
 * the same cost again and again, or a condition, on every usage. */
#include "base/assert.h"
#include "llm/cost.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct cost_input inputs[] = {
    {0},
    {1000, 400, 50, 200, 1200, 30, {"gpt-4o", 6}, {"ai/openai", 9}, {"ai/chat", 7}},
    {UINT64_MAX, UINT64_MAX, 1, 1, UINT64_MAX, 0, {"\xff\0", 2}, {"", 0}, {"r", 1}},
    {INT64_MAX, 0, 1, INT64_MAX, 3, 7, {"m", 1}, {"b", 1}, {"r", 1}},
};

static void play_cost(const struct cel_expr *expr, const struct cost_input *input)
{
    enum cost_expr_condition failure;
    uint64_t first = 0;
    uint64_t again = 0;
    int code = cost_expr_eval(expr, input, &first);

    ASSERT(code == 0 || (code > COST_EXPR_INVALID && code <= COST_EXPR_TEXT_TOO_LONG));
    ASSERT(cost_expr_eval(expr, input, &again) == code && (code != 0 || first == again));
    again = cost_compute(COST_CEL, expr, input, &failure);
    ASSERT((int)failure == code);
    ASSERT(again == (code == 0 ? first : cost_total(input)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = str_make(bytes, size);
    const struct cel_expr *expr = NULL;
    struct cel_error error;
    struct arena a;

    arena_init(&a, 65536);
    int code = cost_expr_parse(&a, text, &expr, &error);

    ASSERT(code == 0 || code == COST_EXPR_INVALID);
    ASSERT((code == 0) == (expr != NULL));
    ASSERT(code == 0 || (error.offset <= size && error.text.len > 0));
    for (size_t i = 0; code == 0 && i < N_ELEMENTS(inputs); i++)
        play_cost(expr, &inputs[i]);
    arena_deinit(&a);
    return 0;
}
