/* The estimate. Its error: for text whose tokens have 2 to 6 bytes each (uniformly, so a mean of 4
 * and a standard deviation of 1.41), n tokens are estimated within 0.354 / sqrt(n) of their number:
 * within 25 % at three deviations from 18 tokens on, and sums of many streams within a few per
 * thousand. Text of other scripts has fewer bytes per character and token than this or more; the
 * provider's own count is taken whenever there is one. */
#include "llm/estimate.h"

#include "base/limits.h"

int64_t estimate_tokens(uint64_t n_bytes)
{
    uint64_t tokens = n_bytes / ESTIMATE_TOKEN_BYTES + (n_bytes % ESTIMATE_TOKEN_BYTES != 0);

    return (int64_t)MIN(tokens, (uint64_t)LIMIT_USAGE_TOKENS);
}

void estimate_tokens_fill(struct usage *u, uint64_t prompt_bytes, uint64_t text_bytes)
{
    bool has_input = u->has_input && (u->input > 0 || prompt_bytes == 0);
    bool has_all = has_input && u->has_output && text_bytes == 0;

    if (!has_input)
        u->input = estimate_tokens(prompt_bytes);
    u->output = usage_sum(u->output, estimate_tokens(text_bytes));
    u->has_input = u->has_output = true;
    if (!has_all) {
        u->is_estimated = true;
        usage_set_total(u);
    } else if (!u->has_total) {
        usage_set_total(u);
    }
}

void estimate_rows_fill(struct usage *u, int64_t rows)
{
    if (!u->has_input)
        u->input = rows;
    if (!u->has_output) {
        u->output = rows;
        u->is_estimated = true;
    }
    u->has_input = u->has_output = true;
    if (!u->has_total)
        usage_set_total(u);
}
