/* How far a JSON string may be skipped at once. Pure; any thread. */
#pragma once

#include "base/macro.h"

/* Leading bytes of `p[0..n)`, which stands inside a string between two of its characters, that are
 * whole well-formed characters (RFC 3629) and escapes. It may stop early, so that a caller who finds
 * nothing skipped judges the next byte itself. */
size_t json_skip_string(const unsigned char *p, size_t n);
/* Leading bytes that stand for themselves: ASCII without controls, '"' and '\'. */
size_t json_skip_plain(const unsigned char *p, size_t n);
