/* The error idiom (docs/architecture.md, "Errors"):
 *   0         done
 *   negative  -errno: the environment failed; cleaned up after and forwarded, never inspected
 *   positive  a condition from the enum of the called module's header, handled by the direct caller
 * A positive code must not travel further: error_fold() turns a leaked one into -ENOTRECOVERABLE.
 */
#pragma once

#include "base/macro.h"

/* Notes where a negative first arose (thread-local, the newest trace wins) and returns `code`.
 * error_origin(-errno) right after the failing call. */
#define error_origin(code) error_origin_at((code), __func__, __FILE__, __LINE__)
MUST_USE int error_origin_at(int code, const char *func, const char *file, int line);

/* For callers that expect no positive condition: 0 and negatives pass, a positive becomes fatal
 * (-ENOTRECOVERABLE) with its place noted. */
#define error_fold(code) error_fold_at((code), __func__, __FILE__, __LINE__)
MUST_USE int error_fold_at(int code, const char *func, const char *file, int line);

/* Where this thread's newest negative arose: "func (file:line): message". Valid until the next one.
 */
const char *error_trace(void);
