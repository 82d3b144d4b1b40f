/* A number's value, by its spelling.
 *
 * Digits alone are read here, exactly; a fraction or an exponent goes to strtod (the program never
 * sets a locale, so its decimal point is the dot). A spelling that did not fit the text room has no
 * honest use in a request or an answer, and counts as out of range: whoever bounds what it reads
 * refuses it with the other giants. */
#include "llm/json_number.h"

#include <math.h>
#include <stdlib.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53: from here on doubles skip whole numbers */

static bool read_digits(struct str text, int64_t *ret_value)
{
    bool is_negative = text.ptr[0] == '-';
    int64_t value = 0;

    for (size_t i = is_negative; i < text.len; i++) {
        int digit = text.ptr[i] - '0';

        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value)) /* downwards: INT64_MIN has no twin */
            return false;
    }
    if (!is_negative && value == INT64_MIN)
        return false;
    *ret_value = is_negative ? value : -value;
    return true;
}

void json_number_read(struct json_hit *hit)
{
    hit->is_integer = false;
    hit->integer = 0;
    if (hit->is_cut) {
        hit->number = hit->text.ptr[0] == '-' ? -INFINITY : INFINITY;
        return;
    }
    if (read_digits(hit->text, &hit->integer)) {
        hit->is_integer = true;
        hit->number = (double)hit->integer;
        return;
    }
    hit->number = strtod(hit->text.ptr, NULL);
    if (fabs(hit->number) <= EXACT_MAX && nearbyint(hit->number) == hit->number) {
        hit->is_integer = true;
        hit->integer = (int64_t)hit->number;
    }
}
