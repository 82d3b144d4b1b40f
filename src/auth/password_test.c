/* Password hashes: what is accepted, what is refused as it is written, and what a password fits. */
#include "auth/password.h"

#include "base/macro.h"
#include "test/harness/test.h"

#define BCRYPT_TAIL "abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SHA256_TAIL "saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA"
#define SHA512_TAIL                                                                                \
    "saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq."       \
    "H91p5hVO1"

/* All of "secret". */
static const char *const good[] = {
    "$2y$04$" BCRYPT_TAIL,
    "$2a$04$" BCRYPT_TAIL,
    "$2b$04$" BCRYPT_TAIL,
    "$5$" SHA256_TAIL,
    "$6$" SHA512_TAIL,
    "$5$rounds=1000$ZiqJVXROok81d6r9$K5LU1uyzcUBiPCQ9TiPKdrkMSVsjm0Gwva/Os.y9ip4",
    "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
};

TEST(every_known_scheme_takes_its_password_and_no_other)
{
    static const char *const wrong[] = {"", "Secret", "secre", "secret ", "secrets"};

    for (size_t i = 0; i < N_ELEMENTS(good); i++) {
        struct str hash = str_of(good[i]);

        CHECK_MSG(password_check_hash(hash) == 0, "%s", good[i]);
        CHECK_MSG(password_verify(hash, STR("secret")), "%s", good[i]);
        for (size_t k = 0; k < N_ELEMENTS(wrong); k++)
            CHECK_MSG(!password_verify(hash, str_of(wrong[k])), "%s: \"%s\"", good[i], wrong[k]);
        CHECK(password_is_slow(hash) == (good[i][0] == '$'));
    }
}

TEST(a_password_with_a_nul_or_beyond_the_bound_fits_nothing)
{
    char room[PASSWORD_BYTES_MAX + 2];

    memset(room, 'x', sizeof room);
    for (size_t i = 0; i < N_ELEMENTS(good); i++) {
        CHECK(!password_verify(str_of(good[i]), STR("secret\0")));
        CHECK(!password_verify(str_of(good[i]), str_make(room, sizeof room)));
    }
}

TEST(hashes_that_are_refused)
{
    static const struct {
        const char *hash;
        int result;
    } rows[] = {
        {"", PASSWORD_UNKNOWN_SCHEME},
        {"secret", PASSWORD_UNKNOWN_SCHEME},
        {"$apr1$salt$hash", PASSWORD_UNKNOWN_SCHEME},
        {"$1$salt$hash", PASSWORD_UNKNOWN_SCHEME},
        {"$2x$04$" BCRYPT_TAIL, PASSWORD_UNKNOWN_SCHEME},
        {"$y$j9T$salt$hash", PASSWORD_UNKNOWN_SCHEME},
        {"{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", PASSWORD_UNKNOWN_SCHEME},
        {"$2y$13$" BCRYPT_TAIL, PASSWORD_TOO_COSTLY},
        {"$2y$31$" BCRYPT_TAIL, PASSWORD_TOO_COSTLY},
        {"$2y$03$" BCRYPT_TAIL, PASSWORD_MALFORMED},
        {"$2y$4$" BCRYPT_TAIL, PASSWORD_MALFORMED},
        {"$2y$-4$" BCRYPT_TAIL, PASSWORD_MALFORMED},
        {"$2y$04$abc", PASSWORD_MALFORMED},
        {"$2y$", PASSWORD_MALFORMED},
        {"$2y$04$" BCRYPT_TAIL "x", PASSWORD_MALFORMED},
        {"$5$rounds=500001$" SHA256_TAIL, PASSWORD_TOO_COSTLY},
        {"$6$rounds=999999999$" SHA512_TAIL, PASSWORD_TOO_COSTLY},
        {"$6$rounds=99999999999999999999$" SHA512_TAIL, PASSWORD_MALFORMED},
        {"$5$rounds=x$" SHA256_TAIL, PASSWORD_MALFORMED},
        {"$5$rounds=10$" SHA256_TAIL, PASSWORD_MALFORMED},
        {"$5$", PASSWORD_MALFORMED},
        {"$5$salt", PASSWORD_MALFORMED},
        {"$5$" SHA512_TAIL, PASSWORD_MALFORMED},
        {"$5$12345678901234567$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA", PASSWORD_MALFORMED},
        {"$6$sa:t$" SHA512_TAIL, PASSWORD_MALFORMED},
        {"{SHA}", PASSWORD_MALFORMED},
        {"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ", PASSWORD_MALFORMED},
        {"{SHA}AAAA", PASSWORD_MALFORMED},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        CHECK_MSG(password_check_hash(str_of(rows[i].hash)) == rows[i].result, "%s", rows[i].hash);
        CHECK(password_problem_text(rows[i].result)[0] == 'a');
    }
}
