/* Fuzz target of tokens and key sets. The first byte says what the rest is:
 *   t  a token, verified with a fixed key set;
 *   s  a header, a NUL and a payload, which are encoded and signed with the set's own key, so that
 *      the reading of claims is reached;
 *   k  a key set, with which a good token is then verified.
 * Beyond not crashing: a signed token is accepted or refused for its own fault, never for its
 * signature; what becomes a header value holds no control byte; a remembered token is judged like
 * a fresh one. */
#include <openssl/evp.h>

#include "auth/base64url.h"
#include "auth/jwt.h"
#include "base/assert.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { NOW_S = 1800000000 };

static const struct str audiences[] = {{"a", 1}};
static const struct jwt_provider providers[] = {
    {{"any", 3}, {NULL, 0}, NULL, 0},
    {{"box", 3}, {"box", 3}, audiences, 1},
};

static EVP_PKEY *fuzz_key(void)
{
    static const unsigned char seed[32] = {1, 2, 3};
    static EVP_PKEY *key;

    if (!key)
        key = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, sizeof seed);
    ASSERT(key);
    return key;
}

static const struct jwks *fuzz_keys(void)
{
    static struct jwks *keys;
    unsigned char raw[32];
    char x[64];
    char json[256];
    size_t n = sizeof raw;

    if (keys)
        return keys;
    if (EVP_PKEY_get_raw_public_key(fuzz_key(), raw, &n) != 1)
        UNREACHABLE();
    n = base64url_encode(raw, n, x);
    n = (size_t)snprintf(json, sizeof json,
                         "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":"
                         "\"%.*s\"}]}",
                         (int)n, x);
    int r = jwks_new(str_make(json, n), &keys);

    ASSERT(r == 0);
    return keys;
}

static void read_claims(const struct jwt_claims *c)
{
    static const char *const paths[] = {"sub", "a", "a.b", "a.b.c", "", ".", "scope", "exp"};
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(paths); i++) {
        struct str path = str_of(paths[i]);
        struct str text = jwt_claim_text(c, path, &a);

        for (size_t k = 0; k < text.len; k++)
            ASSERT(((unsigned char)text.ptr[k] >= 0x20 || text.ptr[k] == '\t') &&
                   text.ptr[k] != 0x7f);
        ASSERT((jwt_claim_string(c, path).ptr != NULL) ==
               (jwt_claim_type(c, path) == CLAIM_IS_STRING));
        ASSERT(text.len == 0 || jwt_claim_type(c, path) != CLAIM_ABSENT);
        (void)jwt_claim_list_has(c, path, STR("x"));
    }
    (void)jwt_claims_have_scope(c, STR("x"));
    arena_deinit(&a);
}

/* Returns the result for the provider that asks for nothing. */
static int judge(struct str token, const struct jwks *keys)
{
    int results[2];

    for (int i = 0; i < 2; i++) {
        struct jwt_claims *claims = NULL;

        results[i] = jwt_verify(token, &providers[i], keys, NOW_S, &claims);
        ASSERT(results[i] >= 0 && results[i] <= JWT_WRONG_AUDIENCE);
        ASSERT((results[i] == 0) == (claims != NULL));
        if (claims) {
            ASSERT(jwt_claims_check(claims, &providers[i], NOW_S) == 0);
            ASSERT(jwt_claims_bytes(claims) > 0);
            read_claims(claims);
        }
        jwt_claims_free(claims);
    }
    ASSERT(results[0] == 0 || results[1] != 0); /* who asks for more accepts no more */
    return results[0];
}

static size_t encode_part(char *room, size_t at, struct str part)
{
    return at + base64url_encode(part.ptr, part.len, room + at);
}

/* 0 when it would be too large. */
static size_t sign(struct str header, struct str payload, char *room)
{
    unsigned char signature[64];
    size_t n_signature = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = encode_part(room, 0, header);

    room[n++] = '.';
    n = encode_part(room, n, payload);
    if (EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, fuzz_key(), NULL) != 1 ||
        EVP_DigestSign(ctx, signature, &n_signature, (unsigned char *)room, n) != 1)
        UNREACHABLE();
    EVP_MD_CTX_free(ctx);
    room[n++] = '.';
    return encode_part(room, n, str_make(signature, n_signature));
}

static void play_signed(struct str text)
{
    static char room[4 * LIMIT_TOKEN_BYTES];
    ssize_t nul = str_find_char(text, '\0', 0);
    int r;

    if (nul < 0 || text.len > 2 * LIMIT_TOKEN_BYTES)
        return;
    size_t n =
        sign(str_slice(text, 0, (size_t)nul), str_slice(text, (size_t)nul + 1, text.len), room);

    r = judge(str_make(room, n), fuzz_keys());
    ASSERT(r != JWT_BAD_SIGNATURE);
}

static void play_key_set(struct str text)
{
    static char room[512];
    struct jwks *keys = NULL;
    size_t n = sign(STR("{\"alg\":\"EdDSA\"}"), STR("{}"), room);
    int r = jwks_new(text, &keys);

    ASSERT(r >= 0 && r <= JWKS_NO_USABLE_KEY);
    ASSERT((r == 0) == (keys != NULL));
    if (!keys)
        return;
    ASSERT(jwks_n_keys(keys) > 0 && jwks_version(keys) != 0);
    judge(str_make(room, n), keys);
    jwks_unref(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = str_make(bytes + 1, size > 0 ? size - 1 : 0);

    if (size == 0)
        return 0;
    if (bytes[0] == 's')
        play_signed(rest);
    else if (bytes[0] == 'k')
        play_key_set(rest);
    else
        judge(rest, fuzz_keys());
    return 0;
}
