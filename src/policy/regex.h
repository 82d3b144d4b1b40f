/* Regular expressions of manifests: PCRE2 on bytes, always matched in full (anchored at both ends),
 * with a bound on the work of one match. RE2 patterns mean the same here; a few things that RE2
 * refuses (look-ahead, back references) are accepted. A struct regex is immutable and shared by all
 * threads; scratch memory is one block per thread, freed when the thread ends. */
#pragma once

#include "base/arena.h"

struct regex;

/* Conditions of regex_compile. */
enum regex_condition {
    REGEX_BAD_PATTERN = 1, /* not a valid pattern, or longer than LIMIT_REGEX_BYTES */
};

struct regex_error {
    size_t offset; /* byte of the pattern where the trouble is */
    char text[128];
};

/* REGEX_LIMIT is never "no match": the caller refuses the request (500). */
enum regex_verdict {
    REGEX_MISS,
    REGEX_HIT,
    REGEX_LIMIT, /* the match took more than LIMIT_REGEX_MATCH_STEPS or its memory */
};

/* Groups of a match: 0 is the whole, 1..9 the capture groups; ptr NULL where a group took no part.
 */
struct regex_groups {
    struct str items[10];
};

/* Compiles into `arena` (its cleanup frees what PCRE2 holds). 0 or REGEX_BAD_PATTERN with
 * `*ret_error` filled in; `ret_error` may be NULL. */
MUST_USE int regex_compile(struct arena *arena, struct str pattern, const struct regex **ret_regex,
                           struct regex_error *ret_error);
/* Does the pattern match the whole subject? Any thread. */
enum regex_verdict regex_match(const struct regex *r, struct str subject);
/* The first match at or after byte `from`, not anchored, with its groups (slices of `subject`). */
enum regex_verdict regex_search(const struct regex *r, struct str subject, size_t from,
                                struct regex_groups *ret_groups);
/* Number of capture groups of the pattern. */
unsigned regex_n_groups(const struct regex *r);
/* The pattern as written. */
struct str regex_pattern(const struct regex *r);
