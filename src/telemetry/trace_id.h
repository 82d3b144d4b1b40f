/* Ids that follow a request: X-Request-Id is a random UUID (RFC 9562 section 5.4). */
#pragma once

#include "base/random.h"

enum { TRACE_ID_UUID_BYTES = 37 };

/* 36 characters and a NUL. Unique, not secret: `r` is the worker's generator, seeded from the
 * system. */
void trace_id_uuid(struct random *r, char ret_text[TRACE_ID_UUID_BYTES]);
