/* What the two files of the request to Anthropic share. Inside src/llm/translate only. */
#pragma once

#include "llm/translate/translator.h"

/* Members `system` and `messages` from the client's `messages`. */
MUST_USE bool to_messages_write_messages(const struct reading *r, const json_t *root,
                                         struct writer *w);
/* Anthropic's own mark, where a client put it on a part, a tool or a message. */
MUST_USE bool to_messages_write_cache_control(const struct reading *r, const struct place *at,
                                              const json_t *object, struct writer *w);
