/* Verification in this order: shape, header, key, signature, then claims; nothing of the payload is
 * looked at before its signature holds. */
#include "auth/jwt.h"

#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "auth/base64url.h"
#include "auth/claims_internal.h"
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

struct jwt_algorithm {
    const char *name;
    const char *digest; /* NULL: the key's own (EdDSA) */
    uint32_t key_types; /* 1 << enum jwk_type */
    bool is_pss;
    size_t ec_bytes; /* of r and s; 0: not ECDSA */
};

static const struct jwt_algorithm jwt_algorithms[] = {
    {"RS256", "SHA256", 1U << JWK_RSA, false, 0},   {"RS384", "SHA384", 1U << JWK_RSA, false, 0},
    {"RS512", "SHA512", 1U << JWK_RSA, false, 0},   {"PS256", "SHA256", 1U << JWK_RSA, true, 0},
    {"PS384", "SHA384", 1U << JWK_RSA, true, 0},    {"PS512", "SHA512", 1U << JWK_RSA, true, 0},
    {"ES256", "SHA256", 1U << JWK_P256, false, 32}, {"ES384", "SHA384", 1U << JWK_P384, false, 48},
    {"ES512", "SHA512", 1U << JWK_P521, false, 66}, {"EdDSA", NULL, 1U << JWK_ED25519, false, 0},
    {"Ed25519", NULL, 1U << JWK_ED25519, false, 0},
};

struct jwt_parts {
    struct str signed_text; /* header.payload */
    struct str payload;
    struct str signature;
    const struct jwt_algorithm *algorithm;
    char kid[256];
    bool has_kid;
};

static void json_free_ptr(json_t **j)
{
    json_decref(*j);
}

/* jansson's own limit on depth is 2048: far more than a token needs. Counts brackets outside
 * strings. */
static bool jwt_is_shallow(struct str json)
{
    unsigned depth = 0;
    bool is_string = false;

    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];

        if (is_string) {
            i += c == '\\';
            is_string = c != '"';
        } else if (c == '"') {
            is_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > LIMIT_TOKEN_JSON_DEPTH)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

/* NULL when malformed. */
static json_t *jwt_parse_json(struct str base64)
{
    unsigned char *bytes = mem_alloc(base64.len + 1);
    ssize_t n = base64url_decode(base64, bytes, base64.len);
    json_t *root = NULL;

    if (n > 0 && jwt_is_shallow(str_make(bytes, (size_t)n)))
        root = json_loadb((const char *)bytes, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
    mem_free(bytes);
    if (root && !json_is_object(root)) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static const struct jwt_algorithm *jwt_find_algorithm(const json_t *header)
{
    const json_t *alg = json_object_get(header, "alg");

    for (size_t i = 0; json_is_string(alg) && i < N_ELEMENTS(jwt_algorithms); i++) {
        if (strcmp(json_string_value(alg), jwt_algorithms[i].name) == 0)
            return &jwt_algorithms[i];
    }
    return NULL;
}

static int jwt_read_header(struct str base64, struct jwt_parts *p)
{
    static const char *const forbidden[] = {"jwk", "jku", "x5u", "x5c", "crit"};
    json_t *header AUTO(json_free_ptr) = jwt_parse_json(base64);
    const json_t *kid = json_object_get(header, "kid");

    if (!header)
        return JWT_MALFORMED;
    for (size_t i = 0; i < N_ELEMENTS(forbidden); i++) {
        if (json_object_get(header, forbidden[i]))
            return JWT_EMBEDDED_KEY;
    }
    p->algorithm = jwt_find_algorithm(header);
    if (!p->algorithm)
        return JWT_BAD_ALGORITHM;
    if (!kid)
        return 0;
    if (!json_is_string(kid) || json_string_length(kid) >= sizeof p->kid ||
        strlen(json_string_value(kid)) != json_string_length(kid))
        return JWT_MALFORMED;
    p->has_kid = true;
    memcpy(p->kid, json_string_value(kid), json_string_length(kid) + 1);
    return 0;
}

static int jwt_split(struct str token, struct jwt_parts *p)
{
    ssize_t first = str_find_char(token, '.', 0);
    ssize_t second = first < 0 ? -1 : str_find_char(token, '.', (size_t)first + 1);

    if (second < 0 || str_find_char(token, '.', (size_t)second + 1) >= 0)
        return JWT_MALFORMED;
    p->signed_text = str_slice(token, 0, (size_t)second);
    p->payload = str_slice(token, (size_t)first + 1, (size_t)second);
    p->signature = str_slice(token, (size_t)second + 1, token.len);
    return jwt_read_header(str_slice(token, 0, (size_t)first), p);
}

/* JOSE writes r and s side by side (RFC 7518 3.4); OpenSSL reads DER. Length, or 0. */
static size_t jwt_ecdsa_to_der(const unsigned char *raw, size_t n_half, unsigned char *ret_der,
                               size_t cap)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)n_half, NULL);
    BIGNUM *s = BN_bin2bn(raw + n_half, (int)n_half, NULL);
    int n = 0;

    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        n = i2d_ECDSA_SIG(sig, NULL);
        if (n > 0 && (size_t)n <= cap)
            n = i2d_ECDSA_SIG(sig, &ret_der);
        else
            n = 0;
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

static bool jwt_check_signature(const struct jwt_parts *p, const struct jwk *key)
{
    unsigned char raw[1024];
    unsigned char der[160];
    const unsigned char *signature = raw;
    ssize_t n = base64url_decode(p->signature, raw, sizeof raw);
    size_t len = n > 0 ? (size_t)n : 0;
    EVP_PKEY_CTX *key_ctx = NULL;
    EVP_MD_CTX *ctx;
    bool is_valid = false;

    if (p->algorithm->ec_bytes > 0 && len != 0) {
        len = len == 2 * p->algorithm->ec_bytes
                  ? jwt_ecdsa_to_der(raw, p->algorithm->ec_bytes, der, sizeof der)
                  : 0;
        signature = der;
    }
    if (len == 0)
        return false;
    ctx = EVP_MD_CTX_new();
    if (ctx &&
        EVP_DigestVerifyInit_ex(ctx, &key_ctx, p->algorithm->digest, NULL, NULL, key->key, NULL) ==
            1 &&
        (!p->algorithm->is_pss ||
         (EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
          EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST) == 1)))
        is_valid = EVP_DigestVerify(ctx, signature, len, (const unsigned char *)p->signed_text.ptr,
                                    p->signed_text.len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return is_valid;
}

/* May this key verify this token? */
static bool jwt_key_fits(const struct jwt_parts *p, const struct jwk *key)
{
    if (!(p->algorithm->key_types & (1U << key->type)))
        return false;
    if (!key->alg || strcmp(key->alg, p->algorithm->name) == 0)
        return true;
    /* Two names of one algorithm (RFC 8037 3.1, RFC 9864 2.2). */
    return key->type == JWK_ED25519 &&
           (strcmp(key->alg, "EdDSA") == 0 || strcmp(key->alg, "Ed25519") == 0);
}

static int jwt_check_keys(const struct jwt_parts *p, const struct jwks *keys)
{
    bool has_kid_match = false;
    bool has_tried = false;

    for (uint32_t i = 0; i < keys->n; i++) {
        const struct jwk *key = &keys->keys[i];

        if (p->has_kid && (!key->kid || strcmp(key->kid, p->kid) != 0))
            continue;
        has_kid_match = true;
        if (!jwt_key_fits(p, key))
            continue;
        has_tried = true;
        if (jwt_check_signature(p, key))
            return 0;
    }
    if (has_tried)
        return JWT_BAD_SIGNATURE;
    return p->has_kid && has_kid_match ? JWT_BAD_ALGORITHM : JWT_UNKNOWN_KEY;
}

/* `keys` NULL: nobody looks at the signature. */
static int jwt_read(struct str token, const struct jwt_provider *provider, const struct jwks *keys,
                    int64_t now_s, struct jwt_claims **ret_claims)
{
    struct jwt_parts parts = {0};
    struct jwt_claims *claims;
    json_t *payload;
    int r;

    if (token.len > LIMIT_TOKEN_BYTES)
        return JWT_TOO_LARGE;
    r = jwt_split(token, &parts);
    if (r == 0 && keys)
        r = jwt_check_keys(&parts, keys);
    if (r != 0)
        return r;
    payload = jwt_parse_json(parts.payload);
    if (!payload)
        return JWT_MALFORMED;
    r = jwt_claims_new(payload, &claims);
    if (r != 0)
        return r;
    r = jwt_claims_check(claims, provider, now_s);
    if (r != 0) {
        jwt_claims_free(claims);
        return r;
    }
    *ret_claims = claims;
    return 0;
}

int jwt_verify(struct str token, const struct jwt_provider *provider, const struct jwks *keys,
               int64_t now_s, struct jwt_claims **ret_claims)
{
    PRE(keys);
    return jwt_read(token, provider, keys, now_s, ret_claims);
}

int jwt_read_unverified(struct str token, const struct jwt_provider *provider, int64_t now_s,
                        struct jwt_claims **ret_claims)
{
    return jwt_read(token, provider, NULL, now_s, ret_claims);
}
