/* From JSON to keys that OpenSSL can verify with. Runs on control (fetched sets) and compile
 * (inline sets); the result is only read. */
#include "auth/jwks.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "auth/base64url.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

enum { JWK_RSA_BITS_MIN = 2048, JWK_RSA_BITS_MAX = 8192, JWK_NUMBER_MAX = 1100 };

static void json_free_ptr(json_t **j)
{
    json_decref(*j);
}

static struct str jwk_text(const json_t *jwk, const char *key)
{
    const json_t *value = json_object_get(jwk, key);

    if (!json_is_string(value))
        return STR_NULL;
    return str_make(json_string_value(value), json_string_length(value));
}

static EVP_PKEY *jwk_from_params(const char *algorithm, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY *key = NULL;

    if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static BIGNUM *jwk_number(const json_t *jwk, const char *name)
{
    unsigned char bytes[JWK_NUMBER_MAX];
    ssize_t n = base64url_decode(jwk_text(jwk, name), bytes, sizeof bytes);

    return n > 0 ? BN_bin2bn(bytes, (int)n, NULL) : NULL;
}

static EVP_PKEY *jwk_read_rsa(const json_t *jwk)
{
    BIGNUM *n = jwk_number(jwk, "n");
    BIGNUM *e = jwk_number(jwk, "e");
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    int bits = n ? BN_num_bits(n) : 0;

    /* An even or tiny exponent is no RSA key; a huge one makes each check slow. */
    if (e && builder && bits >= JWK_RSA_BITS_MIN && bits <= JWK_RSA_BITS_MAX && BN_is_odd(e) &&
        !BN_is_one(e) && BN_num_bits(e) <= 64 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = jwk_from_params("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}

struct jwk_curve {
    const char *crv;
    const char *group;
    enum jwk_type type;
    size_t n_bytes;
};

static const struct jwk_curve jwk_curves[] = {
    {"P-256", "P-256", JWK_P256, 32},
    {"P-384", "P-384", JWK_P384, 48},
    {"P-521", "P-521", JWK_P521, 66},
};

static EVP_PKEY *jwk_read_ec(const json_t *jwk, enum jwk_type *ret_type)
{
    struct str crv = jwk_text(jwk, "crv");
    const struct jwk_curve *curve = NULL;
    unsigned char point[1 + 2 * 66] = {4}; /* uncompressed */
    EVP_PKEY *key = NULL;

    for (size_t i = 0; i < N_ELEMENTS(jwk_curves); i++) {
        if (str_eq(crv, str_of(jwk_curves[i].crv)))
            curve = &jwk_curves[i];
    }
    if (!curve)
        return NULL;
    size_t n = curve->n_bytes;

    if (base64url_decode(jwk_text(jwk, "x"), point + 1, n) != (ssize_t)n ||
        base64url_decode(jwk_text(jwk, "y"), point + 1 + n, n) != (ssize_t)n)
        return NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();

    *ret_type = curve->type;
    if (builder &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) ==
            1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * n) == 1)
        key = jwk_from_params("EC", builder); /* checks that the point lies on the curve */
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *jwk_read_okp(const json_t *jwk)
{
    unsigned char bytes[32];

    if (!str_eq(jwk_text(jwk, "crv"), STR("Ed25519")) ||
        base64url_decode(jwk_text(jwk, "x"), bytes, sizeof bytes) != (ssize_t)sizeof bytes)
        return NULL;
    return EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, bytes, sizeof bytes);
}

/* RFC 7517 4.2, 4.3: meant for verification, or not said. */
static bool jwk_is_for_signatures(const json_t *jwk)
{
    const json_t *ops = json_object_get(jwk, "key_ops");
    struct str use = jwk_text(jwk, "use");
    const json_t *op;
    size_t i;

    if (use.ptr && !str_eq(use, STR("sig")))
        return false;
    if (!ops)
        return true;
    json_array_foreach(ops, i, op)
    {
        if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0)
            return true;
    }
    return false;
}

static char *jwk_copy(struct str s)
{
    return s.ptr ? mem_dup_text(s.ptr, s.len) : NULL;
}

static bool jwk_read(const json_t *jwk, struct jwk *ret)
{
    struct str kty = jwk_text(jwk, "kty");
    struct jwk k = {0};

    if (!json_is_object(jwk) || !jwk_is_for_signatures(jwk))
        return false;
    if (str_eq(kty, STR("RSA"))) {
        k.type = JWK_RSA;
        k.key = jwk_read_rsa(jwk);
    } else if (str_eq(kty, STR("EC"))) {
        k.key = jwk_read_ec(jwk, &k.type);
    } else if (str_eq(kty, STR("OKP"))) {
        k.type = JWK_ED25519;
        k.key = jwk_read_okp(jwk);
    }
    if (!k.key) {
        ERR_clear_error();
        return false;
    }
    k.kid = jwk_copy(jwk_text(jwk, "kid"));
    k.alg = jwk_copy(jwk_text(jwk, "alg"));
    *ret = k;
    return true;
}

int jwks_new(struct str json, struct jwks **ret_keys)
{
    json_t *root AUTO(json_free_ptr) = NULL;
    const json_t *list;
    struct jwks *keys;
    size_t n;

    if (json.len > LIMIT_KEY_SET_BYTES)
        return JWKS_TOO_LARGE;
    root = json.len > 0 ? json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    list = json_object_get(root, "keys");
    if (!json_is_array(list))
        return JWKS_BAD_JSON;
    n = json_array_size(list);
    if (n > LIMIT_KEY_SET_KEYS)
        return JWKS_TOO_LARGE;
    keys = mem_alloc_zero(sizeof *keys + n * sizeof keys->keys[0]);
    atomic_init(&keys->n_refs, 1);
    keys->version = hash_sip24(hash_process_key(), json.ptr, json.len) | 1;
    for (size_t i = 0; i < n; i++) {
        if (jwk_read(json_array_get(list, i), &keys->keys[keys->n]))
            keys->n++;
        else
            keys->n_skipped++;
    }
    if (keys->n == 0) {
        jwks_unref(keys);
        return JWKS_NO_USABLE_KEY;
    }
    *ret_keys = keys;
    return 0;
}

struct jwks *jwks_ref(struct jwks *k)
{
    atomic_fetch_add_explicit(&k->n_refs, 1, memory_order_relaxed);
    return k;
}

void jwks_unref(struct jwks *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < k->n; i++) {
        EVP_PKEY_free(k->keys[i].key);
        mem_free(k->keys[i].kid);
        mem_free(k->keys[i].alg);
    }
    mem_free(k);
}

uint32_t jwks_n_keys(const struct jwks *k)
{
    return k->n;
}

uint64_t jwks_version(const struct jwks *k)
{
    return k->version;
}
