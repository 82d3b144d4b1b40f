/* What surrounds verification: claims by path, remembered tokens, limited failures, extraction,
 * base64url. */
#include "auth/token_memory.h"

#include "auth/base64url.h"
#include "auth/extract.h"
#include "auth/failure_limit.h"
#include "auth/issuer_testing.h"
#include "base/limits.h"
#include "base/mem.h"
#include "test/harness/memory.h"
#include "test/harness/test.h"

static const struct jwt_provider any_provider = {{"any", 3}, {NULL, 0}, NULL, 0};

/* The claims of a token with this payload. */
static struct jwt_claims *claims_of(const char *payload)
{
    static struct arena a;
    static EVP_PKEY *key;
    static struct jwks *keys;
    static const char *last_payload;
    static struct str token;
    struct jwt_claims *claims;

    if (!key) {
        arena_init(&a, 65536);
        key = issuer_key(&a, "ED25519");
        struct str jwk = issuer_jwk(&a, key, "");

        CHECK(jwks_new(issuer_set(&a, &jwk, 1), &keys) == 0);
    }
    if (payload != last_payload)
        token = issuer_sign(&a, key, "EdDSA", "{\"alg\":\"EdDSA\"}", payload);
    last_payload = payload;
    CHECK_MSG(jwt_verify(token, &any_provider, keys, 1000, &claims) == 0, "%s", payload);
    return claims;
}

/* ---- claims ---- */

TEST(claims_are_found_by_path)
{
    struct jwt_claims *c = claims_of(
        "{\"sub\":\"user-a\",\"realm\":{\"roles\":[\"r1\",\"r2\",7],\"deep\":{\"x\":\"y\"}},"
        "\"a.b\":\"dotted\",\"a\":{\"b\":\"nested\"},\"n\":7,\"scope\":\"read  write\","
        "\"scp\":[\"admin\"]}");

    CHECK_STR(jwt_claim_string(c, STR("sub")), "user-a");
    CHECK_STR(jwt_claim_string(c, STR("realm.deep.x")), "y");
    CHECK_STR(jwt_claim_string(c, STR("a.b")), "dotted");
    CHECK(jwt_claim_type(c, STR("realm.roles")) == CLAIM_IS_LIST);
    CHECK(jwt_claim_type(c, STR("realm")) == CLAIM_IS_OTHER);
    CHECK(jwt_claim_type(c, STR("n")) == CLAIM_IS_OTHER);
    CHECK(jwt_claim_type(c, STR("sub")) == CLAIM_IS_STRING);
    CHECK(jwt_claim_type(c, STR("none")) == CLAIM_ABSENT);
    CHECK(jwt_claim_type(c, STR("sub.x")) == CLAIM_ABSENT);
    CHECK(jwt_claim_type(c, STR("realm.")) == CLAIM_ABSENT);
    CHECK(jwt_claim_type(c, STR("")) == CLAIM_ABSENT);
    CHECK(jwt_claim_list_has(c, STR("realm.roles"), STR("r2")));
    CHECK(!jwt_claim_list_has(c, STR("realm.roles"), STR("r3")));
    CHECK(!jwt_claim_list_has(c, STR("realm.roles"), STR("7")));
    CHECK(jwt_claim_list_has(c, STR("sub"), STR("user-a")));
    CHECK(jwt_claims_have_scope(c, STR("write")));
    CHECK(jwt_claims_have_scope(c, STR("admin")));
    CHECK(!jwt_claims_have_scope(c, STR("writ")));
    jwt_claims_free(c);
    jwt_claims_free(NULL);
}

TEST(claims_become_header_values)
{
    static const struct {
        const char *path, *expected;
    } rows[] = {
        {"s", "text"},
        {"padded", "in"},
        {"i", "-7"},
        {"t", "true"},
        {"f", "false"},
        {"r", "1.5"},
        {"null", NULL},
        {"none", NULL},
        {"l", "WyJhIiwxXQ"},
        {"o", "eyJ4Ijp7fX0"},
        {"crlf", NULL},
        {"bell", NULL},
        {"e", "d\xc3\xa9j\xc3\xa0"},
    };
    struct jwt_claims *c =
        claims_of("{\"s\":\"text\",\"padded\":\" in \",\"i\":-7,\"t\":true,\"f\":false,\"r\":1.5,"
                  "\"null\":null,\"l\":[\"a\",1],\"o\":{\"x\":{}},\"crlf\":\"a\\r\\nx-tenant: b\","
                  "\"bell\":\"\\u0007\",\"e\":\"d\\u00e9j\\u00e0\"}");
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str text = jwt_claim_text(c, str_of(rows[i].path), &a);

        CHECK_MSG(str_eq(text, str_of(rows[i].expected)), "%s: %.*s", rows[i].path, STR_ARG(text));
    }
    arena_deinit(&a);
    jwt_claims_free(c);
}

TEST(a_remembered_token_is_checked_again)
{
    static const struct str audience[] = {{"a", 1}};
    struct jwt_provider p = {{"p", 1}, {"box", 3}, audience, 1};
    struct jwt_claims *c = claims_of("{\"iss\":\"box\",\"aud\":\"a\",\"exp\":2000,\"nbf\":900}");

    CHECK_INT(jwt_claims_check(c, &p, 1000), 0);
    CHECK_INT(jwt_claims_check(c, &p, 2060), JWT_EXPIRED);
    CHECK_INT(jwt_claims_check(c, &p, 800), JWT_NOT_YET_VALID);
    p.issuer = STR("other");
    CHECK_INT(jwt_claims_check(c, &p, 1000), JWT_WRONG_ISSUER);
    p.issuer = STR("box");
    p.audiences = &(struct str){"b", 1};
    CHECK_INT(jwt_claims_check(c, &p, 1000), JWT_WRONG_AUDIENCE);
    jwt_claims_free(c);
}

TEST(large_claims_weigh_what_they_hold)
{
    struct jwt_claims *small = claims_of("{\"a\":1}");
    struct jwt_claims *many = claims_of("{\"a\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}");

    CHECK(jwt_claims_bytes(many) > jwt_claims_bytes(small) + 800);
    jwt_claims_free(small);
    jwt_claims_free(many);
}

/* ---- memory ---- */

TEST(a_token_is_found_only_whole_and_for_its_provider)
{
    struct token_memory m;
    struct token_entry *e;

    token_memory_init(&m);
    CHECK(!token_memory_find(&m, STR("abc.def.ghi"), 1, 1));
    e = token_memory_add(&m, STR("abc.def.ghi"), 1, 1, claims_of("{\"sub\":\"x\"}"));
    token_entry_unpin(e);
    e = token_memory_find(&m, STR("abc.def.ghi"), 1, 1);
    CHECK(e && str_eq(jwt_claim_string(e->claims, STR("sub")), STR("x")));
    token_entry_unpin(e);
    CHECK(!token_memory_find(&m, STR("abc.def.ghj"), 1, 1));
    CHECK(!token_memory_find(&m, STR("abc.def.gh"), 1, 1));
    CHECK(!token_memory_find(&m, STR("abc.def.ghi"), 2, 1));
    CHECK(!token_memory_find(&m, STR("abc.def.ghi"), 1, 1ULL << 40));
    token_memory_deinit(&m);
    token_memory_deinit(&m);
}

TEST(a_pinned_entry_outlives_its_eviction)
{
    struct token_memory m;
    char name[32];

    token_memory_init(&m);
    struct token_entry *pinned = token_memory_add(&m, STR("first"), 1, 1, claims_of("{\"n\":1}"));

    for (int i = 0; i < LIMIT_TOKEN_MEMORY_ENTRIES; i++) {
        snprintf(name, sizeof name, "t%d", i);
        token_entry_unpin(token_memory_add(&m, str_of(name), 1, 1, claims_of("{}")));
    }
    CHECK_INT(m.recent.n_nodes, LIMIT_TOKEN_MEMORY_ENTRIES);
    CHECK(!token_memory_find(&m, STR("first"), 1, 1));
    CHECK(jwt_claim_type(pinned->claims, STR("n")) == CLAIM_IS_OTHER);
    token_entry_unpin(pinned);
    token_memory_deinit(&m);
}

TEST(what_is_used_stays_and_the_oldest_leaves)
{
    struct token_memory m;
    char name[32];

    token_memory_init(&m);
    for (int i = 0; i < LIMIT_TOKEN_MEMORY_ENTRIES; i++) {
        snprintf(name, sizeof name, "t%d", i);
        token_entry_unpin(token_memory_add(&m, str_of(name), 1, 1, claims_of("{}")));
    }
    token_entry_unpin(token_memory_find(&m, STR("t0"), 1, 1));
    token_entry_unpin(token_memory_add(&m, STR("new"), 1, 1, claims_of("{}")));

    struct token_entry *e = token_memory_find(&m, STR("t0"), 1, 1);

    CHECK(e);
    CHECK(!token_memory_find(&m, STR("t1"), 1, 1));
    token_memory_forget(&m, e);
    token_memory_forget(&m, e);
    CHECK(!token_memory_find(&m, STR("t0"), 1, 1));
    token_entry_unpin(e);
    token_memory_deinit(&m);
}

TEST(remembered_bytes_are_bounded)
{
    struct token_memory m;
    static char token[LIMIT_TOKEN_BYTES];

    token_memory_init(&m);
    for (int i = 0; i < 2000; i++) {
        snprintf(token, sizeof token, "%08d", i);
        token_entry_unpin(
            token_memory_add(&m, str_make(token, sizeof token), 1, 1, claims_of("{}")));
        CHECK(m.n_bytes <= LIMIT_TOKEN_MEMORY_BYTES);
    }
    CHECK(m.recent.n_nodes < 600);
    token_memory_deinit(&m);
    CHECK_INT(m.n_bytes, 0);
}

/* ---- failures ---- */

TEST(failures_are_limited_per_address_and_window)
{
    static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1};
    static const uint8_t v4_other[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2};
    static const uint8_t v6[16] = {0x20, 1, [15] = 1};
    static const uint8_t v6_neighbour[16] = {0x20, 1, [8] = 9, [15] = 2};
    static const uint8_t v6_other[16] = {0x20, 1, [7] = 1, [15] = 1};
    struct failure_limit f;

    failure_limit_init(&f);
    CHECK(!failure_limit_is_over(&f, v4, 5));
    for (int i = 0; i < FAILURE_LIMIT_PER_WINDOW; i++) {
        CHECK(!failure_limit_is_over(&f, v4, 5));
        failure_limit_note(&f, v4, 5);
        failure_limit_note(&f, v6, 5);
    }
    CHECK(failure_limit_is_over(&f, v4, 6));
    CHECK(!failure_limit_is_over(&f, v4_other, 6));
    CHECK(failure_limit_is_over(&f, v6_neighbour, 6));
    CHECK(!failure_limit_is_over(&f, v6_other, 6));
    CHECK(!failure_limit_is_over(&f, v4, 5 + FAILURE_LIMIT_WINDOW_US));
    failure_limit_deinit(&f);
    failure_limit_deinit(&f);
}

/* ---- extraction ---- */

TEST(a_bearer_token_is_taken_out)
{
    static const struct {
        const char *value;
        enum extract_result result;
        const char *token;
    } rows[] = {
        {"Bearer a.b.c", EXTRACT_TOKEN, "a.b.c"},    {"bearer a.b.c", EXTRACT_TOKEN, "a.b.c"},
        {"BEARER   a.b.c ", EXTRACT_TOKEN, "a.b.c"}, {"Bearer", EXTRACT_MALFORMED, NULL},
        {"Bearer ", EXTRACT_MALFORMED, NULL},        {"Bearer a b", EXTRACT_TOKEN, "a b"},
        {"Bearer a,b", EXTRACT_TOKEN, "a,b"},        {"Bearer\ta.b.c", EXTRACT_MALFORMED, NULL},
        {"Bearer a\"b", EXTRACT_TOKEN, "a\"b"},      {"Bearera.b.c", EXTRACT_NONE, NULL},
        {"Basic dXNlcg==", EXTRACT_NONE, NULL},      {"", EXTRACT_NONE, NULL},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str token = STR_NULL;

        CHECK_MSG(extract_bearer(str_of(rows[i].value), &token) == rows[i].result, "%s",
                  rows[i].value);
        if (rows[i].token)
            CHECK_STR(token, rows[i].token);
    }
}

TEST(a_token_is_taken_from_behind_its_prefix)
{
    struct str token = STR_NULL;

    CHECK(extract_prefixed(STR("Token a.b.c"), STR("Token "), &token) == EXTRACT_TOKEN);
    CHECK_STR(token, "a.b.c");
    CHECK(extract_prefixed(STR("a.b.c"), STR(""), &token) == EXTRACT_TOKEN);
    CHECK_STR(token, "a.b.c");
    CHECK(extract_prefixed(STR("a.b.c"), STR("Token "), &token) == EXTRACT_NONE);
    CHECK(extract_prefixed(STR("Token "), STR("Token "), &token) == EXTRACT_MALFORMED);
    CHECK(extract_prefixed(STR(""), STR(""), &token) == EXTRACT_MALFORMED);
}

/* ---- base64url ---- */

TEST(base64url_is_strict)
{
    static const struct {
        const char *text;
        int n;
    } rows[] = {
        {"", 0},
        {"AA", 1},
        {"AAA", 2},
        {"AAAA", 3},
        {"A", -1},
        {"AAAAA", -1},
        {"AB", -1},
        {"AAB", -1},
        {"AA==", -1},
        {"AA=", -1},
        {"A A", -1},
        {"AA\n", -1},
        {"AA+", -1},
        {"A/A", -1},
        {"_-A", 2},
        {"A.A", -1},
        {"\xff"
         "A",
         -1},
    };
    unsigned char bytes[64];
    char text[128];

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_MSG(base64url_decode(str_of(rows[i].text), bytes, sizeof bytes) == rows[i].n, "%s",
                  rows[i].text);
    CHECK(base64url_decode(STR("AAAA"), bytes, 2) == -1);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        unsigned char original[64];

        for (size_t i = 0; i < n; i++)
            original[i] = (unsigned char)(i * 37 + n);
        size_t len = base64url_encode(original, n, text);

        CHECK(len == base64url_length(n));
        CHECK(base64url_decode(str_make(text, len), bytes, sizeof bytes) == (ssize_t)n);
        CHECK(n == 0 || memcmp(bytes, original, n) == 0);
    }
}

TEST(tokens_are_wiped_when_they_are_forgotten)
{
    enum { TOKEN_BYTES = 500 };
    char token[TOKEN_BYTES];
    struct token_memory m;
    struct token_entry *e;

    if (!test_memory_begin())
        return;
    token_memory_init(&m);
    test_secret_write(token, sizeof token);
    e = token_memory_add(&m, str_make(token, sizeof token), 1, 1, claims_of("{\"sub\":\"a\"}"));
    token_memory_forget(&m, e);
    CHECK_INT(test_secret_count(TOKEN_BYTES), 1); /* pinned */
    token_entry_unpin(e);
    CHECK_INT(test_secret_count(TOKEN_BYTES), 0);
    token_memory_deinit(&m);
}
