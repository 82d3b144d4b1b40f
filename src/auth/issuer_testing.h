/* An issuer for tests: makes keys with OpenSSL, writes key sets and signs tokens. Linked into test
 * programs only. Everything lives in the arena given; a failure ends the process. */
#pragma once

#include <openssl/types.h>

#include "base/arena.h"

/* "RSA-2048", "P-256", "P-384", "P-521", "ED25519"; freed with the arena. */
EVP_PKEY *issuer_key(struct arena *a, const char *kind);
/* One key as a JWK; `members` are further ones, each followed by a comma: `"kid":"k1",`. */
struct str issuer_jwk(struct arena *a, EVP_PKEY *key, const char *members);
/* {"keys":[...]} */
struct str issuer_set(struct arena *a, const struct str *jwks, size_t n);
/* header.payload.signature, signed as `alg` says (not what the header says). */
struct str issuer_sign(struct arena *a, EVP_PKEY *key, const char *alg, const char *header,
                       const char *payload);
struct str issuer_base64(struct arena *a, const void *bytes, size_t n);
