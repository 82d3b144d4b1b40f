/* JSON Web Tokens (RFC 7519, RFC 7515 compact form): is this token signed by one of these keys, for
 * us, now? The algorithm is bound to the key; keys named inside a token are never used. Pure: key
 * set and clock are passed in. */
#pragma once

#include "auth/jwks.h"
#include "base/arena.h"

enum jwt_result {
    JWT_MALFORMED = 1, /* not three base64url parts of JSON, duplicate members, nested too deep */
    JWT_TOO_LARGE,     /* LIMIT_TOKEN_BYTES */
    JWT_BAD_ALGORITHM, /* none, HMAC, unknown, or not that of the key */
    JWT_EMBEDDED_KEY,  /* jwk, jku, x5u, x5c in the header, or crit */
    JWT_UNKNOWN_KEY,   /* no key of that kid (or, without kid, of that type) */
    JWT_BAD_SIGNATURE,
    JWT_EXPIRED,
    JWT_NOT_YET_VALID,
    JWT_WRONG_ISSUER,
    JWT_WRONG_AUDIENCE,
};

enum { JWT_CLOCK_SKEW_S = 60 };

/* Immutable. */
struct jwt_provider {
    struct str name;
    struct str issuer;           /* empty: any */
    const struct str *audiences; /* none: any */
    size_t n_audiences;
};

/* The claims of a verified token: one owner at a time (a token memory's entry), read-only. */
struct jwt_claims;

/* 0 with claims that the caller frees, or an enum jwt_result. */
MUST_USE int jwt_verify(struct str token, const struct jwt_provider *p, const struct jwks *keys,
                        int64_t now_s, struct jwt_claims **ret_claims);
/* The same without looking at the signature, for explanations where the keys are not at hand. What
 * it says is the token's own word: nobody may be let in by it. */
MUST_USE int jwt_read_unverified(struct str token, const struct jwt_provider *p, int64_t now_s,
                                 struct jwt_claims **ret_claims);
/* iss, aud, exp, nbf again, for a remembered token. 0 or an enum jwt_result. */
MUST_USE int jwt_claims_check(const struct jwt_claims *c, const struct jwt_provider *p,
                              int64_t now_s);
/* NULL is nothing. */
void jwt_claims_free(struct jwt_claims *c);
size_t jwt_claims_bytes(const struct jwt_claims *c);

enum claim_type { CLAIM_ABSENT, CLAIM_IS_STRING, CLAIM_IS_LIST, CLAIM_IS_OTHER };

/* A claim by its path, nested by dots ("realm_access.roles"); a member whose own name holds the
 * dots wins. */
enum claim_type jwt_claim_type(const struct jwt_claims *c, struct str path);
/* STR_NULL unless it is a string. Lives as long as the claims. */
struct str jwt_claim_string(const struct jwt_claims *c, struct str path);
/* Is `value` the string, or one of the list's strings? */
bool jwt_claim_list_has(const struct jwt_claims *c, struct str path, struct str value);
/* As a header value (claimToHeaders): strings, numbers and booleans as text, lists and objects as
 * base64url of their JSON; STR_NULL when absent or not fit for a header. In `a` or borrowed from
 * the claims. */
struct str jwt_claim_text(const struct jwt_claims *c, struct str path, struct arena *a);
/* scope (RFC 8693 4.2) or scp: a string separated by blanks, or a list. */
bool jwt_claims_have_scope(const struct jwt_claims *c, struct str scope);
