/* Query parameters for route matching. Decoding allocates in the caller's arena, and only for
 * names and values that hold an escape; the length is bounded by the request target's. */
#include "http/query.h"

#include "http/grammar.h"

bool query_next(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    struct str part;

    while (str_split(rest, '&', &part)) {
        ssize_t equals = str_find_char(part, '=', 0);

        if (part.len == 0)
            continue;
        if (equals < 0) {
            *ret_name = part;
            *ret_value = STR("");
        } else {
            *ret_name = str_slice(part, 0, (size_t)equals);
            *ret_value = str_slice(part, (size_t)equals + 1, part.len);
        }
        return true;
    }
    return false;
}

struct str query_decode(struct str raw, struct arena *a)
{
    size_t n = 0;

    if (str_find_char(raw, '%', 0) < 0 && str_find_char(raw, '+', 0) < 0)
        return raw;
    char *out = arena_bytes(a, raw.len);

    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%' && raw.len - i >= 3 && grammar_is(raw.ptr[i + 1], GRAMMAR_HEX) &&
                   grammar_is(raw.ptr[i + 2], GRAMMAR_HEX)) {
            c = (char)(uint8_t)(grammar_hex(raw.ptr[i + 1]) << 4 | grammar_hex(raw.ptr[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    return str_make(out, n);
}

bool query_find(struct str query, struct str name, struct arena *a, struct str *ret_value)
{
    struct str raw_name, raw_value;

    while (query_next(&query, &raw_name, &raw_value)) {
        if (str_eq(query_decode(raw_name, a), name)) {
            *ret_value = query_decode(raw_value, a);
            return true;
        }
    }
    return false;
}
