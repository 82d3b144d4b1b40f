/* Query strings as lists of name=value (WHATWG URL, application/x-www-form-urlencoded), for
 * matching only: the raw query goes upstream as it came. Pure; worker-local arena. */
#pragma once

#include "base/arena.h"

/* Cuts the next raw `name[=value]` off *rest, splitting at '&'; empty ones are skipped. False at
 * the end. */
bool query_next(struct str *rest, struct str *ret_name, struct str *ret_value);
/* Decodes %XX and '+'; a malformed escape stays as it is. Borrows when there is nothing to do. */
struct str query_decode(struct str raw, struct arena *a);
/* The decoded value of the first parameter whose decoded name is `name` (Gateway API: the first
 * wins); false when absent. */
bool query_find(struct str query, struct str name, struct arena *a, struct str *ret_value);
