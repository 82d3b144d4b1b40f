/* Numbers (RFC 8259, 6): their grammar, byte by byte, and their value. Pure. */
#pragma once

#include "llm/json/json_scan.h"

/* Where a number stands, by its last byte. */
enum json_number_step {
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_WHOLE,
    NUMBER_POINT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_SIGN,
    NUMBER_EXPONENT,
    NUMBER_OVER, /* this byte is no part of it */
};

enum json_number_step json_number_next(enum json_number_step at, unsigned char c);
/* Whether a number may end here. */
bool json_number_is_whole(enum json_number_step at);
/* Sets number, is_integer and integer from text, which is NUL-terminated, and is_cut. */
void json_number_read(struct json_hit *hit);
