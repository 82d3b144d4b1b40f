/* Key sets: what is taken, what is left out, what refuses the whole. */
#include "auth/jwks.h"

#include "auth/issuer_testing.h"
#include "base/limits.h"
#include "test/harness/test.h"

static int result_of(struct str json, uint32_t *ret_n, uint32_t *ret_skipped)
{
    struct jwks *keys = NULL;
    int r = jwks_new(json, &keys);

    CHECK((r == 0) == (keys != NULL));
    *ret_n = keys ? jwks_n_keys(keys) : 0;
    *ret_skipped = keys ? keys->n_skipped : 0;
    jwks_unref(keys);
    return r;
}

TEST(all_kinds_of_keys_are_read_once)
{
    static const char *const kinds[] = {"RSA-2048", "P-256", "P-384", "P-521", "ED25519"};
    struct arena a;
    struct str jwks[5];
    struct jwks *keys;

    arena_init(&a, 65536);
    for (int i = 0; i < 5; i++)
        jwks[i] = issuer_jwk(&a, issuer_key(&a, kinds[i]), "\"kid\":\"x\",\"use\":\"sig\",");
    CHECK(jwks_new(issuer_set(&a, jwks, 5), &keys) == 0);
    CHECK_INT(jwks_n_keys(keys), 5);
    CHECK_INT(keys->n_skipped, 0);
    for (uint32_t i = 0; i < 5; i++)
        CHECK_INT(keys->keys[i].type, i);
    CHECK(jwks_ref(keys) == keys);
    jwks_unref(keys);
    jwks_unref(keys);
    jwks_unref(NULL);
    arena_deinit(&a);
}

TEST(unusable_keys_are_left_out)
{
    struct arena a;
    uint32_t n, n_skipped;

    arena_init(&a, 65536);
    EVP_PKEY *ec = issuer_key(&a, "P-256");
    const struct {
        const char *what;
        struct str jwk;
    } rows[] = {
        {"weak RSA", issuer_jwk(&a, issuer_key(&a, "RSA-1024"), "")},
        {"symmetric", STR("{\"kty\":\"oct\",\"k\":\"AAAA\"}")},
        {"encryption", issuer_jwk(&a, ec, "\"use\":\"enc\",")},
        {"key_ops", issuer_jwk(&a, ec, "\"key_ops\":[\"sign\"],")},
        {"key_ops of a wrong type", issuer_jwk(&a, ec, "\"key_ops\":\"verify\",")},
        {"curve", STR("{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}")},
        {"OKP curve", STR("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPa"
                          "piMlrwIaaPcHURo\"}")},
        {"OKP length", STR("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}")},
        {"off the curve", STR("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMz"
                              "V76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI"
                              "5a1\"}")},
        {"exponent one", STR("{\"kty\":\"RSA\",\"e\":\"AQ\",\"n\":\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZ"
                             "Lw\"}")},
        {"no key", STR("{}")},
        {"no object", STR("7")},
        {"kty of a wrong type", STR("{\"kty\":[\"RSA\"]}")},
    };
    struct str good = issuer_jwk(&a, ec, "\"key_ops\":[\"verify\"],");

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str pair[] = {rows[i].jwk, good};
        struct str both = issuer_set(&a, pair, 2);
        struct str alone = issuer_set(&a, pair, 1);

        CHECK_MSG(result_of(both, &n, &n_skipped) == 0 && n == 1 && n_skipped == 1, "%s",
                  rows[i].what);
        CHECK_MSG(result_of(alone, &n, &n_skipped) == JWKS_NO_USABLE_KEY, "%s", rows[i].what);
    }
    arena_deinit(&a);
}

TEST(a_broken_set_is_refused_whole)
{
    static const struct {
        const char *json;
        int expected;
    } rows[] = {
        {"", JWKS_BAD_JSON},
        {"{", JWKS_BAD_JSON},
        {"[]", JWKS_BAD_JSON},
        {"{}", JWKS_BAD_JSON},
        {"{\"keys\":{}}", JWKS_BAD_JSON},
        {"{\"keys\":[],\"keys\":[]}", JWKS_BAD_JSON},
        {"{\"keys\":[{\"kty\":\"RSA\",\"kty\":\"EC\"}]}", JWKS_BAD_JSON},
        {"{\"keys\":[]}", JWKS_NO_USABLE_KEY},
        {"<html>not found</html>", JWKS_BAD_JSON},
    };
    uint32_t n, n_skipped;

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_MSG(result_of(str_of(rows[i].json), &n, &n_skipped) == rows[i].expected, "%s",
                  rows[i].json);
}

TEST(sizes_are_bounded)
{
    struct arena a;
    uint32_t n, n_skipped;
    struct str text = STR("{\"keys\":[{}");

    arena_init(&a, 65536);
    for (int i = 0; i < LIMIT_KEY_SET_KEYS; i++)
        text = arena_printf(&a, "%.*s,{}", STR_ARG(text));
    CHECK_INT(result_of(arena_printf(&a, "%.*s]}", STR_ARG(text)), &n, &n_skipped), JWKS_TOO_LARGE);
    CHECK_INT(result_of(str_make(arena_alloc(&a, LIMIT_KEY_SET_BYTES + 1), LIMIT_KEY_SET_BYTES + 1),
                        &n, &n_skipped),
              JWKS_TOO_LARGE);
    arena_deinit(&a);
}

TEST(the_version_follows_the_text)
{
    struct arena a;
    struct jwks *one, *same, *other;

    arena_init(&a, 65536);
    EVP_PKEY *key = issuer_key(&a, "ED25519");
    struct str jwk = issuer_jwk(&a, key, "\"kid\":\"1\",");
    struct str jwk2 = issuer_jwk(&a, key, "\"kid\":\"2\",");

    CHECK(jwks_new(issuer_set(&a, &jwk, 1), &one) == 0);
    CHECK(jwks_new(issuer_set(&a, &jwk, 1), &same) == 0);
    CHECK(jwks_new(issuer_set(&a, &jwk2, 1), &other) == 0);
    CHECK(jwks_version(one) != 0 && jwks_version(one) == jwks_version(same));
    CHECK(jwks_version(one) != jwks_version(other));
    jwks_unref(one);
    jwks_unref(same);
    jwks_unref(other);
    arena_deinit(&a);
}
