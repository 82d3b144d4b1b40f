/* What the two files of the request to OpenAI's API share. Inside src/llm/translate only. */
#pragma once

#include "llm/translate/translator.h"

/* Member `messages` from the client's `system` and `messages`. */
MUST_USE bool to_chat_write_messages(const struct reading *r, const json_t *root, struct writer *w);
