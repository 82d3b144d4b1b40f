/* Verification: the known answers of the RFCs, every algorithm with keys made here, every way to be
 * refused. */
#include "auth/jwt.h"

#include <openssl/hmac.h>
#include <openssl/x509.h>

#include "auth/base64url.h"
#include "auth/issuer_testing.h"
#include "base/limits.h"
#include "test/harness/test.h"

enum { NOW_S = 1800000000 };

static const struct jwt_provider any_provider = {{"any", 3}, {NULL, 0}, NULL, 0};

static struct jwks *keys_of(struct str json)
{
    struct jwks *keys = NULL;

    CHECK(jwks_new(json, &keys) == 0);
    return keys;
}

/* What is read without a look at the signature is judged in all else as what is verified. */
static void compare_unverified(struct str token, const struct jwt_provider *p, int64_t now_s,
                               int verified)
{
    struct jwt_claims *claims = NULL;
    int r = jwt_read_unverified(token, p, now_s, &claims);

    CHECK((r == 0) == (claims != NULL));
    if (verified == JWT_UNKNOWN_KEY || verified == JWT_BAD_SIGNATURE)
        CHECK(r != JWT_UNKNOWN_KEY && r != JWT_BAD_SIGNATURE);
    else if (verified != JWT_BAD_ALGORITHM) /* some of which the key alone tells */
        CHECK_INT(r, verified);
    jwt_claims_free(claims);
}

/* The result; claims are dropped. */
static int verify_at(struct str token, const struct jwt_provider *p, const struct jwks *keys,
                     int64_t now_s)
{
    struct jwt_claims *claims = NULL;
    int r = jwt_verify(token, p, keys, now_s, &claims);

    CHECK((r == 0) == (claims != NULL));
    jwt_claims_free(claims);
    compare_unverified(token, p, now_s, r);
    return r;
}

static int verify(struct str token, const struct jwks *keys)
{
    return verify_at(token, &any_provider, keys, NOW_S);
}

/* ---- known answers ---- */

TEST(rfc7515_a2_rs256)
{
    struct jwks *keys = keys_of(STR(
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26"
        "mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47"
        "soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVM"
        "TBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAc"
        "DTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}]}"));
    struct str token = STR(
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
        "LmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh"
        "7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyW"
        "zO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZE"
        "Sc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGl"
        "UPQGe77Rw");
    struct jwt_claims *claims;

    CHECK_INT(verify(token, keys), JWT_EXPIRED); /* it is from 2011 */
    CHECK(jwt_verify(token, &any_provider, keys, 1300819000, &claims) == 0);
    CHECK_STR(jwt_claim_string(claims, STR("iss")), "joe");
    CHECK(jwt_claim_type(claims, STR("http://example.com/is_root")) == CLAIM_IS_OTHER);
    jwt_claims_free(claims);
    jwks_unref(keys);
}

TEST(rfc7515_a3_es256)
{
    struct jwks *keys = keys_of(STR("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
                                    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
                                    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"));
    struct str token =
        STR("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
            "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5d"
            "jxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");

    CHECK_INT(verify_at(token, &any_provider, keys, 1300819000), 0);
    jwks_unref(keys);
}

/* Signatures of payloads that are no JSON: MALFORMED is found only behind a valid signature. */
TEST(rfc7515_a4_es512_and_rfc8037_a4_ed25519)
{
    struct jwks *es512 = keys_of(
        STR("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJX"
            "mPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_Rvc"
            "LI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}]}"));
    struct jwks *ed25519 = keys_of(STR("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
                                       "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"));

    CHECK_INT(
        verify(STR("eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZ"
                   "OYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdO"
                   "O8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"),
               es512),
        JWT_MALFORMED);
    CHECK_INT(
        verify(STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLW"
                   "G1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
               ed25519),
        JWT_MALFORMED);
    CHECK_INT(
        verify(STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmd.hgyY0il_MGCjP0JzlnLW"
                   "G1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"),
               ed25519),
        JWT_BAD_SIGNATURE);
    jwks_unref(es512);
    jwks_unref(ed25519);
}

static const char bilbo_n[] =
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCp"
    "MaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd"
    "1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKn"
    "S2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";

TEST(rfc7520_4_2_ps384)
{
    struct arena a;

    arena_init(&a, 4096);
    struct jwks *keys = keys_of(arena_printf(
        &a,
        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\","
        "\"n\":\"%s\",\"e\":\"AQAB\"}]}",
        bilbo_n));

    CHECK_INT(
        verify(STR("eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9."
                   "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW"
                   "91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhl"
                   "cmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4."
                   "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkq"
                   "sGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNA"
                   "Uf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez"
                   "2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6G"
                   "YmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw"),
               keys),
        JWT_MALFORMED);
    jwks_unref(keys);
    arena_deinit(&a);
}

/* ---- algorithms ---- */

static const struct {
    const char *kind;
    const char *algs[6];
} kinds[] = {
    {"RSA-2048", {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
    {"P-256", {"ES256"}},
    {"P-384", {"ES384"}},
    {"P-521", {"ES512"}},
    {"ED25519", {"EdDSA"}},
};

/* Each algorithm with its key passes; with any change of a byte it does not. */
TEST(every_algorithm_verifies_and_notices_a_changed_byte)
{
    struct arena a;

    arena_init(&a, 65536);
    for (size_t k = 0; k < N_ELEMENTS(kinds); k++) {
        EVP_PKEY *key = issuer_key(&a, kinds[k].kind);
        struct str jwk = issuer_jwk(&a, key, "");
        struct jwks *keys = keys_of(issuer_set(&a, &jwk, 1));

        for (size_t i = 0; i < 6 && kinds[k].algs[i]; i++) {
            const char *alg = kinds[k].algs[i];
            struct str header = arena_printf(&a, "{\"alg\":\"%s\"}", alg);
            struct str token = issuer_sign(&a, key, alg, header.ptr, "{\"sub\":\"x\"}");

            CHECK_MSG(verify(token, keys) == 0, "%s", alg);
            for (size_t at = token.len - 40; at < token.len - 2; at += 7) {
                char *copy = memcpy(arena_bytes(&a, token.len), token.ptr, token.len);

                copy[at] = copy[at] == 'A' ? 'B' : 'A';
                CHECK_MSG(verify(str_make(copy, token.len), keys) == JWT_BAD_SIGNATURE, "%s", alg);
            }
        }
        jwks_unref(keys);
    }
    arena_deinit(&a);
}

/* A token that claims another algorithm than its key's is refused, even if signed with that key. */
TEST(the_algorithm_is_bound_to_the_key)
{
    struct arena a;

    arena_init(&a, 65536);
    EVP_PKEY *rsa = issuer_key(&a, "RSA-2048");
    EVP_PKEY *ec = issuer_key(&a, "P-256");
    EVP_PKEY *ec384 = issuer_key(&a, "P-384");
    struct str jwks[] = {
        issuer_jwk(&a, rsa, "\"kid\":\"rsa\",\"alg\":\"RS256\","),
        issuer_jwk(&a, ec, "\"kid\":\"ec\","),
        issuer_jwk(&a, ec384, "\"kid\":\"ec384\","),
    };
    struct jwks *keys = keys_of(issuer_set(&a, jwks, 3));
    const struct {
        EVP_PKEY *key;
        const char *alg, *header;
        int expected;
    } rows[] = {
        {rsa, "RS256", "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", 0},
        {rsa, "PS256", "{\"alg\":\"PS256\",\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {rsa, "RS512", "{\"alg\":\"RS512\",\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {rsa, "RS256", "{\"alg\":\"ES256\",\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {rsa, "RS256", "{\"alg\":\"none\",\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {rsa, "RS256", "{\"alg\":\"None\",\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {rsa, "RS256", "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {rsa, "RS256", "{\"alg\":\"rs256\",\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {rsa, "RS256", "{\"alg\":7,\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {rsa, "RS256", "{\"kid\":\"rsa\"}", JWT_BAD_ALGORITHM},
        {ec, "ES256", "{\"alg\":\"ES256\",\"kid\":\"ec\"}", 0},
        {ec, "ES256", "{\"alg\":\"ES384\",\"kid\":\"ec\"}", JWT_BAD_ALGORITHM},
        {ec384, "ES256", "{\"alg\":\"ES256\",\"kid\":\"ec384\"}", JWT_BAD_ALGORITHM},
        {ec, "ES256", "{\"alg\":\"ES256\"}", 0}, /* no kid: all keys of the type */
        {ec, "ES256", "{\"alg\":\"EdDSA\"}", JWT_UNKNOWN_KEY},
        {ec, "ES256", "{\"alg\":\"ES256\",\"kid\":\"other\"}", JWT_UNKNOWN_KEY},
        {ec, "ES256", "{\"alg\":\"ES256\",\"kid\":7}", JWT_MALFORMED},
        {ec, "ES256", "{\"alg\":\"ES256\",\"kid\":\"e\\u0000c\"}", JWT_MALFORMED},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str token = issuer_sign(&a, rows[i].key, rows[i].alg, rows[i].header, "{}");
        int r = verify(token, keys);

        CHECK_MSG(r == rows[i].expected, "%s: %d", rows[i].header, r);
    }
    jwks_unref(keys);
    arena_deinit(&a);
}

/* The classic confusion: HMAC with the text of the public key as the secret. */
TEST(hmac_with_a_public_key_is_refused)
{
    struct arena a;
    unsigned char *der = NULL;
    unsigned char mac[32];
    unsigned n_mac = 0;

    arena_init(&a, 65536);
    EVP_PKEY *rsa = issuer_key(&a, "RSA-2048");
    struct str jwk = issuer_jwk(&a, rsa, "\"kid\":\"k\",");
    struct jwks *keys = keys_of(issuer_set(&a, &jwk, 1));
    struct str text = arena_printf(
        &a, "%.*s.%.*s", STR_ARG(issuer_base64(&a, "{\"alg\":\"HS256\",\"kid\":\"k\"}", 25)),
        STR_ARG(issuer_base64(&a, "{\"sub\":\"admin\"}", 15)));
    int n = i2d_PUBKEY(rsa, &der);

    CHECK(n > 0 &&
          HMAC(EVP_sha256(), der, n, (const unsigned char *)text.ptr, text.len, mac, &n_mac));
    CHECK_INT(
        verify(arena_printf(&a, "%.*s.%.*s", STR_ARG(text), STR_ARG(issuer_base64(&a, mac, n_mac))),
               keys),
        JWT_BAD_ALGORITHM);
    CHECK_INT(verify(STR("eyJhbGciOiJub25lIn0.e30."), keys), JWT_BAD_ALGORITHM);
    OPENSSL_free(der);
    jwks_unref(keys);
    arena_deinit(&a);
}

/* ---- shape ---- */

struct bench {
    struct arena arena;
    EVP_PKEY *key;
    struct jwks *keys;
};

static void bench_init(struct bench *b)
{
    arena_init(&b->arena, 65536);
    b->key = issuer_key(&b->arena, "P-256");
    struct str jwk = issuer_jwk(&b->arena, b->key, "\"kid\":\"k\",");

    b->keys = keys_of(issuer_set(&b->arena, &jwk, 1));
}

static void bench_deinit(struct bench *b)
{
    jwks_unref(b->keys);
    arena_deinit(&b->arena);
}

static struct str sign(struct bench *b, const char *header, const char *payload)
{
    return issuer_sign(&b->arena, b->key, "ES256", header, payload);
}

TEST(what_is_no_token_is_malformed)
{
    static const char *const texts[] = {
        "",           ".",
        "..",         "...",
        "a.b",        "e30.e30",
        "e30.e30.AA", "{}.{}.x",
        "e30=.e30.A", "eyJhbGciOiJFUzI1NiJ9 .e30.AA",
        "W10.e30.",   "bnVsbA.e30.AAAA",
    };
    struct bench b;

    bench_init(&b);
    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        int r = verify(str_of(texts[i]), b.keys);

        CHECK_MSG(r == JWT_MALFORMED || r == JWT_BAD_ALGORITHM, "%s: %d", texts[i], r);
    }
    bench_deinit(&b);
}

/* No prefix of a good token is accepted, nor the token with anything behind it. */
TEST(truncated_and_extended_tokens_are_refused)
{
    struct bench b;

    bench_init(&b);
    struct str token = sign(&b, "{\"alg\":\"ES256\"}", "{\"sub\":\"x\"}");

    CHECK_INT(verify(token, b.keys), 0);
    for (size_t n = 0; n < token.len; n++)
        CHECK(verify(str_slice(token, 0, n), b.keys) != 0);
    CHECK(verify(arena_printf(&b.arena, "%.*sA", STR_ARG(token)), b.keys) != 0);
    CHECK(verify(arena_printf(&b.arena, "%.*s=", STR_ARG(token)), b.keys) != 0);
    CHECK(verify(arena_printf(&b.arena, "%.*s\n", STR_ARG(token)), b.keys) != 0);
    CHECK_INT(verify(arena_printf(&b.arena, "%.*s.", STR_ARG(token)), b.keys), JWT_MALFORMED);
    bench_deinit(&b);
}

TEST(the_size_of_a_token_is_bounded)
{
    struct bench b;
    static char padding[LIMIT_TOKEN_BYTES];

    bench_init(&b);
    memset(padding, 'p', 11000);
    struct str payload = arena_printf(&b.arena, "{\"p\":\"%s\"}", padding);
    struct str token = sign(&b, "{\"alg\":\"ES256\"}", payload.ptr);

    CHECK(token.len < LIMIT_TOKEN_BYTES);
    CHECK_INT(verify(token, b.keys), 0);
    memset(padding, 'p', 12500);
    payload = arena_printf(&b.arena, "{\"p\":\"%s\"}", padding);
    CHECK_INT(verify(sign(&b, "{\"alg\":\"ES256\"}", payload.ptr), b.keys), JWT_TOO_LARGE);
    bench_deinit(&b);
}

TEST(headers_that_bring_keys_or_demands_are_refused)
{
    static const struct {
        const char *header;
        int expected;
    } rows[] = {
        {"{\"alg\":\"ES256\",\"typ\":\"JWT\",\"cty\":\"x\"}", 0},
        {"{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\"}}", JWT_EMBEDDED_KEY},
        {"{\"alg\":\"ES256\",\"jku\":\"https://evil.example/keys\"}", JWT_EMBEDDED_KEY},
        {"{\"alg\":\"ES256\",\"x5u\":\"https://evil.example/cert\"}", JWT_EMBEDDED_KEY},
        {"{\"alg\":\"ES256\",\"x5c\":[\"MIIB\"]}", JWT_EMBEDDED_KEY},
        {"{\"alg\":\"ES256\",\"jwk\":null}", JWT_EMBEDDED_KEY},
        {"{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", JWT_EMBEDDED_KEY},
        {"{\"alg\":\"ES256\",\"alg\":\"ES256\"}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"x\":{\"a\":1,\"a\":2}}", JWT_MALFORMED},
        {"{\"alg\":\"ES256\"} {}", JWT_MALFORMED},
        {"[\"ES256\"]", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"x\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}", JWT_MALFORMED},
    };
    struct bench b;

    bench_init(&b);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        int r = verify(sign(&b, rows[i].header, "{}"), b.keys);

        CHECK_MSG(r == rows[i].expected, "%s: %d", rows[i].header, r);
    }
    bench_deinit(&b);
}

TEST(payloads_that_can_be_read_two_ways_are_refused)
{
    static const char *const payloads[] = {
        "{\"tenant\":\"a\",\"tenant\":\"b\"}",
        "{\"tenant\":\"a\",\"t\\u0065nant\":\"b\"}",
        "{\"x\":{\"y\":[{\"z\":1,\"z\":2}]}}",
        "{\"tenant\":\"a\"}{\"tenant\":\"b\"}",
        "\"text\"",
        "",
        "{\"sub\":\"\xff\"}",
        "{\"sub\":\"a\\u0000b\"}",
        "{\"exp\":\"1900000000\"}",
        "{\"exp\":null}",
        "{\"nbf\":[]}",
        "{\"exp\":1e300}",
        "{\"d\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}",
    };
    struct bench b;

    bench_init(&b);
    for (size_t i = 0; i < N_ELEMENTS(payloads); i++) {
        int r = verify(sign(&b, "{\"alg\":\"ES256\"}", payloads[i]), b.keys);

        CHECK_MSG(r == JWT_MALFORMED, "%s: %d", payloads[i], r);
    }
    bench_deinit(&b);
}

/* ---- registered claims ---- */

TEST(times_have_sixty_seconds_of_skew)
{
    static const struct {
        const char *payload;
        int64_t now_s;
        int expected;
    } rows[] = {
        {"{\"exp\":1000}", 999, 0},
        {"{\"exp\":1000}", 1059, 0},
        {"{\"exp\":1000}", 1060, JWT_EXPIRED},
        {"{\"exp\":1000.9}", 1060, JWT_EXPIRED},
        {"{\"exp\":0}", NOW_S, JWT_EXPIRED},
        {"{\"exp\":-5}", NOW_S, JWT_EXPIRED},
        {"{\"nbf\":1000}", 940, 0},
        {"{\"nbf\":1000}", 939, JWT_NOT_YET_VALID},
        {"{\"nbf\":1000,\"exp\":2000}", 1500, 0},
        {"{}", NOW_S, 0}, /* without exp a token does not end, as with Envoy */
        {"{\"iat\":\"odd\"}", NOW_S, 0},
    };
    struct bench b;

    bench_init(&b);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str token = sign(&b, "{\"alg\":\"ES256\"}", rows[i].payload);
        int r = verify_at(token, &any_provider, b.keys, rows[i].now_s);

        CHECK_MSG(r == rows[i].expected, "%s at %lld: %d", rows[i].payload,
                  (long long)rows[i].now_s, r);
    }
    bench_deinit(&b);
}

TEST(issuer_and_audience_must_be_the_providers)
{
    static const struct str audiences[] = {{"tenant-a", 8}, {"tenant-b", 8}};
    static const struct jwt_provider provider = {{"p", 1}, {"box", 3}, audiences, 2};
    static const struct {
        const char *payload;
        int expected;
    } rows[] = {
        {"{\"iss\":\"box\",\"aud\":\"tenant-a\"}", 0},
        {"{\"iss\":\"box\",\"aud\":[\"x\",\"tenant-b\"]}", 0},
        {"{\"iss\":\"box\",\"aud\":[\"x\"]}", JWT_WRONG_AUDIENCE},
        {"{\"iss\":\"box\",\"aud\":[]}", JWT_WRONG_AUDIENCE},
        {"{\"iss\":\"box\",\"aud\":[[\"tenant-a\"]]}", JWT_WRONG_AUDIENCE},
        {"{\"iss\":\"box\",\"aud\":{\"tenant-a\":1}}", JWT_WRONG_AUDIENCE},
        {"{\"iss\":\"box\"}", JWT_WRONG_AUDIENCE},
        {"{\"iss\":\"box\",\"aud\":\"TENANT-A\"}", JWT_WRONG_AUDIENCE},
        {"{\"iss\":\"box2\",\"aud\":\"tenant-a\"}", JWT_WRONG_ISSUER},
        {"{\"iss\":[\"box\"],\"aud\":\"tenant-a\"}", JWT_WRONG_ISSUER},
        {"{\"aud\":\"tenant-a\"}", JWT_WRONG_ISSUER},
        {"{\"iss\":\"other\",\"exp\":1}", JWT_WRONG_ISSUER}, /* the issuer speaks first */
        {"{\"iss\":\"box\",\"aud\":\"x\",\"exp\":1}", JWT_EXPIRED},
    };
    struct bench b;

    bench_init(&b);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str token = sign(&b, "{\"alg\":\"ES256\"}", rows[i].payload);
        int r = verify_at(token, &provider, b.keys, NOW_S);

        CHECK_MSG(r == rows[i].expected, "%s: %d", rows[i].payload, r);
    }
    bench_deinit(&b);
}

/* ---- several keys ---- */

TEST(during_a_rotation_both_keys_verify)
{
    struct arena a;

    arena_init(&a, 65536);
    EVP_PKEY *old = issuer_key(&a, "P-256");
    EVP_PKEY *new = issuer_key(&a, "P-256");
    struct str jwks[] = {issuer_jwk(&a, old, "\"kid\":\"1\","),
                         issuer_jwk(&a, new, "\"kid\":\"2\",")};
    struct jwks *both = keys_of(issuer_set(&a, jwks, 2));
    struct jwks *first = keys_of(issuer_set(&a, jwks, 1));
    struct str token = issuer_sign(&a, new, "ES256", "{\"alg\":\"ES256\",\"kid\":\"2\"}", "{}");
    struct str bare = issuer_sign(&a, new, "ES256", "{\"alg\":\"ES256\"}", "{}");
    struct str lie = issuer_sign(&a, new, "ES256", "{\"alg\":\"ES256\",\"kid\":\"1\"}", "{}");

    CHECK_INT(verify(token, both), 0);
    CHECK_INT(verify(token, first), JWT_UNKNOWN_KEY);
    CHECK_INT(verify(bare, both), 0);
    CHECK_INT(verify(bare, first), JWT_BAD_SIGNATURE);
    CHECK_INT(verify(lie, both), JWT_BAD_SIGNATURE);
    jwks_unref(both);
    jwks_unref(first);
    arena_deinit(&a);
}
