/* The configurations that served, in a folder of this process alone: each file as it was read, kept
 * once under the hash of its content, and a record for each revision. Secrets stand in it as they
 * stood in the files: what others can enter is refused, and nothing here is readable by them.
 *
 *   history/lock         held by who writes: two processes may serve during a takeover
 *   history/standing     what the last rollback left in the places of the files
 *   history/blobs/HASH   contents, by SHA-256
 *   history/records/N    one revision: when, by whom, why, and which file had which content
 *
 * What is read back is judged as if it were a stranger's. Blocking file I/O: a command, or a thread
 * that has nothing else to do. */
#pragma once

#include <sys/types.h>

#include "base/vec.h"

enum { HISTORY_HASH_TEXT = 64 /* hex digits of SHA-256 */ };

struct history {
    int folder; /* descriptors; -1: not open */
    int blobs;
    int records;
    int lock;
    uid_t owner; /* who keeps it, and could write anything into it */
};

/* Who could read and write a file, so that one that is gone can come back as it was. */
struct history_rights {
    bool is_known;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

/* What serves now, to be kept. */
struct history_content {
    const char *path; /* absolute */
    struct str bytes;
    struct history_rights rights;
};
struct history_facts {
    int64_t wall_us;
    struct str cause;  /* "start", "files changed", ... */
    struct str who;    /* may be empty */
    struct str reason; /* may be empty */
};

/* What was kept. */
struct history_file {
    struct str path;
    struct str hash;
    uint64_t n_bytes;
    struct history_rights rights;
};
struct history_revision {
    uint32_t number;
    struct str id; /* of all its files: equal ones are the same configuration */
    struct str time;
    struct str cause;
    struct str who;
    struct str reason;
    VEC(struct history_file) files; /* sorted by path */
};
struct history_revisions {
    struct history_revision *items;
    size_t n;
    size_t cap;
};

enum history_result {
    HISTORY_UNCHANGED = 1, /* the latest revision is the same */
    HISTORY_EXPOSED,       /* others may write where it would stand, or read it */
    HISTORY_NONE,          /* no such revision, or none yet */
    HISTORY_DAMAGED,       /* what is kept is not what was kept */
    HISTORY_TOO_MUCH,      /* more than LIMIT_HISTORY_BYTES by itself */
    HISTORY_BUSY,          /* somebody else writes there, and goes on doing so */
};

/* Opens it in `state_folder`, and makes it where `may_create`. 0, negative, HISTORY_NONE or
 * HISTORY_EXPOSED. */
MUST_USE int history_open(struct history *h, const char *state_folder, bool may_create);
/* Safe on one that did not open, and repeated. */
void history_close(struct history *h);
/* Nobody else keeps anything or writes files back meanwhile; and no gateway that keeps its history
 * here loads them. 0, negative, or HISTORY_BUSY after so many seconds: who holds it may be stopped.
 */
MUST_USE int history_lock(struct history *h, int wait_s);
void history_unlock(struct history *h);
/* Keeps the files as the next revision, and lets the oldest ones go. 0, negative,
 * HISTORY_UNCHANGED, HISTORY_TOO_MUCH or HISTORY_BUSY. */
MUST_USE int history_record(struct history *h, const struct history_content *files, size_t n,
                            const struct history_facts *facts, uint32_t *ret_number);
/* All revisions, the oldest first; records that are damaged are left out and counted. 0 or
 * negative. */
MUST_USE int history_list(struct history *h, struct arena *a, struct history_revisions *ret,
                          size_t *ret_n_damaged);
/* The files stand as at that revision now. 0, negative or HISTORY_TOO_MUCH. */
MUST_USE int history_put_standing(struct history *h, const struct history_revision *revision);
/* Which files the last rollback wrote, which need not have served yet. 0, negative, or
 * HISTORY_NONE. */
MUST_USE int history_get_standing(struct history *h, struct arena *a, struct history_revision *ret);
/* Is its content kept, whichever revision has it? */
bool history_has(const struct history *h, const struct history_file *file);
/* By number, by the beginning of its id (four digits or more), "latest" or "previous". NULL: none,
 * or several. */
const struct history_revision *history_find(const struct history_revisions *all, struct str name);
/* The content, in the arena. 0, negative, HISTORY_NONE or HISTORY_DAMAGED. */
MUST_USE int history_read(struct history *h, const struct history_file *file, struct arena *a,
                          struct str *ret_bytes);
