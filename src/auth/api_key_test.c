/* Sets of API keys, and base64 with padding. */
#include "auth/api_key.h"

#include "auth/base64url.h"
#include "auth/credential_digest.h"
#include "base/macro.h"
#include "test/harness/test.h"

TEST(a_key_names_its_client_and_only_the_whole_key_does)
{
    struct api_keys *k = api_keys_new();
    static const char *const wrong[] = {"", "k", "key-on", "key-one ", "KEY-ONE", "key-three"};
    struct str client;

    CHECK_INT(api_keys_add(k, STR("one"), STR("key-one")), 0);
    CHECK_INT(api_keys_add(k, STR("two"), STR("key-two")), 0);
    CHECK_INT(api_keys_count(k), 2);
    CHECK(api_keys_find(k, STR("key-one"), &client));
    CHECK_STR(client, "one");
    CHECK(api_keys_find(k, STR("key-two"), &client));
    CHECK_STR(client, "two");
    for (size_t i = 0; i < N_ELEMENTS(wrong); i++)
        CHECK_MSG(!api_keys_find(k, str_of(wrong[i]), &client), "\"%s\"", wrong[i]);
    api_keys_unref(k);
}

TEST(an_empty_key_and_a_key_of_two_clients_are_refused)
{
    struct api_keys *k = api_keys_new();

    CHECK_INT(api_keys_add(k, STR("one"), STR("")), API_KEY_EMPTY);
    CHECK_INT(api_keys_add(k, STR("one"), STR("key")), 0);
    CHECK_INT(api_keys_add(k, STR("two"), STR("key")), API_KEY_TAKEN);
    api_keys_unref(k);
}

TEST(of_a_client_given_twice_the_first_key_counts)
{
    struct api_keys *k = api_keys_new();
    struct str client;

    CHECK_INT(api_keys_add(k, STR("one"), STR("first")), 0);
    CHECK_INT(api_keys_add(k, STR("one"), STR("second")), 0);
    CHECK(api_keys_find(k, STR("first"), &client));
    CHECK(!api_keys_find(k, STR("second"), &client));
    api_keys_unref(k);
}

TEST(a_set_lives_until_its_last_reference)
{
    struct api_keys *k = api_keys_ref(api_keys_new());
    struct str client;

    CHECK_INT(api_keys_add(k, STR("one"), STR("key")), 0);
    api_keys_unref(k);
    CHECK(api_keys_find(k, STR("key"), &client));
    api_keys_unref(k);
    api_keys_unref(NULL);
}

TEST(a_digest_tells_where_its_parts_end)
{
    const struct str ab_c[] = {STR("ab"), STR("c")};
    const struct str a_bc[] = {STR("a"), STR("bc")};
    struct credential_digest one, two, again;

    credential_digest_make(&one, ab_c, 2);
    credential_digest_make(&two, a_bc, 2);
    credential_digest_make(&again, ab_c, 2);
    CHECK(!credential_digest_eq(&one, &two));
    CHECK(credential_digest_eq(&one, &again));
}

TEST(base64_is_strict_about_padding_and_alphabet)
{
    static const struct {
        const char *text;
        const char *bytes; /* NULL: refused */
    } rows[] = {
        {"", ""},        {"YQ==", "a"},      {"YWI=", "ab"}, {"YWJj", "abc"},
        {"dTpw", "u:p"}, {"Pz8/", "\?\?\?"}, {"YQ", NULL},   {"YQ=", NULL},
        {"YWI", NULL},   {"YR==", NULL},     {"Y===", NULL}, {"====", NULL},
        {"YW Jj", NULL}, {"YWJj\n", NULL},   {"Pz8_", NULL}, {"YQ==YQ==", NULL},
    };
    unsigned char room[16];

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        ssize_t n = base64_decode(str_of(rows[i].text), room, sizeof room);

        if (rows[i].bytes)
            CHECK_MSG(n == (ssize_t)strlen(rows[i].bytes) &&
                          memcmp(room, rows[i].bytes, (size_t)n) == 0,
                      "%s", rows[i].text);
        else
            CHECK_MSG(n < 0, "%s", rows[i].text);
    }
    CHECK_INT(base64_decode(STR("YWJj"), room, 2), -1);
}
