/* The chat request that the benchmarks of llm read: the same 1 MB on every machine. */
#pragma once

#include "base/buf.h"

/* Appends one chat completion request of about `n_bytes` (1 000 000 is the published size), made
 * from nothing but this file: 55 % prose with an escape every 40 bytes and some text past ASCII,
 * 15 % tool schemas, 30 % an image in base64. */
void chat_corpus_append(struct buf *out, size_t n_bytes);
