/* See extract.h. */
#include "auth/extract.h"

/* What a scheme's name is made of (tchar, RFC 9110 5.6.2, as far as names of schemes go). */
static bool extract_is_scheme_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '+';
}

/* Which bytes a token holds is left to its verification: that one is strict, and a remembered token
 * has passed it. */
static enum extract_result extract_rest(struct str rest, struct str *ret_token)
{
    *ret_token = str_trim(rest);
    return ret_token->len > 0 ? EXTRACT_TOKEN : EXTRACT_MALFORMED;
}

enum extract_result extract_bearer(struct str value, struct str *ret_token)
{
    static const size_t scheme = sizeof "Bearer" - 1;

    if (!str_starts_with_nocase(value, STR("Bearer")))
        return EXTRACT_NONE;
    if (value.len > scheme && extract_is_scheme_char(value.ptr[scheme]))
        return EXTRACT_NONE; /* another scheme, whose name begins alike */
    if (value.len == scheme || value.ptr[scheme] != ' ')
        return EXTRACT_MALFORMED;
    return extract_rest(str_slice(value, scheme, value.len), ret_token);
}

enum extract_result extract_prefixed(struct str value, struct str prefix, struct str *ret_token)
{
    if (!str_starts_with_nocase(value, prefix))
        return EXTRACT_NONE;
    return extract_rest(str_slice(value, prefix.len, value.len), ret_token);
}
