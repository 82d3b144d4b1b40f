/* A set of header names, looked up in constant time for every header of every request. Spelling
 * does not matter: case is folded and '_' counts as '-', because a backend may fold them too
 * (CGI-style environments do), and a client must not slip a late header past us that way. Immutable
 * after the last add; then read by all threads. */
#pragma once

#include "base/arena.h"

struct name_set {
    struct str *slots; /* ptr NULL: free; names folded */
    size_t n_slots;    /* a power of two, or 0 */
    size_t n_names;
    uint64_t lengths; /* bit min(len, 63): a quick no for most headers */
};

/* A zeroed struct name_set is empty and ready. Adding copies the folded name into `arena`; a name
 * that is already there, or empty, changes nothing. */
void name_set_add(struct name_set *set, struct arena *arena, struct str name);
bool name_set_has(const struct name_set *set, struct str name);
/* Walks the names: start with *at = 0; false at the end. Order is arbitrary but fixed. */
bool name_set_next(const struct name_set *set, size_t *at, struct str *ret_name);
