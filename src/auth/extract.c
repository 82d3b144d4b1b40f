/* See extract.h. */
#include "auth/extract.h"

/* token68 without '=' (RFC 9110 11.2): what a JWT can hold. */
static bool extract_is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/' || c == '='))
            return false;
    }
    return s.len > 0;
}

bool extract_bearer(struct str value, struct str *ret_token)
{
    static const size_t scheme = sizeof "Bearer" - 1;

    if (!str_starts_with_nocase(value, STR("Bearer")) || value.len <= scheme ||
        value.ptr[scheme] != ' ')
        return false;
    *ret_token = str_trim(str_slice(value, scheme, value.len));
    return extract_is_token(*ret_token);
}

bool extract_prefixed(struct str value, struct str prefix, struct str *ret_token)
{
    if (!str_starts_with_nocase(value, prefix))
        return false;
    *ret_token = str_trim(str_slice(value, prefix.len, value.len));
    return extract_is_token(*ret_token);
}
