/* Finds one cookie in a Cookie header. Reads only what is asked for: cookies of other names may be
 * as malformed as they like. Stateless. */
#include "http/cookie.h"

bool cookie_find(struct str header_value, struct str name, struct str *ret)
{
    struct str pair;

    while (str_split(&header_value, ';', &pair)) {
        ssize_t equals = str_find_char(pair, '=', 0);

        if (equals < 0 || !str_eq(str_trim(str_slice(pair, 0, (size_t)equals)), name))
            continue;
        struct str value = str_trim(str_slice(pair, (size_t)equals + 1, pair.len));

        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = str_slice(value, 1, value.len - 1);
        *ret = value;
        return true;
    }
    return false;
}
