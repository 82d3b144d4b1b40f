/* Which user the gateway is, and how it becomes another one for good. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

enum { IDENTITY_GROUPS_MAX = 64, IDENTITY_NAME_BYTES = 64 };

struct identity {
    bool is_other; /* than who we are: there is something to give up */
    uid_t uid;
    gid_t gid;
    gid_t groups[IDENTITY_GROUPS_MAX];
    int n_groups;
    char name[IDENTITY_NAME_BYTES];
};

enum identity_result {
    IDENTITY_REFUSED = 1, /* *ret_why says it */
};

/* `wanted` as --user says it; NULL: started as root, the user "tollgate" where there is one, else
 * "nobody"; anybody else stays. 0 or IDENTITY_REFUSED. */
MUST_USE int identity_find(const char *wanted, struct identity *ret, struct buf *ret_why);
/* Becomes that user, without a way back. One capability may be kept: to bind ports below 1024.
 * Before any thread. 0 or negative, and then the process must not go on. */
MUST_USE int identity_assume(const struct identity *who, bool keeps_bind);
/* Gives up all capabilities but those whose bits are in `kept` (of what we have), and what a
 * program with set-user-ID could give. 0 or negative. */
MUST_USE int identity_keep_capabilities(uint64_t kept);
