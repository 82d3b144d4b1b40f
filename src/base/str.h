/* struct str: a borrowed slice of bytes, not NUL-terminated. It never owns; what must outlive its
 * buffer is copied into an arena. All functions are pure and may be called from any thread. */
#pragma once

#include <string.h>
#include <sys/types.h>

#include "base/macro.h"

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NULL     ((struct str){NULL, 0})
/* For printf: "%.*s", STR_ARG(s) */
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}
static inline struct str str_make(const void *ptr, size_t len)
{
    return (struct str){(const char *)ptr, len};
}
static inline bool str_eq(struct str a, struct str b)
{
    /* Only an empty slice may have no bytes.
     * NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool str_is_empty(struct str s)
{
    return s.len == 0;
}
static inline char str_lower_char(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Into `to`, of s.len bytes, which may be those of s; without a NUL. Other bytes than A to Z stay
 * as they are. */
void str_lower(struct str s, char *to);
bool str_eq_nocase(struct str a, struct str b);
/* memcmp order, shorter first on a tie. */
int str_compare(struct str a, struct str b);
bool str_starts_with(struct str s, struct str prefix);
bool str_starts_with_nocase(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);
bool str_ends_with_nocase(struct str s, struct str suffix);
/* Index of the first `c` at or after `from`, or -1. */
ssize_t str_find_char(struct str s, char c, size_t from);
ssize_t str_find(struct str s, struct str needle);
/* Bytes [from, to); both are clamped to the length. */
struct str str_slice(struct str s, size_t from, size_t to);
/* Without SP and HTAB at both ends (RFC 9110 OWS). */
struct str str_trim(struct str s);
/* Cuts the part before the next `separator` off `*rest`; false when nothing is left. An empty part
 * is returned as such; "a," gives "a" and "". */
bool str_split(struct str *rest, char separator, struct str *ret_part);
/* Whole string as decimal digits only (no sign, no spaces); false on anything else or overflow. */
bool str_to_u64(struct str s, uint64_t *ret_value);
/* Constant-time in the content (not the length). */
bool str_eq_secret(struct str a, struct str b);
/* Levenshtein distance, cut off at `limit` + 1; for "did you mean" hints. */
unsigned str_distance(struct str a, struct str b, unsigned limit);
