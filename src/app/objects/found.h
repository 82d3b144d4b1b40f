/* What the operands of `get` and `describe` ask for ("KIND", "KIND NAME...", "KIND/NAME...",
 * "KIND,KIND"), found in files or in a running gateway. */
#pragma once

#include "app/objects/kind_word.h"
#include "app/objects/source.h"

struct found_group {
    const struct kind *kind;
    size_t first; /* of `objects` */
    size_t n;
};

struct found {
    struct shown_vec objects;
    VEC(struct found_group) groups; /* those that are not empty */
    struct kind_list kinds;         /* that were asked for, without names */
    bool is_one;                    /* one object was asked for by name */
    bool has_fault;  /* said: an unknown kind, a name that is not there, nobody to ask */
    bool has_failed; /* of these, that nobody answers */
};

/* Says on standard error what is not found, with what is near. */
void found_read(struct found *f, struct source *s);
/* "No resources found in NS namespace.", and where some are. */
void found_say_none(const struct found *f, struct source *s);
