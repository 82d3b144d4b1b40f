/* Tokens of the demo: what the issuer signs the authorizer takes, and nothing else. */
#include "demo/jwt.h"

#include <stdlib.h>

#include "test/harness/test.h"

#define ISSUER "inference-in-a-box"

struct issuer {
    EVP_PKEY *key;
    json_t *set;
    char *token;
};

static void open_issuer(struct issuer *i, const char *kid, long long exp)
{
    json_t *claims =
        json_pack("{s:s, s:s, s:I}", "iss", ISSUER, "tenant", "tenant-a", "exp", (json_int_t)exp);

    i->key = jwt_new_key();
    CHECK(i->key != NULL);
    i->set = json_pack("{s:[o]}", "keys", jwt_format_key(i->key, kid));
    i->token = jwt_sign(i->key, kid, claims);
    CHECK(i->token != NULL);
    json_decref(claims);
}

static void close_issuer(struct issuer *i)
{
    EVP_PKEY_free(i->key);
    json_decref(i->set);
    free(i->token);
}

static bool is_refused(const char *token, const json_t *set, const char *reason)
{
    const char *why = NULL;
    json_t *claims = jwt_verify(token, set, ISSUER, 1000, &why);
    bool is_no = claims == NULL && why && strstr(why, reason) != NULL;

    json_decref(claims);
    return is_no;
}

TEST(a_signed_token_verifies)
{
    struct issuer i;
    const char *why;
    json_t *claims;

    open_issuer(&i, "k1", 2000);
    claims = jwt_verify(i.token, i.set, ISSUER, 1000, &why);
    CHECK(claims != NULL);
    CHECK(strcmp(json_string_value(json_object_get(claims, "tenant")), "tenant-a") == 0);
    CHECK(jwt_set_has_key(i.set, i.token));
    json_decref(claims);
    close_issuer(&i);
}

TEST(what_is_not_signed_so_is_refused)
{
    struct issuer a, b, same_kid;
    char *broken;

    open_issuer(&a, "k1", 2000);
    open_issuer(&b, "k2", 2000);
    open_issuer(&same_kid, "k1", 2000);
    broken = strdup(a.token);
    CHECK(broken != NULL);
    broken[strlen(broken) / 2] = broken[strlen(broken) / 2] == 'A' ? 'B' : 'A';
    CHECK(is_refused(broken, a.set, "signature"));
    CHECK(is_refused(b.token, a.set, "unknown"));
    CHECK(is_refused(same_kid.token, a.set, "signature"));
    CHECK(is_refused("", a.set, "no token"));
    CHECK(is_refused("a.b", a.set, "no token"));
    /* {"alg":"none"} */
    CHECK(is_refused("eyJhbGciOiJub25lIn0.e30.", a.set, "RS256"));
    CHECK(!jwt_set_has_key(a.set, b.token));
    CHECK(!jwt_set_has_key(NULL, a.token));
    free(broken);
    close_issuer(&a);
    close_issuer(&b);
    close_issuer(&same_kid);
}

TEST(an_expired_token_and_another_issuer_are_refused)
{
    struct issuer i;
    const char *why;

    open_issuer(&i, "k1", 1000);
    CHECK(is_refused(i.token, i.set, "expired"));
    CHECK(jwt_verify(i.token, i.set, "other", 10, &why) == NULL);
    CHECK(strstr(why, "issuer") != NULL);
    close_issuer(&i);
}
