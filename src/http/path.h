/* The one path (RFC 3986 6.2.2): what matching, model names, authorization and the upstream all
 * see. Pure; worker-local arena. */
#pragma once

#include "base/arena.h"

enum path_error {
    PATH_BAD = 1, /* escaped or raw byte that readers disagree about, or ".." above the root */
};

/* `raw_path` begins with '/' and has no query. Unreserved characters and ':' are decoded once, then
 * slashes are merged and dot segments resolved; other escapes stay, with upper-case digits.
 * PATH_BAD for %2F, %5C, %00, backslash, a malformed escape, control characters, space, bytes past
 * ASCII, '#', '?', ".." above the root, and "..;" or ".;" (dot segments to some servers, names to
 * others). Nothing to do: *ret borrows from raw_path, else it lives in the arena. */
MUST_USE int path_normalize(struct str raw_path, struct arena *a, struct str *ret);
/* The same, but %2F is a slash: so it is before slashes are merged and dot segments resolved.
 * *ret_has_any: there was one. */
MUST_USE int path_normalize_unescaping(struct str raw_path, struct arena *a, struct str *ret,
                                       bool *ret_has_any);
