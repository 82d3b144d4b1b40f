/* How secrets are kept: as SHA-256 under a key that is drawn once per process and never leaves it.
 * Equal secrets have equal digests within one process only, nobody outside can compute or choose
 * one, and the secret cannot be had back. Any thread. */
#pragma once

#include "base/str.h"

enum { CREDENTIAL_DIGEST_BYTES = 32 };

struct credential_digest {
    uint8_t bytes[CREDENTIAL_DIGEST_BYTES];
};

/* Of the parts in their order; where one ends and the next begins counts. */
void credential_digest_make(struct credential_digest *ret, const struct str *parts, size_t n);
/* In constant time. */
bool credential_digest_eq(const struct credential_digest *a, const struct credential_digest *b);
static inline struct str credential_digest_str(const struct credential_digest *d)
{
    return str_make(d->bytes, sizeof d->bytes);
}
