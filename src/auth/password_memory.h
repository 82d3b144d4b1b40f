/* Pairs of user and password that were verified lately, so that a slow hash is computed once and
 * not with every request. A pair is known by its keyed digest only, which also covers the hash it
 * was verified against: after a change of the password file it is unknown again. Failures are not
 * remembered. Fixed memory, made at first use; worker-local. */
#pragma once

#include "auth/credential_digest.h"

/* How long a verified pair is believed. */
static const uint64_t PASSWORD_MEMORY_US = 10ULL * 60 * 1000000;

struct password_slot {
    struct credential_digest digest;
    uint64_t expires_us; /* 0: free */
};

struct password_memory {
    struct password_slot *slots;
};

/* A zeroed memory is empty and ready. */
void password_memory_deinit(struct password_memory *m);
/* What stands for "this password fits this hash of this user". */
void password_memory_digest(struct credential_digest *ret, struct str hash, struct str user,
                            struct str password);
bool password_memory_has(const struct password_memory *m, const struct credential_digest *digest,
                         uint64_t now_us);
/* Of a full set the pair goes that would expire first. */
void password_memory_add(struct password_memory *m, const struct credential_digest *digest,
                         uint64_t now_us);
