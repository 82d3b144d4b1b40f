/* Files written back to their places: each is written whole beside its place first, then all are
 * renamed into it and those that are to go are removed, so that what fails before (a disk that is
 * full, a right that is missing) has changed nothing. Under the history's lock. What is wrong is
 * said on standard error. */
#pragma once

#include "app/history/store.h"
#include "base/map.h"

struct restore_file {
    const char *path;   /* as the record has it */
    const char *place;  /* where it stands, links followed */
    const char *beside; /* the new content, until it is in its place; NULL: it is to be removed */
};

struct restore {
    struct arena *arena;
    const char *const *within; /* folders and files beyond which nothing is touched */
    size_t n_within;           /* 0: everywhere */
    VEC(struct restore_file) files;
    struct map places; /* of those that are written: names may lead to one place */
    size_t n_done;     /* of them, in their order */
};

void restore_init(struct restore *r, struct arena *a, const char *const *within, size_t n_within);
/* Removes what lies beside its place and did not get there. */
void restore_deinit(struct restore *r);
/* May it be written or removed at all? */
MUST_USE bool restore_may_touch(struct restore *r, const char *path);
/* Writes it beside its place, with the rights of what stands there, else those that are known. */
MUST_USE bool restore_stage(struct restore *r, const char *path, struct str bytes,
                            const struct history_rights *rights);
MUST_USE bool restore_stage_removal(struct restore *r, const char *path);
/* All of it, in the order of staging. False: as far as n_done. */
MUST_USE bool restore_commit(struct restore *r);
