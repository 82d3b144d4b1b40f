/* The one path, queries, cookies, forwarded hops, the byte classes, header names and lists. */
#include "http/path.h"

#include "http/cookie.h"
#include "http/forwarded.h"
#include "http/grammar.h"
#include "http/message.h"
#include "http/query.h"
#include "test/harness/test.h"

TEST(an_escaped_slash_may_be_one_before_anything_else_is_judged)
{
    static const struct {
        const char *raw, *path; /* NULL: refused */
        bool has_any;
    } table[] = {
        {"/a%2Fb", "/a/b", true},      {"/a%2fb%2F", "/a/b/", true},
        {"/a%2f..%2fb", "/b", true},   {"/%2f%2Fa", "/a", true},
        {"/a%2f.%2fb", "/a/b", true},  {"/a%252Fb", "/a%252Fb", false},
        {"/a/b", "/a/b", false},       {"/a%20b", "/a%20b", false},
        {"/a%2f%20", "/a/%20", true},  {"/%2f..%2fa", NULL, false},
        {"/a%2f..;%2fb", NULL, false}, {"/a%5cb", NULL, false},
        {"/a%2", NULL, false},         {"/a%00", NULL, false},
        {"%2fa", NULL, false},         {"/a%2f%2e%2e%2fb", "/b", true},
    };
    struct arena arena;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < N_ELEMENTS(table); i++) {
        struct str path;
        struct path_found found;
        int r = path_read(str_of(table[i].raw), PATH_UNESCAPES_SLASHES, &arena, &path, &found);

        CHECK_MSG((r == 0) == (table[i].path != NULL), "%s", table[i].raw);
        if (r == 0)
            CHECK_MSG(found.has_escaped_slash == table[i].has_any &&
                          str_eq(path, str_of(table[i].path)),
                      "%s", table[i].raw);
    }
    arena_deinit(&arena);
}

TEST(empty_segments_may_stay_and_are_segments_then)
{
    static const struct {
        const char *raw, *kept, *merged; /* NULL: refused */
    } table[] = {
        {"//", "//", "/"},
        {"//a///b//", "//a///b//", "/a/b/"},
        {"/a//../b", "/a/b", "/b"},
        {"/a//..", "/a/", "/"},
        {"/a//./b", "/a//b", "/a/b"},
        {"/a/.//b", "/a//b", "/a/b"},
        {"/%2e//%61", "//a", "/a"},
        {"/a//../..", "/", NULL},
        {"/a//..;/b", NULL, NULL},
        {"/a//%5cb", NULL, NULL},
        {"//..", "/", NULL},
        {"/..//a", NULL, NULL},
        {"/a%2f/b", NULL, NULL},
    };
    struct arena arena;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < N_ELEMENTS(table); i++) {
        struct str raw = str_of(table[i].raw);
        struct path_found found;
        struct str path, again;
        int r = path_read(raw, PATH_KEEPS_EMPTY, &arena, &path, &found);

        CHECK_MSG((r == 0) == (table[i].kept != NULL), "%s", table[i].raw);
        if (r == 0) {
            CHECK_STR(path, table[i].kept);
            CHECK_MSG(found.has_empty_segment, "%s", table[i].raw);
            CHECK_INT(path_read(path, PATH_KEEPS_EMPTY, &arena, &again, &found), 0);
            CHECK_STR(again, table[i].kept);
        }
        r = path_normalize(raw, &arena, &path);
        CHECK_MSG((r == 0) == (table[i].merged != NULL), "%s", table[i].raw);
        if (r == 0)
            CHECK_STR(path, table[i].merged);
    }
    arena_deinit(&arena);
}

TEST(a_path_without_empty_segments_is_read_alike)
{
    static const char *const table[] = {"/", "/a/b/", "/a/./b/../c", "/%41%20", "/a;b/..."};
    struct arena arena;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < N_ELEMENTS(table); i++) {
        struct path_found found;
        struct str kept, merged;

        CHECK_INT(path_read(str_of(table[i]), PATH_KEEPS_EMPTY, &arena, &kept, &found), 0);
        CHECK_INT(path_normalize(str_of(table[i]), &arena, &merged), 0);
        CHECK_MSG(str_eq(kept, merged) && !found.has_empty_segment, "%s", table[i]);
    }
    arena_deinit(&arena);
}

TEST(paths_are_normalized_once)
{
    static const struct {
        const char *raw, *path;
    } table[] = {
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/a/b/", "/a/b/"},
        {"//", "/"},
        {"//a///b//", "/a/b/"},
        {"/./a", "/a"},
        {"/a/.", "/a/"},
        {"/a/./b", "/a/b"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/../b", "/b"},
        {"/a/b/../..", "/"},
        {"/a/b/..", "/a/"},
        {"/a//../b", "/b"},
        {"/a/%2e%2E/b", "/b"},
        {"/%2e/a", "/a"},
        {"/.a/..b/...", "/.a/..b/..."},
        {"/%61%7e%2D%5f", "/a~-_"},
        {"/iris%3Apredict", "/iris:predict"},
        {"/iris%3apredict", "/iris:predict"},
        {"/a%20b%c3%a9%2c", "/a%20b%C3%A9%2C"},
        {"/%252e%252e/x", "/%252e%252e/x"},
        {"/%25%32%66", "/%252f"},
        {"/%0a", "/%0A"},
        {"/a;b=c/d", "/a;b=c/d"},
        {"/a%3bb", "/a%3Bb"},
        {"/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="},
        {"/{a}|^`\"<>", "/{a}|^`\"<>"},
    };
    struct arena arena;
    struct str path, again;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < N_ELEMENTS(table); i++) {
        CHECK_MSG(path_normalize(str_of(table[i].raw), &arena, &path) == 0, "%s", table[i].raw);
        CHECK_STR(path, table[i].path);
        /* What is normal stays as it is: nobody behind us finds a second meaning. */
        CHECK_MSG(path_normalize(path, &arena, &again) == 0 && str_eq(path, again), "%s",
                  table[i].raw);
    }
    arena_deinit(&arena);
}

TEST(doubtful_paths_are_refused)
{
    static const char *const table[] = {
        "",
        "a",
        "*",
        "/..",
        "/../a",
        "/a/../..",
        "/a/../../b",
        "/%2e%2e/a",
        "/a/%2e%2e/%2e%2e",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5C",
        "/a%00",
        "/a\\b",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a%4g",
        "/a b",
        "/a\tb",
        "/a\x7f",
        "/\xc3\xa9",
        "/a#b",
        "/a?b",
        "/a/..;/b",
        "/a/.;/b",
        "/..;x=1",
        "/a/%2e%2e;/b",
        "/a/..%3b/b",
        "/.//..",
        "/\x01",
    };
    struct arena arena;
    struct str path;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < N_ELEMENTS(table); i++)
        CHECK_MSG(path_normalize(str_of(table[i]), &arena, &path) == PATH_BAD, "%s", table[i]);
    arena_deinit(&arena);
}

TEST(plain_paths_are_borrowed)
{
    struct arena arena;
    struct str raw = STR("/v1/models/sklearn-iris:predict"), path;

    arena_init(&arena, 64);
    CHECK(path_normalize(raw, &arena, &path) == 0);
    CHECK(path.ptr == raw.ptr);
    CHECK_INT(arena.used_bytes, 0);
    arena_deinit(&arena);
}

TEST(query_parameters_are_found)
{
    struct arena arena;
    struct str value;
    struct str query = STR("a=1&&b&a=2&c%64=x+y%2Bz&e=%zz&=empty");

    arena_init(&arena, 256);
    CHECK(query_find(query, STR("a"), &arena, &value));
    CHECK_STR(value, "1");
    CHECK(query_find(query, STR("b"), &arena, &value));
    CHECK_STR(value, "");
    CHECK(query_find(query, STR("cd"), &arena, &value));
    CHECK_STR(value, "x y+z");
    CHECK(query_find(query, STR("e"), &arena, &value));
    CHECK_STR(value, "%zz");
    CHECK(query_find(query, STR(""), &arena, &value));
    CHECK_STR(value, "empty");
    CHECK(!query_find(query, STR("A"), &arena, &value));
    CHECK(!query_find(STR_NULL, STR("a"), &arena, &value));
    arena_deinit(&arena);
}

TEST(cookies_are_found)
{
    struct str value;
    struct str header = STR("a=1; b=\"two\";c = 3 ; junk; a=4; d=");

    CHECK(cookie_find(header, STR("a"), &value));
    CHECK_STR(value, "1");
    CHECK(cookie_find(header, STR("b"), &value));
    CHECK_STR(value, "two");
    CHECK(cookie_find(header, STR("c"), &value));
    CHECK_STR(value, "3");
    CHECK(cookie_find(header, STR("d"), &value));
    CHECK_STR(value, "");
    CHECK(!cookie_find(header, STR("junk"), &value));
    CHECK(!cookie_find(header, STR("A"), &value));
}

TEST(forwarded_hops_count_from_the_right)
{
    struct str node;
    struct str list = STR("1.1.1.1, ,3.3.3.3 , 4.4.4.4");

    CHECK(forwarded_for_hop(list, 1, &node));
    CHECK_STR(node, "4.4.4.4");
    CHECK(forwarded_for_hop(list, 2, &node));
    CHECK_STR(node, "3.3.3.3");
    CHECK(forwarded_for_hop(list, 3, &node));
    CHECK_STR(node, "");
    CHECK(forwarded_for_hop(list, 4, &node));
    CHECK_STR(node, "1.1.1.1");
    CHECK(!forwarded_for_hop(list, 5, &node));
    CHECK(!forwarded_for_hop(list, 0, &node));
    CHECK(!forwarded_for_hop(STR_NULL, 1, &node));
}

TEST(forwarded_addresses_are_checked)
{
    static const struct {
        const char *node, *address;
    } table[] = {
        {"1.2.3.4", "1.2.3.4"},
        {"1.2.3.4:80", "1.2.3.4"},
        {"2001:db8::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:80", "2001:db8::1"},
        {"", NULL},
        {"unknown", NULL},
        {"1.2.3", NULL},
        {"1.2.3.4:", NULL},
        {"1.2.3.4:99999", NULL},
        {"[::1", NULL},
        {"[::1]80", NULL},
        {"::1%lo", NULL},
        {"1.2.3.4\n", NULL},
    };
    struct str address;

    for (size_t i = 0; i < N_ELEMENTS(table); i++) {
        bool is_good = forwarded_address(str_of(table[i].node), &address);

        CHECK_MSG(is_good == (table[i].address != NULL), "%s", table[i].node);
        if (is_good)
            CHECK_STR(address, table[i].address);
    }
}

TEST(vector_and_scalar_scans_agree)
{
    char bytes[330];

    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof bytes; at++) {
            memset(bytes, 'x', sizeof bytes);
            bytes[at] = (char)(uint8_t)c;
            for (size_t from = 0; from < 3; from++) {
                struct str s = str_make(bytes + from, sizeof bytes - from * 7);

                CHECK(grammar_value_span(s) == grammar_value_span_scalar(s));
            }
            for (size_t len = 0; at < 40 && len < 40; len++) {
                struct str s = str_make(bytes, len);

                CHECK(grammar_value_span(s) == grammar_value_span_scalar(s));
            }
        }
    }
}

TEST(every_known_header_name_is_found)
{
    for (unsigned id = 1; id < HEADER_COUNT_; id++)
        CHECK_INT(header_id_find(header_name((enum header_id)id)), id);
    CHECK_INT(header_id_find(STR("")), HEADER_OTHER);
    CHECK_INT(header_id_find(STR("x")), HEADER_OTHER);
    CHECK_INT(header_id_find(STR("Host")), HEADER_OTHER);
    CHECK_INT(header_id_find(STR("hosts")), HEADER_OTHER);
    CHECK_INT(header_id_find(STR("x-not-in-the-table")), HEADER_OTHER);
}

TEST(header_lists_keep_order_and_doubles)
{
    struct arena arena;
    struct http_headers h, copy;

    arena_init(&arena, 4096);
    http_headers_init(&h, &arena);
    CHECK(http_headers_find(&h, STR("a")) == NULL);
    for (unsigned i = 0; i < 100; i++)
        http_headers_add(&h, STR("a"), STR("1"));
    http_headers_add(&h, STR("vary"), STR("x"));
    http_headers_add_id(&h, HEADER_VARY, STR("y"));
    CHECK_STR(http_headers_joined(&h, STR("vary")), "x, y");
    CHECK_STR(http_headers_value(&h, STR("vary")), "x");
    CHECK(http_headers_joined(&h, STR("b")).ptr == NULL);
    CHECK_INT(http_headers_remove(&h, STR("a")), 100);
    copy = http_headers_copy(&h, &arena);
    http_headers_set(&h, STR("vary"), STR("z"));
    CHECK_INT(h.n, 1);
    CHECK_STR(http_headers_find_id(&h, HEADER_VARY)->value, "z");
    CHECK_INT(copy.n, 2);
    CHECK_STR(copy.items[1].value, "y");
    CHECK_INT(http_headers_remove_id(&copy, HEADER_VARY), 2);
    http_headers_add(&h, STR("e"), STR(""));
    http_headers_add(&h, STR("e"), STR("f"));
    CHECK_STR(http_headers_joined(&h, STR("e")), ", f");
    arena_deinit(&arena);
}

TEST(methods_and_reasons_are_known)
{
    CHECK_INT(http_method_parse(STR("PATCH")), HTTP_METHOD_PATCH);
    CHECK_INT(http_method_parse(STR("get")), HTTP_METHOD_OTHER);
    CHECK_INT(http_method_parse(STR("")), HTTP_METHOD_OTHER);
    CHECK_STR(http_method_text(HTTP_METHOD_DELETE), "DELETE");
    CHECK_STR(http_status_reason(200), "OK");
    CHECK_STR(http_status_reason(100), "Continue");
    CHECK_STR(http_status_reason(429), "Too Many Requests");
    CHECK_STR(http_status_reason(511), "Network Authentication Required");
    CHECK_STR(http_status_reason(599), "");
}
