/* What a request has used: tokens in the meaning of the OpenAI API (`input` includes what came from
 * or went into a cache, `output` includes reasoning), or rows of a KServe prediction. Pure; any
 * thread. */
#pragma once

#include "base/limits.h"
#include "base/macro.h"

/* X(name, what): the counts, also the costs that a manifest can ask for. */
#define USAGE_COUNTS(X)                                                                            \
    X(input, "tokens of the prompt, cached ones included; rows in")                                \
    X(cached_input, "of these, read from a cache")                                                 \
    X(cache_creation_input, "of these, written to a cache")                                        \
    X(output, "tokens of the answer, reasoning included; rows out")                                \
    X(reasoning, "of these, reasoning")                                                            \
    X(total, "as the provider says, else input and output")

/* A count that is not known is 0 and its has_ is false. */
struct usage {
#define X(name, what) int64_t name;
    USAGE_COUNTS(X)
#undef X
#define X(name, what) bool has_##name;
    USAGE_COUNTS(X)
#undef X
    bool is_estimated; /* at least one count was made from bytes, not told by the provider */
    bool is_invalid;   /* the provider told a count that is none: it was ignored */
};

/* Sum within [0, INT64_MAX]; both are counts, so not negative. */
static inline int64_t usage_sum(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* A number of a provider's as a count: false when it is negative, has a fraction, or is larger than
 * LIMIT_USAGE_TOKENS, so that no sum of one answer comes near the end of int64_t. "12.0" and "1e3"
 * are whole. */
MUST_USE static inline bool usage_count(double number, int64_t *ret_count)
{
    if (!(number >= 0 && number <= LIMIT_USAGE_TOKENS) || number != (double)(int64_t)number)
        return false;
    *ret_count = (int64_t)number;
    return true;
}

/* `total` becomes input and output together. */
static inline void usage_set_total(struct usage *u)
{
    u->total = usage_sum(u->input, u->output);
    u->has_total = true;
}
