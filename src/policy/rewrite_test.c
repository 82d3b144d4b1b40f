/* Path and host rewrites, with the Gateway API's table for prefixes. */
#include "policy/rewrite.h"

#include "test/harness/test.h"

TEST(prefix_replacement_follows_the_specification)
{
    static const struct {
        const char *path, *prefix, *value, *result;
    } cases[] = {
        {"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
        {"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
        {"/foo", "/foo", "/xyz", "/xyz"},
        {"/foo/", "/foo", "/xyz", "/xyz/"},
        {"/foo/bar", "/foo", "", "/bar"},
        {"/foo/", "/foo", "", "/"},
        {"/foo", "/foo", "", "/"},
        {"/foo/", "/foo", "/", "/"},
        {"/foo", "/foo", "/", "/"},
        {"/foo/bar", "", "/xyz", "/xyz/foo/bar"},
        {"/", "", "/xyz", "/xyz/"},
        {"/", "", "/", "/"},
    };
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct path_rewrite r;
        struct str result;

        path_rewrite_init(&r, &a, PATH_REWRITE_PREFIX, str_of(cases[i].value));
        CHECK_INT(
            path_rewrite_apply(&r, str_of(cases[i].path), strlen(cases[i].prefix), &a, &result), 0);
        CHECK_MSG(str_eq(result, str_of(cases[i].result)), "%s %s -> %s: %.*s", cases[i].path,
                  cases[i].prefix, cases[i].value, STR_ARG(result));
    }
    arena_deinit(&a);
}

TEST(regex_replacement_uses_groups)
{
    static const struct {
        const char *path, *pattern, *value, *result; /* result NULL: refused */
    } cases[] = {
        {"/service/foo/v1/api", "^/service/([^/]+)(/.*)$", "\\2/instance/\\1",
         "/v1/api/instance/foo"},
        {"/xxx/one/yyy/one/zzz", "one", "two", "/xxx/two/yyy/two/zzz"},
        {"/aaa/XxX/bbb", "(?i)/xxx/", "/yyy/", "/aaa/yyy/bbb"},
        {"/a/b", "nothing", "x", "/a/b"},
        {"/a", "a*$", "b", "/b"},
        {"/a", "^/", "", NULL},
        {"/a/x", "^/a/(.*)$", "/\\1/../../b", NULL},
        {"/a/x", "^/a/(.*)$", "/\\1/../b", "/b"},
        {"/a", "^(/a)$", "\\\\\\1", NULL},
        {"/a", "^/a$", "/k\\0", "/k/a"},
    };
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct path_rewrite r;
        struct str result;

        CHECK_INT(
            path_rewrite_init_regex(&r, &a, str_of(cases[i].pattern), str_of(cases[i].value), NULL),
            0);
        int code = path_rewrite_apply(&r, str_of(cases[i].path), 0, &a, &result);

        CHECK_MSG((code == 0) == (cases[i].result != NULL), "%s on %s: %d", cases[i].pattern,
                  cases[i].path, code);
        if (code == 0)
            CHECK_STR(result, cases[i].result);
    }
    arena_deinit(&a);
}

TEST(regex_replacement_is_bounded)
{
    struct arena a;
    struct path_rewrite r;
    struct str result;
    static char path[4001];
    static char value[1001];

    arena_init(&a, 1024);
    memset(path, '/', 1);
    memset(path + 1, 'a', sizeof path - 2);
    memset(value, 'b', sizeof value - 1);
    CHECK_INT(path_rewrite_init_regex(&r, &a, STR("aaaaaaaaaaaaaaaaaaaa"), str_of(value), NULL), 0);
    CHECK_INT(path_rewrite_apply(&r, str_of(path), 0, &a, &result), REWRITE_REFUSED);
    CHECK_INT(path_rewrite_init_regex(&r, &a, STR("a"), STR("b"), NULL), 0);
    CHECK_INT(path_rewrite_apply(&r, str_of(path), 0, &a, &result), REWRITE_REFUSED);
    CHECK_INT(path_rewrite_init_regex(&r, &a, STR("(a|aa)+[bd]c"), STR(""), NULL), 0);
    CHECK_INT(
        path_rewrite_apply(&r, STR("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"), 0, &a, &result),
        REWRITE_REFUSED);
    arena_deinit(&a);
}

TEST(bad_substitutions_are_refused_at_compile_time)
{
    struct arena a;
    struct path_rewrite r;

    arena_init(&a, 1024);
    CHECK_INT(path_rewrite_init_regex(&r, &a, STR("(a)"), STR("\\2"), NULL),
              REWRITE_BAD_SUBSTITUTION);
    CHECK_INT(path_rewrite_init_regex(&r, &a, STR("(a)"), STR("x\\"), NULL),
              REWRITE_BAD_SUBSTITUTION);
    CHECK_INT(path_rewrite_init_regex(&r, &a, STR("(a)"), STR("\\n"), NULL),
              REWRITE_BAD_SUBSTITUTION);
    CHECK_INT(path_rewrite_init_regex(&r, &a, STR("(a"), STR(""), NULL), REWRITE_BAD_REGEX);
    arena_deinit(&a);
}

TEST(full_path_and_host_rewrites)
{
    struct arena a;
    struct path_rewrite full;
    struct str result;
    struct http_request request = {.authority = STR("a.com:8080")};
    struct host_rewrite none = {0};
    struct host_rewrite literal = {.kind = HOST_REWRITE_LITERAL, .value = STR("b.com")};
    struct host_rewrite header = {.kind = HOST_REWRITE_HEADER, .value = STR("x-host")};
    struct host_rewrite backend = {.kind = HOST_REWRITE_BACKEND, .value = STR("")};

    arena_init(&a, 1024);
    path_rewrite_init(&full, &a, PATH_REWRITE_FULL, STR("/all"));
    CHECK_INT(path_rewrite_apply(&full, STR("/foo/bar"), 4, &a, &result), 0);
    CHECK_STR(result, "/all");
    http_headers_init(&request.headers, &a);
    CHECK_STR(host_rewrite_apply(&none, &request, STR("up")), "a.com:8080");
    CHECK_STR(host_rewrite_apply(&literal, &request, STR("up")), "b.com");
    CHECK_STR(host_rewrite_apply(&backend, &request, STR("up")), "up");
    CHECK_STR(host_rewrite_apply(&backend, &request, STR("")), "a.com:8080");
    CHECK_STR(host_rewrite_apply(&header, &request, STR("up")), "a.com:8080");
    http_headers_add(&request.headers, STR("x-host"), STR("c.com"));
    CHECK_STR(host_rewrite_apply(&header, &request, STR("up")), "c.com");
    http_headers_set(&request.headers, STR("x-host"), STR("not a host"));
    CHECK_STR(host_rewrite_apply(&header, &request, STR("up")), "a.com:8080");
    arena_deinit(&a);
}
