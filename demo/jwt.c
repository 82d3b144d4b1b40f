/* RS256 tokens and key sets (RFC 7515, 7517, 7519) on OpenSSL's EVP interface.
 *
 * Owner: every returned object is the caller's. Thread: any. It knows one algorithm: a token whose
 * header says another, or that brings a key of its own, is refused. */
#include "demo/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode64(const unsigned char *data, size_t len)
{
    char *text = malloc(len / 3 * 4 + 5);
    char *out = text;

    if (!text)
        abort();
    for (size_t i = 0; i < len; i += 3) {
        unsigned long v = (unsigned long)data[i] << 16;
        size_t n = len - i < 3 ? len - i : 3;

        v |= n > 1 ? (unsigned long)data[i + 1] << 8 : 0;
        v |= n > 2 ? data[i + 2] : 0;
        for (size_t k = 0; k <= n; k++)
            *out++ = alphabet[(v >> (18 - 6 * k)) & 63];
    }
    *out = '\0';
    return text;
}

/* NULL for characters outside the alphabet and for lengths that no data has. */
static unsigned char *decode64(const char *text, size_t len, size_t *ret_len)
{
    unsigned char *data = malloc(len / 4 * 3 + 4);
    size_t out = 0;
    unsigned long v = 0;

    if (!data)
        abort();
    for (size_t i = 0; i < len; i++) {
        const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;

        if (!at || len % 4 == 1) {
            free(data);
            return NULL;
        }
        v = v << 6 | (unsigned long)(at - alphabet);
        if (i % 4 > 0)
            data[out++] = (unsigned char)(v >> (6 - 2 * (i % 4)));
    }
    data[out] = '\0';
    *ret_len = out;
    return data;
}

EVP_PKEY *jwt_new_key(void)
{
    return EVP_RSA_gen(2048);
}

static char *encode_number(EVP_PKEY *key, const char *name)
{
    unsigned char bytes[1024];
    BIGNUM *number = NULL;
    char *text = NULL;

    if (EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
        (size_t)BN_num_bytes(number) <= sizeof(bytes))
        text = encode64(bytes, (size_t)BN_bn2bin(number, bytes));
    BN_free(number);
    return text;
}

json_t *jwt_format_key(EVP_PKEY *key, const char *kid)
{
    char *n = encode_number(key, OSSL_PKEY_PARAM_RSA_N);
    char *e = encode_number(key, OSSL_PKEY_PARAM_RSA_E);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "kty", "RSA", "use", "sig", "alg",
                             "RS256", "kid", kid, "n", n ? n : "", "e", e ? e : "");

    free(n);
    free(e);
    return json;
}

static char *encode_json(const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    char *encoded;

    if (!text)
        abort();
    encoded = encode64((const unsigned char *)text, strlen(text));
    free(text);
    return encoded;
}

static char *sign_text(EVP_PKEY *key, const char *text)
{
    unsigned char signature[1024];
    size_t len = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_signed =
        ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, strlen(text)) == 1;

    EVP_MD_CTX_free(ctx);
    return is_signed ? encode64(signature, len) : NULL;
}

char *jwt_sign(EVP_PKEY *key, const char *kid, const json_t *claims)
{
    json_t *header = json_pack("{s:s, s:s, s:s}", "alg", "RS256", "typ", "JWT", "kid", kid);
    char *head = encode_json(header);
    char *body = encode_json(claims);
    char *token = NULL;
    char *text = NULL;
    char *signature;

    json_decref(header);
    if (asprintf(&text, "%s.%s", head, body) < 0)
        abort();
    signature = sign_text(key, text);
    if (signature && asprintf(&token, "%s.%s", text, signature) < 0)
        abort();
    free(head);
    free(body);
    free(text);
    free(signature);
    return token;
}

static BIGNUM *decode_number(const json_t *key, const char *name)
{
    const char *text = json_string_value(json_object_get(key, name));
    size_t len;
    unsigned char *bytes = text ? decode64(text, strlen(text), &len) : NULL;
    BIGNUM *number = bytes ? BN_bin2bn(bytes, (int)len, NULL) : NULL;

    free(bytes);
    return number;
}

static EVP_PKEY *parse_key(const json_t *json)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = decode_number(json, "n");
    BIGNUM *e = decode_number(json, "e");
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (ctx && builder && n && e && BN_num_bits(n) >= 2048 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        params = OSSL_PARAM_BLD_to_param(builder);
        if (EVP_PKEY_fromdata_init(ctx) != 1 ||
            EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
            key = NULL;
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
    return key;
}

static json_t *decode_part(const char *text, size_t len)
{
    size_t n;
    unsigned char *bytes = decode64(text, len, &n);
    json_t *json = bytes ? json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL) : NULL;

    free(bytes);
    return json;
}

static const json_t *find_key(const json_t *key_set, const json_t *header)
{
    const char *kid = json_string_value(json_object_get(header, "kid"));
    json_t *key;
    size_t i;

    json_array_foreach(json_object_get(key_set, "keys"), i, key)
    {
        const char *its_kid = json_string_value(json_object_get(key, "kid"));

        if (kid && its_kid && strcmp(kid, its_kid) == 0)
            return key;
    }
    return NULL;
}

bool jwt_set_has_key(const json_t *key_set, const char *token)
{
    json_t *header = decode_part(token, strcspn(token, "."));
    bool has = find_key(key_set, header) != NULL;

    json_decref(header);
    return has;
}

static bool signature_is_good(const json_t *jwk, const char *token, const char *last_dot)
{
    size_t len;
    unsigned char *signature = decode64(last_dot + 1, strlen(last_dot + 1), &len);
    EVP_PKEY *key = parse_key(jwk);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_good = signature && key && ctx &&
                   EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                   EVP_DigestVerify(ctx, signature, len, (const unsigned char *)token,
                                    (size_t)(last_dot - token)) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    free(signature);
    return is_good;
}

static const char *check_claims(const json_t *claims, const char *issuer, long long now)
{
    const char *iss = json_string_value(json_object_get(claims, "iss"));
    const json_t *exp = json_object_get(claims, "exp");

    if (!iss || strcmp(iss, issuer) != 0)
        return "the token has another issuer";
    if (!json_is_integer(exp) || json_integer_value(exp) <= now)
        return "the token has expired";
    return NULL;
}

json_t *jwt_verify(const char *token, const json_t *key_set, const char *issuer, long long now,
                   const char **ret_why)
{
    const char *first_dot = strchr(token, '.');
    const char *last_dot = strrchr(token, '.');
    json_t *header = NULL;
    json_t *claims = NULL;
    const char *alg;
    const json_t *key;

    *ret_why = "this is no token";
    if (strlen(token) > JWT_TOKEN_MAX || !first_dot || first_dot == last_dot)
        return NULL;
    header = decode_part(token, (size_t)(first_dot - token));
    alg = json_string_value(json_object_get(header, "alg"));
    key = find_key(key_set, header);
    if (!alg || strcmp(alg, "RS256") != 0)
        *ret_why = "the token is not signed by RS256";
    else if (!key)
        *ret_why = "the token's key is unknown";
    else if (!signature_is_good(key, token, last_dot))
        *ret_why = "the token's signature is wrong";
    else
        claims = decode_part(first_dot + 1, (size_t)(last_dot - first_dot - 1));
    json_decref(header);
    if (claims)
        *ret_why = check_claims(claims, issuer, now);
    if (claims && *ret_why) {
        json_decref(claims);
        return NULL;
    }
    return claims;
}
