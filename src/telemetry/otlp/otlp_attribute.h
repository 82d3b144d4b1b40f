/* Attributes as the JSON encoding of OTLP has them: an array of keys with typed values. What an
 * outsider wrote is cut to LIMIT_SPAN_VALUE_BYTES, and can neither end its string nor be no UTF-8.
 * Pure; any thread. */
#pragma once

#include "base/buf.h"

/* One more behind the array's '[' or the one before; a text that is empty is none. */
void otlp_attribute_text(struct buf *out, struct str key, struct str value);
void otlp_attribute_number(struct buf *out, struct str key, int64_t value);
void otlp_attribute_flag(struct buf *out, struct str key, bool value);
/* A text as a string, cut the same. */
void otlp_attribute_string(struct buf *out, struct str text);
