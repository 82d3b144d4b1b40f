/* Counts of usage: which numbers are one, and their sums. No count is larger than
 * LIMIT_USAGE_TOKENS, so that no sum of one answer comes near the end of int64_t; sums of many
 * answers saturate. Where the numbers stand in an answer is answer_scan's business. */
#include "llm/usage.h"

#include "base/limits.h"

bool usage_count(double number, int64_t *ret_count)
{
    if (!(number >= 0 && number <= LIMIT_USAGE_TOKENS) || number != (double)(int64_t)number)
        return false;
    *ret_count = (int64_t)number;
    return true;
}

void usage_set_total(struct usage *u)
{
    u->total = usage_sum(u->input, u->output);
    u->has_total = true;
}
