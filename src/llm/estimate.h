/* Tokens from bytes, for an answer whose usage nobody told: the client or the upstream left before
 * the end, or the provider is silent. Nothing is free by leaving early. Pure; any thread. */
#pragma once

#include "llm/usage.h"

/* Four bytes of text make a token, a started one counts: the mean of common tokenizers on English
 * prose and code. */
#define ESTIMATE_TOKEN_BYTES 4

/* Tokens of `n_bytes` of text, at most LIMIT_USAGE_TOKENS. */
int64_t estimate_tokens(uint64_t n_bytes);
/* Fills in what `u` lacks and marks it is_estimated when anything was lacking: input (told
 * as 0 it lacks too) from `prompt_bytes` (text of the request, else its body), output from
 * `text_bytes`: content that passed and that no count of the provider's covers
 * (answer_scan_open_text_bytes), on top of a count that it may have told before. */
void estimate_tokens_fill(struct usage *u, uint64_t prompt_bytes, uint64_t text_bytes);
/* The same for KServe predictions, counted in rows: what came in is known (`rows`); as many are
 * taken to have come out when the answer was not read to its end. Token counts that the model
 * server told itself stay. */
void estimate_rows_fill(struct usage *u, int64_t rows);
