/* Regular expressions: full matches, the literal shortcut against the engine's meaning, limits,
 * captures, errors. */
#include "policy/regex.h"

#include <pthread.h>

#include "test/harness/test.h"

static enum regex_verdict match(const char *pattern, const char *subject)
{
    struct arena a;
    const struct regex *r = NULL;

    arena_init(&a, 1024);
    CHECK_INT(regex_compile(&a, str_of(pattern), &r, NULL), 0);
    enum regex_verdict verdict = regex_match(r, str_of(subject));
    arena_deinit(&a);
    return verdict;
}

TEST(matches_are_anchored_at_both_ends)
{
    static const struct {
        const char *pattern, *subject;
        enum regex_verdict verdict;
    } cases[] = {
        {"Bearer .*", "Bearer abc", REGEX_HIT},
        {"Bearer .*", "Bearer ", REGEX_HIT},
        {"Bearer .*", "bearer abc", REGEX_MISS},
        {"Bearer .*", "xBearer abc", REGEX_MISS},
        {"Bearer .*", "Bearer a\nb", REGEX_MISS},
        {"Bearer .+", "Bearer ", REGEX_MISS},
        {"Bearer .+", "Bearer x", REGEX_HIT},
        {".*", "", REGEX_HIT},
        {"", "", REGEX_HIT},
        {"", "x", REGEX_MISS},
        {"abc", "abc", REGEX_HIT},
        {"abc", "abcd", REGEX_MISS},
        {"a|ab", "ab", REGEX_HIT},
        {"a.c", "abc", REGEX_HIT},
        {"a\\.*", "a...", REGEX_HIT},
        {"a\\.*", "axx", REGEX_MISS},
        {"(?i)bearer .*", "BEARER x", REGEX_HIT},
        {"(?P<n>v[0-9]+)", "v12", REGEX_HIT},
        {"^/api/v[12]$", "/api/v2", REGEX_HIT},
        {"x$", "x\n", REGEX_MISS},
        {"[^/]+", "gr\xc3\xbc\xff", REGEX_HIT},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        CHECK_MSG(match(cases[i].pattern, cases[i].subject) == cases[i].verdict, "%s on %s",
                  cases[i].pattern, cases[i].subject);
    }
}

TEST(limit_is_no_miss)
{
    CHECK_INT(match("(a|aa)+[bd]", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"), REGEX_LIMIT);
}

TEST(bad_pattern_names_offset_and_reason)
{
    struct arena a;
    const struct regex *r = NULL;
    struct regex_error error;
    static char huge[2048];

    arena_init(&a, 1024);
    CHECK_INT(regex_compile(&a, STR("a[b"), &r, &error), REGEX_BAD_PATTERN);
    CHECK_INT(error.offset, 3);
    CHECK(strstr(error.text, "missing") != NULL);
    CHECK_INT(regex_compile(&a, STR("\\C"), &r, NULL), REGEX_BAD_PATTERN);
    memset(huge, 'a', sizeof huge);
    CHECK_INT(regex_compile(&a, str_make(huge, sizeof huge), &r, &error), REGEX_BAD_PATTERN);
    arena_deinit(&a);
}

TEST(search_gives_groups)
{
    struct arena a;
    const struct regex *r = NULL;
    struct regex_groups g;

    arena_init(&a, 1024);
    CHECK_INT(regex_compile(&a, STR("/(v[0-9])/(x)?"), &r, NULL), 0);
    CHECK_INT(regex_n_groups(r), 2);
    CHECK_INT(regex_search(r, STR("/api/v2/y"), 0, &g), REGEX_HIT);
    CHECK_STR(g.items[0], "/v2/");
    CHECK_STR(g.items[1], "v2");
    CHECK(g.items[2].ptr == NULL);
    CHECK_INT(regex_search(r, STR("/api/v2/y"), 5, &g), REGEX_MISS);
    arena_deinit(&a);
}

static void *match_on_thread(void *arg)
{
    const struct regex *r = arg;

    for (int i = 0; i < 100; i++)
        CHECK_INT(regex_match(r, STR("aXb")), REGEX_HIT);
    return NULL;
}

TEST(threads_share_one_pattern)
{
    struct arena a;
    const struct regex *r = NULL;
    pthread_t threads[4];

    arena_init(&a, 1024);
    CHECK_INT(regex_compile(&a, STR("a[XY]b"), &r, NULL), 0);
    for (size_t i = 0; i < N_ELEMENTS(threads); i++)
        CHECK_INT(pthread_create(&threads[i], NULL, match_on_thread, (void *)r), 0);
    for (size_t i = 0; i < N_ELEMENTS(threads); i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    arena_deinit(&a);
}
