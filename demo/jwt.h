/* JSON Web Tokens of the demo: RS256 only. The issuer signs with a key made at start; the
 * authorizer verifies with the published key set. */
#pragma once

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>

#define JWT_TOKEN_MAX 8192u

/* A new RSA key of 2048 bits; EVP_PKEY_free it. */
EVP_PKEY *jwt_new_key(void);
/* The public half as a JSON Web Key. */
json_t *jwt_format_key(EVP_PKEY *key, const char *kid);
/* The compact token; free it. Does not take over `claims`. */
char *jwt_sign(EVP_PKEY *key, const char *kid, const json_t *claims);

/* The claims of a token that a key of `key_set` signed, not expired at `now` and of that issuer;
 * NULL otherwise, with *ret_why a short reason. */
json_t *jwt_verify(const char *token, const json_t *key_set, const char *issuer, long long now,
                   const char **ret_why);
/* Whether the set has the key that the token's header names. */
bool jwt_set_has_key(const json_t *key_set, const char *token);
