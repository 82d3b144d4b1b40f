/* Edits of the headers of a whole listener (Envoy Gateway's HTTPHeaderFilter with its additions):
 * what is named is removed, then what is set, added, and added where none of the name is there.
 * Compiled once, immutable, applied by any thread. */
#pragma once

#include "policy/header_mods.h"
#include "policy/regex.h"

enum header_pattern_kind {
    HEADER_PATTERN_EXACT,
    HEADER_PATTERN_PREFIX,
    HEADER_PATTERN_SUFFIX,
    HEADER_PATTERN_REGEX,
};

/* Of names, which are lower-case where they are compared. */
struct header_pattern {
    enum header_pattern_kind kind;
    struct str text;
    const struct regex *regex;
};

struct header_edits {
    struct header_mods mods;
    struct header_mods absent; /* its `add`: where none of the name is there */
    const struct header_pattern *removed;
    uint16_t n_removed;
};

struct header_edits_spec {
    struct header_mods_spec mods;
    const struct header_mod *absent;
    size_t n_absent;
    const struct header_pattern *removed; /* regex ignored; text as written */
    size_t n_removed;
};

/* As header_mods_init; Host is protected. HEADER_EDIT_BAD_PATTERN: *ret_name is the pattern. */
enum { HEADER_EDIT_BAD_PATTERN = 16 };
MUST_USE int header_edits_init(struct header_edits *e, struct arena *arena,
                               const struct header_edits_spec *spec, struct str *ret_name);
/* Is `name` one that is set or added? `i` counts from 0; false: there are no more. */
bool header_edits_next_written(const struct header_edits *e, size_t *i, struct str *ret_name);
/* A name on which a pattern takes too long counts as matched: it does not pass unread. */
void header_edits_apply(const struct header_edits *e, struct http_headers *headers);
