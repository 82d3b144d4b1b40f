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

/* What a listener may want otherwise, as flags. */
enum path_reading {
    PATH_UNESCAPES_SLASHES = 1, /* %2F is a slash, before anything else is judged */
    PATH_KEEPS_EMPTY = 2,       /* `//` stays: an empty segment is one like any other */
};
struct path_found {
    bool has_escaped_slash; /* there was a %2F */
    bool has_empty_segment; /* there was a `//` that merging would have read as one slash */
};
/* The same by `reading`. */
MUST_USE int path_read(struct str raw_path, unsigned reading, struct arena *a, struct str *ret,
                       struct path_found *ret_found);
