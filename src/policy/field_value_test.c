/* Values of headers and query parameters as conditions see them. */
#include "policy/field_value.h"

#include "test/harness/test.h"

TEST(header_lines_are_joined_by_commas)
{
    struct arena a;
    struct http_headers h;
    char room[16];
    bool is_cut;

    arena_init(&a, 1024);
    http_headers_init(&h, &a);
    struct field_name name = field_name_make(&a, STR("X-List"));

    CHECK(field_header_value(&h, &name, room, sizeof room, &is_cut).ptr == NULL);
    CHECK(!field_header_is(&h, &name, STR("")));
    http_headers_add(&h, STR("x-list"), STR("a"));
    CHECK_STR(field_header_value(&h, &name, room, sizeof room, &is_cut), "a");
    http_headers_add(&h, STR("x-other"), STR("z"));
    http_headers_add(&h, STR("x-list"), STR("b,c"));
    CHECK_STR(field_header_value(&h, &name, room, sizeof room, &is_cut), "a,b,c");
    CHECK(!is_cut);
    CHECK(field_header_is(&h, &name, STR("a,b,c")));
    CHECK(!field_header_is(&h, &name, STR("a")));
    CHECK(!field_header_is(&h, &name, STR("a,b,c,")));
    CHECK(!field_header_is(&h, &name, STR("a,b")));
    CHECK(!field_header_is(&h, &name, STR("ab,c")));
    http_headers_add(&h, STR("x-list"), STR("0123456789a"));
    (void)field_header_value(&h, &name, room, sizeof room, &is_cut);
    CHECK(is_cut);
    arena_deinit(&a);
}

TEST(query_values_are_decoded_and_the_first_counts)
{
    static const struct {
        const char *query, *name, *value; /* value NULL: absent */
    } cases[] = {
        {"a=1&b=2", "b", "2"},
        {"a=1&a=2", "a", "1"},
        {"a", "a", ""},
        {"a=", "a", ""},
        {"b=1", "a", NULL},
        {"", "a", NULL},
        {"&&a=1", "a", "1"},
        {"a%62=x%20y+z", "ab", "x y z"},
        {"a=%zz%4", "a", "%zz%4"},
        {"ab=1", "a", NULL},
        {"a=1=2", "a", "1=2"},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        char room[32];
        struct str value =
            field_query_value(str_of(cases[i].query), str_of(cases[i].name), room, sizeof room);

        CHECK_MSG((value.ptr != NULL) == (cases[i].value != NULL), "%s", cases[i].query);
        if (cases[i].value)
            CHECK_STR(value, cases[i].value);
    }
}
