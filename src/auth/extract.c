/* See extract.h. */
#include "auth/extract.h"

/* token68 (RFC 9110 11.2): what a JWT can hold. Every byte of every token passes here: a table, no
 * branches. */
static const bool extract_may_hold[256] = {
    ['+'] = true, ['-'] = true, ['.'] = true, ['/'] = true, ['0'] = true, ['1'] = true,
    ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true,
    ['8'] = true, ['9'] = true, ['='] = true, ['A'] = true, ['B'] = true, ['C'] = true,
    ['D'] = true, ['E'] = true, ['F'] = true, ['G'] = true, ['H'] = true, ['I'] = true,
    ['J'] = true, ['K'] = true, ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true,
    ['P'] = true, ['Q'] = true, ['R'] = true, ['S'] = true, ['T'] = true, ['U'] = true,
    ['V'] = true, ['W'] = true, ['X'] = true, ['Y'] = true, ['Z'] = true, ['_'] = true,
    ['a'] = true, ['b'] = true, ['c'] = true, ['d'] = true, ['e'] = true, ['f'] = true,
    ['g'] = true, ['h'] = true, ['i'] = true, ['j'] = true, ['k'] = true, ['l'] = true,
    ['m'] = true, ['n'] = true, ['o'] = true, ['p'] = true, ['q'] = true, ['r'] = true,
    ['s'] = true, ['t'] = true, ['u'] = true, ['v'] = true, ['w'] = true, ['x'] = true,
    ['y'] = true, ['z'] = true, ['~'] = true,
};

static bool extract_is_token(struct str s)
{
    bool is_token = s.len > 0;

    for (size_t i = 0; i < s.len; i++)
        is_token &= extract_may_hold[(unsigned char)s.ptr[i]];
    return is_token;
}

static enum extract_result extract_rest(struct str rest, struct str *ret_token)
{
    *ret_token = str_trim(rest);
    return extract_is_token(*ret_token) ? EXTRACT_TOKEN : EXTRACT_MALFORMED;
}

enum extract_result extract_bearer(struct str value, struct str *ret_token)
{
    static const size_t scheme = sizeof "Bearer" - 1;

    if (!str_starts_with_nocase(value, STR("Bearer")))
        return EXTRACT_NONE;
    if (value.len > scheme && extract_may_hold[(unsigned char)value.ptr[scheme]])
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
