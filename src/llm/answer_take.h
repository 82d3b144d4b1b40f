/* What the values of an answer mean: the callback of answer_scan's JSON scan. */
#pragma once

#include "llm/json/json_scan.h"

/* `context` is a struct answer_scan; its reading and its facts' model are written. */
void answer_take(void *context, const struct json_hit *hit);
