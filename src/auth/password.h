/* Password hashes as they stand in an .htpasswd file: bcrypt ($2a$, $2b$, $2y$), SHA-crypt ($5$,
 * $6$) and {SHA}. All but the last are slow on purpose: they are never computed on an event loop
 * (upstream/hash_pool.h). Pure; any thread. Sources: crypt(5), htpasswd(1). */
#pragma once

#include "base/str.h"

enum {
    PASSWORD_BCRYPT_COST_MAX = 12,          /* a quarter of a second */
    PASSWORD_SHA_CRYPT_ROUNDS_MAX = 500000, /* about as long */
    PASSWORD_BYTES_MAX = 511,               /* what crypt(3) takes */
    PASSWORD_HASH_BYTES_MAX = 192,          /* longer than any of the schemes */
};

enum password_result {
    PASSWORD_UNKNOWN_SCHEME = 1,
    PASSWORD_MALFORMED,  /* of a known scheme, and not a hash of it */
    PASSWORD_TOO_COSTLY, /* above the bounds of this header */
};

/* 0 when the hash is one that password_verify can judge. */
MUST_USE int password_check_hash(struct str hash);
/* What is wrong, as the end of a sentence. */
const char *password_problem_text(int result);
/* Does judging it take so long that it must not stop others? */
bool password_is_slow(struct str hash);
/* A hash that password_check_hash took. Compares in constant time and leaves no trace of the
 * password. False too for what no hash can stand for (a NUL, more than PASSWORD_BYTES_MAX). */
bool password_verify(struct str hash, struct str password);
