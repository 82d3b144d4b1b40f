/* What a command has to say beside its output: on standard error, in one line. */
#pragma once

#include "base/macro.h"

/* "tollgate: " and the text, control characters as '?'. */
void say_error(const char *format, ...) PRINTF(1, 2);
/* The text alone. */
void say_note(const char *format, ...) PRINTF(1, 2);
