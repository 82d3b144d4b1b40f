/* Rules of Landlock (Linux: Documentation/userspace-api/landlock.rst): which parts of the file
 * system this process and its threads can still open, whatever its user may. */
#pragma once

#include "base/macro.h"

struct landlock {
    int ruleset;      /* -1: none */
    uint64_t handled; /* rights that the kernel knows; all of them are denied where no rule is */
};

enum landlock_result {
    LANDLOCK_ABSENT = 1, /* the kernel has none */
};

enum landlock_access {
    LANDLOCK_READ,  /* files and folders */
    LANDLOCK_KEEP,  /* files are made, read, renamed and removed there */
    LANDLOCK_WRITE, /* files are made and written, also over what they hold; not read */
};

/* 0, negative, or LANDLOCK_ABSENT. */
MUST_USE int landlock_open(struct landlock *l);
/* `path` and all below it. What is not there (or not for us) gets no rule, and 0. */
MUST_USE int landlock_allow(struct landlock *l, const char *path, enum landlock_access access);
/* From here on, for this thread and those that it starts. 0 or negative. */
MUST_USE int landlock_enter(struct landlock *l);
/* Safe after any of them, and repeated. */
void landlock_close(struct landlock *l);
