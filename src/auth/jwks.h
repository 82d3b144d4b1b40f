/* JSON Web Key Sets (RFC 7517): parsed once into OpenSSL keys, immutable, refcounted, shared by all
 * threads. Keys that cannot verify what Tollgate accepts are left out: RSA under 2048 bits,
 * symmetric keys, keys for encryption, unknown curves. */
#pragma once

#include <openssl/types.h>
#include <stdatomic.h>

#include "base/str.h"

enum jwks_result {
    JWKS_BAD_JSON = 1,
    JWKS_TOO_LARGE,     /* LIMIT_KEY_SET_BYTES or LIMIT_KEY_SET_KEYS */
    JWKS_NO_USABLE_KEY, /* a source that answers without keys is broken */
};

enum jwk_type { JWK_RSA, JWK_P256, JWK_P384, JWK_P521, JWK_ED25519 };

struct jwk {
    enum jwk_type type;
    EVP_PKEY *key;
    char *kid; /* NULL: none */
    char *alg; /* NULL: any that fits the type */
};

struct jwks {
    _Atomic uint32_t n_refs;
    uint64_t version; /* keyed hash of the text it was read from; never 0 */
    uint32_t n_skipped;
    uint32_t n;
    struct jwk keys[];
};

/* 0 with one reference for the caller, or an enum jwks_result. */
MUST_USE int jwks_new(struct str json, struct jwks **ret_keys);
struct jwks *jwks_ref(struct jwks *k);
/* NULL is nothing. Any thread. */
void jwks_unref(struct jwks *k);
uint32_t jwks_n_keys(const struct jwks *k);
/* Equal for sets of equal text in this process, else different: what was verified with one version
 * holds as long as the provider's set has that version. Never 0. */
uint64_t jwks_version(const struct jwks *k);
