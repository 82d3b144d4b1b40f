/* How far JSON text may be skipped at once. Three twins of one contract: plain C, SSE2 (which every
 * x86-64 has) and AVX2, chosen before main() by what the processor can do. Pure; any thread. */
#pragma once

#include "base/macro.h"

struct json_skip_ops {
    const char *name;
    /* Leading bytes of `p[0..n)`, which stands inside a string between two of its characters, that
     * are whole well-formed characters (RFC 3629) and escapes. Skips none that is not, and may stop
     * early: a caller who finds nothing skipped judges the next byte itself. */
    size_t (*string)(const unsigned char *p, size_t n);
    /* The same, up to the first escape: bytes that stand for themselves. */
    size_t (*plain)(const unsigned char *p, size_t n);
    /* Leading white space. */
    size_t (*space)(const unsigned char *p, size_t n);
};

/* What this processor can do, best first; NULL behind the last. */
extern const struct json_skip_ops *json_skip_usable[4];
/* The first of them, unless a test sets another. */
extern const struct json_skip_ops *json_skip;

extern const struct json_skip_ops json_skip_scalar;
#ifdef __x86_64__
extern const struct json_skip_ops json_skip_sse2;
extern const struct json_skip_ops json_skip_avx2;
#endif
