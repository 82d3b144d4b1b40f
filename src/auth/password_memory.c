/* A table in sets of a few slots: a digest may stand in one set only, and no outsider can choose
 * which, since digests are keyed. */
#include "auth/password_memory.h"

#include "base/limits.h"
#include "base/mem.h"

enum { PASSWORD_WAYS = 4, PASSWORD_SETS = LIMIT_PASSWORD_MEMORY_ENTRIES / PASSWORD_WAYS };

void password_memory_deinit(struct password_memory *m)
{
    mem_free(m->slots);
    *m = (struct password_memory){0};
}

void password_memory_digest(struct credential_digest *ret, struct str hash, struct str user,
                            struct str password)
{
    const struct str parts[] = {hash, user, password};

    credential_digest_make(ret, parts, N_ELEMENTS(parts));
}

static struct password_slot *password_memory_set(const struct password_memory *m,
                                                 const struct credential_digest *digest)
{
    uint64_t number;

    memcpy(&number, digest->bytes, sizeof number);
    return &m->slots[number % PASSWORD_SETS * PASSWORD_WAYS];
}

bool password_memory_has(const struct password_memory *m, const struct credential_digest *digest,
                         uint64_t now_us)
{
    const struct password_slot *set;

    if (!m->slots)
        return false;
    set = password_memory_set(m, digest);
    for (unsigned i = 0; i < PASSWORD_WAYS; i++) {
        if (set[i].expires_us > now_us && credential_digest_eq(&set[i].digest, digest))
            return true;
    }
    return false;
}

void password_memory_add(struct password_memory *m, const struct credential_digest *digest,
                         uint64_t now_us)
{
    struct password_slot *set, *at;

    if (!m->slots)
        m->slots = mem_alloc_zero(LIMIT_PASSWORD_MEMORY_ENTRIES * sizeof m->slots[0]);
    set = password_memory_set(m, digest);
    at = set;
    for (unsigned i = 0; i < PASSWORD_WAYS; i++) {
        if (credential_digest_eq(&set[i].digest, digest)) {
            at = &set[i];
            break;
        }
        if (set[i].expires_us < at->expires_us)
            at = &set[i];
    }
    *at = (struct password_slot){*digest, now_us + PASSWORD_MEMORY_US};
}
