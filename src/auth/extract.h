/* Taking a token out of a field value. */
#pragma once

#include "base/str.h"

enum extract_result {
    EXTRACT_NONE,      /* no credential of this kind */
    EXTRACT_TOKEN,     /* *ret_token */
    EXTRACT_MALFORMED, /* a credential of this kind that holds no token: never the same as none */
};

/* "Bearer <token>" (RFC 6750 2.1; the scheme is case-insensitive, RFC 9110 11.1). */
enum extract_result extract_bearer(struct str value, struct str *ret_token);
/* The value behind a configured prefix ("Bearer ", "Token "); an empty prefix takes all. */
enum extract_result extract_prefixed(struct str value, struct str prefix, struct str *ret_token);
