/* The value of a number that json_scan has found well-formed. Pure. */
#pragma once

#include "llm/json_scan.h"

/* Sets number, is_integer and integer from text, which is NUL-terminated, and is_cut. */
void json_number_read(struct json_hit *hit);
