/* Request cookies (RFC 6265 5.4). Pure; any thread. */
#pragma once

#include "base/str.h"

/* The value of the first cookie called `name` (names differ by case) in a Cookie field value,
 * without surrounding quotes; false when absent. Borrows. */
bool cookie_find(struct str header_value, struct str name, struct str *ret);
