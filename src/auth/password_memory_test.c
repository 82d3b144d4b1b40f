/* Remembered passwords: by digest, for a time, and never more than there is room for. */
#include "auth/password_memory.h"

#include "base/limits.h"
#include "test/harness/test.h"

static struct credential_digest digest_of(const char *hash, const char *user, const char *password)
{
    struct credential_digest d;

    password_memory_digest(&d, str_of(hash), str_of(user), str_of(password));
    return d;
}

TEST(a_pair_is_believed_until_its_time_is_over)
{
    struct password_memory m = {0};
    struct credential_digest d = digest_of("h", "u", "p");

    CHECK(!password_memory_has(&m, &d, 1));
    password_memory_add(&m, &d, 1);
    CHECK(password_memory_has(&m, &d, 2));
    CHECK(password_memory_has(&m, &d, PASSWORD_MEMORY_US));
    CHECK(!password_memory_has(&m, &d, 1 + PASSWORD_MEMORY_US));
    password_memory_add(&m, &d, PASSWORD_MEMORY_US);
    CHECK(password_memory_has(&m, &d, 2 * PASSWORD_MEMORY_US - 1));
    password_memory_deinit(&m);
}

TEST(another_user_password_or_hash_is_another_pair)
{
    struct password_memory m = {0};
    struct credential_digest d = digest_of("h", "u", "p");
    struct credential_digest others[] = {digest_of("h2", "u", "p"), digest_of("h", "u2", "p"),
                                         digest_of("h", "u", "p2"), digest_of("h", "up", "")};

    password_memory_add(&m, &d, 1);
    for (size_t i = 0; i < N_ELEMENTS(others); i++)
        CHECK(!password_memory_has(&m, &others[i], 2));
    password_memory_deinit(&m);
}

TEST(memory_is_bounded_and_the_newest_stay)
{
    struct password_memory m = {0};
    struct credential_digest d;
    uint64_t n = 4 * (uint64_t)LIMIT_PASSWORD_MEMORY_ENTRIES;
    unsigned n_known = 0;
    char room[24];

    for (uint64_t i = 1; i <= n; i++) {
        snprintf(room, sizeof room, "%llu", (unsigned long long)i);
        d = digest_of("h", "u", room);
        password_memory_add(&m, &d, i);
        CHECK(password_memory_has(&m, &d, i));
    }
    for (uint64_t i = 1; i <= n; i++) {
        snprintf(room, sizeof room, "%llu", (unsigned long long)i);
        d = digest_of("h", "u", room);
        n_known += password_memory_has(&m, &d, n);
    }
    CHECK(n_known <= LIMIT_PASSWORD_MEMORY_ENTRIES);
    CHECK(n_known > LIMIT_PASSWORD_MEMORY_ENTRIES / 2);
    password_memory_deinit(&m);
}
