/* See issuer_testing.h. Signs with OpenSSL's own paddings and converts ECDSA from DER to JOSE, the
 * reverse of what jwt.c does. */
#include "auth/issuer_testing.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "auth/base64url.h"
#include "base/assert.h"

static void issuer_must(bool is_done)
{
    ASSERT(is_done);
}

static void issuer_free_key(void *key)
{
    EVP_PKEY_free(key);
}

EVP_PKEY *issuer_key(struct arena *a, const char *kind)
{
    EVP_PKEY *key;

    if (strncmp(kind, "RSA-", 4) == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)atoi(kind + 4));
    else if (kind[0] == 'P')
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
    else
        key = EVP_PKEY_Q_keygen(NULL, NULL, kind);
    issuer_must(key != NULL);
    arena_on_cleanup(a, issuer_free_key, key);
    return key;
}

struct str issuer_base64(struct arena *a, const void *bytes, size_t n)
{
    char *text = arena_bytes(a, base64url_length(n) + 1);

    return str_make(text, base64url_encode(bytes, n, text));
}

static struct str issuer_number(struct arena *a, EVP_PKEY *key, const char *name, int width)
{
    unsigned char bytes[2048];
    BIGNUM *number = NULL;
    int n;

    issuer_must(EVP_PKEY_get_bn_param(key, name, &number) == 1);
    n = width > 0 ? BN_bn2binpad(number, bytes, width) : BN_bn2bin(number, bytes);
    BN_free(number);
    issuer_must(n > 0);
    return issuer_base64(a, bytes, (size_t)n);
}

struct str issuer_jwk(struct arena *a, EVP_PKEY *key, const char *members)
{
    unsigned char raw[64];
    size_t n = sizeof raw;
    int bits = EVP_PKEY_get_bits(key);

    if (EVP_PKEY_is_a(key, "RSA"))
        return arena_printf(a, "{%s\"kty\":\"RSA\",\"n\":\"%.*s\",\"e\":\"%.*s\"}", members,
                            STR_ARG(issuer_number(a, key, OSSL_PKEY_PARAM_RSA_N, 0)),
                            STR_ARG(issuer_number(a, key, OSSL_PKEY_PARAM_RSA_E, 0)));
    if (EVP_PKEY_is_a(key, "EC"))
        return arena_printf(
            a, "{%s\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%.*s\",\"y\":\"%.*s\"}", members, bits,
            STR_ARG(issuer_number(a, key, OSSL_PKEY_PARAM_EC_PUB_X, (bits + 7) / 8)),
            STR_ARG(issuer_number(a, key, OSSL_PKEY_PARAM_EC_PUB_Y, (bits + 7) / 8)));
    issuer_must(EVP_PKEY_get_raw_public_key(key, raw, &n) == 1);
    return arena_printf(a, "{%s\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%.*s\"}", members,
                        STR_ARG(issuer_base64(a, raw, n)));
}

struct str issuer_set(struct arena *a, const struct str *jwks, size_t n)
{
    struct str text = STR("{\"keys\":[");

    for (size_t i = 0; i < n; i++)
        text = arena_printf(a, "%.*s%s%.*s", STR_ARG(text), i > 0 ? "," : "", STR_ARG(jwks[i]));
    return arena_printf(a, "%.*s]}", STR_ARG(text));
}

static size_t issuer_to_jose(EVP_PKEY *key, unsigned char *signature, size_t n)
{
    const unsigned char *at = signature;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)n);
    int width = (EVP_PKEY_get_bits(key) + 7) / 8;

    issuer_must(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, width) == width &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + width, width) == width);
    ECDSA_SIG_free(sig);
    return 2 * (size_t)width;
}

static struct str issuer_signature(struct arena *a, EVP_PKEY *key, const char *alg, struct str text)
{
    char digest[8] = "SHA";
    unsigned char bytes[1100];
    size_t n = sizeof bytes;
    EVP_PKEY_CTX *key_ctx;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_eddsa = EVP_PKEY_is_a(key, "ED25519");

    memcpy(digest + 3, alg + 2, 4);
    issuer_must(
        EVP_DigestSignInit_ex(ctx, &key_ctx, is_eddsa ? NULL : digest, NULL, NULL, key, NULL) == 1);
    if (alg[0] == 'P')
        issuer_must(EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
    issuer_must(EVP_DigestSign(ctx, bytes, &n, (const unsigned char *)text.ptr, text.len) == 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(key, "EC"))
        n = issuer_to_jose(key, bytes, n);
    return issuer_base64(a, bytes, n);
}

struct str issuer_sign(struct arena *a, EVP_PKEY *key, const char *alg, const char *header,
                       const char *payload)
{
    struct str text =
        arena_printf(a, "%.*s.%.*s", STR_ARG(issuer_base64(a, header, strlen(header))),
                     STR_ARG(issuer_base64(a, payload, strlen(payload))));

    return arena_printf(a, "%.*s.%.*s", STR_ARG(text),
                        STR_ARG(issuer_signature(a, key, alg, text)));
}
