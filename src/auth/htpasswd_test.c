/* .htpasswd files: users, and what is wrong with a file, told by line and user. */
#include "auth/htpasswd.h"

#include "base/macro.h"
#include "base/mem.h"
#include "test/harness/memory.h"
#include "test/harness/test.h"

#define SHA "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="

TEST(users_are_found_with_their_hashes)
{
    struct htpasswd *h = NULL;
    struct htpasswd_problem problem;
    struct str hash;

    CHECK_INT(htpasswd_new(STR("# comment\n\nalice:" SHA "\r\nbob smith:" SHA "\n"), &h, &problem),
              0);
    CHECK_INT(htpasswd_count(h), 2);
    CHECK(htpasswd_find(h, STR("alice"), &hash));
    CHECK_STR(hash, SHA);
    CHECK(htpasswd_find(h, STR("bob smith"), &hash));
    CHECK(!htpasswd_find(h, STR("Alice"), &hash));
    htpasswd_unref(h);
}

TEST(an_unknown_user_gets_a_hash_to_compute_and_always_the_same)
{
    struct htpasswd *h = NULL;
    struct htpasswd_problem problem;
    struct str one, two;

    CHECK_INT(htpasswd_new(STR("a:" SHA "\nb:"
                               "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA"),
                           &h, &problem),
              0);
    CHECK(!htpasswd_find(h, STR("nobody"), &one));
    CHECK(!htpasswd_find(h, STR("nobody"), &two));
    CHECK(one.len > 0 && one.ptr == two.ptr);
    htpasswd_unref(h);
}

TEST(a_bad_file_is_refused_with_line_and_user)
{
    static const struct {
        const char *text;
        int result;
        unsigned line;
        const char *user;
        int hash_result;
    } rows[] = {
        {"", HTPASSWD_NO_USER, 1, "", 0},
        {"\n# nobody", HTPASSWD_NO_USER, 2, "", 0},
        {"alice\n", HTPASSWD_BAD_LINE, 1, "", 0},
        {"a:" SHA "\n:" SHA "\n", HTPASSWD_BAD_LINE, 2, "", 0},
        {"a:" SHA "\nb:" SHA "\na:" SHA, HTPASSWD_USER_TWICE, 3, "a", 0},
        {"a:" SHA "\nbob:plain\n", HTPASSWD_BAD_HASH, 2, "bob", PASSWORD_UNKNOWN_SCHEME},
        {"bob:$2y$14$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n", HTPASSWD_BAD_HASH, 1,
         "bob", PASSWORD_TOO_COSTLY},
        {"bob:" SHA " \n", HTPASSWD_BAD_HASH, 1, "bob", PASSWORD_MALFORMED},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct htpasswd *h = NULL;
        struct htpasswd_problem problem;

        CHECK_MSG(htpasswd_new(str_of(rows[i].text), &h, &problem) == rows[i].result, "row %zu", i);
        CHECK(h == NULL);
        CHECK_INT(problem.line, rows[i].line);
        CHECK_STR(problem.user, rows[i].user);
        CHECK_INT(problem.hash_result, rows[i].hash_result);
    }
}

TEST(hashes_are_wiped_with_their_file)
{
    enum { HASH_BYTES = 43 };
    static const char head[] = "alice:$5$saltsalt$";
    char line[sizeof head + HASH_BYTES];
    struct htpasswd *h = NULL;
    struct htpasswd_problem problem;

    if (!test_memory_begin())
        return;
    memcpy(line, head, sizeof head);
    test_secret_write(line + sizeof head - 1, HASH_BYTES);
    CHECK_INT(htpasswd_new(str_make(line, sizeof head - 1 + HASH_BYTES), &h, &problem), 0);
    CHECK_INT(test_secret_count(HASH_BYTES), 1);
    htpasswd_unref(h);
    CHECK_INT(test_secret_count(HASH_BYTES), 0);
}
