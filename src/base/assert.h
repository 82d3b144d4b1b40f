/* Assertions that stay on in release. They state what the program itself guarantees; none may
 * depend on bytes from outside. No side effects in the argument. */
#pragma once

#include "base/macro.h"

NORETURN COLD void assert_fail(const char *kind, const char *expr, const char *file, int line);

#define ASSERT(expr) (LIKELY(expr) ? (void)0 : assert_fail("assertion", #expr, __FILE__, __LINE__))
#define PRE(expr)    (LIKELY(expr) ? (void)0 : assert_fail("precondition", #expr, __FILE__, __LINE__))
#define POST(expr)                                                                                 \
    (LIKELY(expr) ? (void)0 : assert_fail("postcondition", #expr, __FILE__, __LINE__))
#define UNREACHABLE() assert_fail("unreachable", "this line", __FILE__, __LINE__)
