/* Taking a token out of a field value. */
#pragma once

#include "base/str.h"

/* "Bearer <token>" (RFC 6750 2.1; the scheme is case-insensitive, RFC 9110 11.1). False when it is
 * no bearer credential or the token holds a byte that no token has. */
bool extract_bearer(struct str value, struct str *ret_token);
/* The value behind a configured prefix ("Bearer ", "Token "); an empty prefix takes all. */
bool extract_prefixed(struct str value, struct str prefix, struct str *ret_token);
