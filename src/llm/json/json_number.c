/* A number's grammar as a table of steps, and its value by its spelling.
 *
 * Digits alone are read here, exactly; a fraction or an exponent goes to strtod (the program never
 * sets a locale, so its decimal point is the dot). A spelling that did not fit the text room has no
 * honest use in a request or an answer, and counts as out of range: whoever bounds what it reads
 * refuses it with the other giants. */
#include "llm/json/json_number.h"

#include <math.h>
#include <stdlib.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53: from here on doubles skip whole numbers */

enum json_number_step json_number_next(enum json_number_step at, unsigned char c)
{
    bool is_digit = c >= '0' && c <= '9';
    bool is_e = c == 'e' || c == 'E';

    switch (at) {
    case NUMBER_MINUS:
        return c == '0' ? NUMBER_ZERO : is_digit ? NUMBER_WHOLE : NUMBER_OVER;
    case NUMBER_ZERO:
        return c == '.' ? NUMBER_POINT : is_e ? NUMBER_E : NUMBER_OVER;
    case NUMBER_WHOLE:
        return is_digit ? NUMBER_WHOLE : c == '.' ? NUMBER_POINT : is_e ? NUMBER_E : NUMBER_OVER;
    case NUMBER_POINT:
        return is_digit ? NUMBER_FRACTION : NUMBER_OVER;
    case NUMBER_FRACTION:
        return is_digit ? NUMBER_FRACTION : is_e ? NUMBER_E : NUMBER_OVER;
    case NUMBER_E:
        return is_digit ? NUMBER_EXPONENT : c == '+' || c == '-' ? NUMBER_SIGN : NUMBER_OVER;
    case NUMBER_SIGN:
    case NUMBER_EXPONENT:
        return is_digit ? NUMBER_EXPONENT : NUMBER_OVER;
    case NUMBER_OVER:
        break;
    }
    return NUMBER_OVER;
}

bool json_number_is_whole(enum json_number_step at)
{
    return at == NUMBER_ZERO || at == NUMBER_WHOLE || at == NUMBER_FRACTION ||
           at == NUMBER_EXPONENT;
}

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
    if (hit->number < -EXACT_MAX || hit->number > EXACT_MAX)
        return;
    hit->integer = (int64_t)hit->number;
    hit->is_integer = (double)hit->integer == hit->number;
    if (!hit->is_integer)
        hit->integer = 0;
}
