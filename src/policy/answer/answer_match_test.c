/* Which answers a policy speaks of. */
#include "policy/answer/answer_match.h"

#include "test/harness/test.h"

TEST(any_status_and_every_header)
{
    static const struct answer_statuses statuses[] = {{404, 404}, {500, 599}};
    static const struct {
        uint16_t status;
        bool with_statuses;
        bool with_headers;
        bool is_meant;
    } cases[] = {
        {404, true, false, true},  {403, true, false, false}, {499, true, false, false},
        {500, true, false, true},  {599, true, false, true},  {600, true, false, false},
        {200, false, false, true}, {404, true, true, true},   {200, false, true, true},
        {200, true, true, false},
    };
    struct arena a;
    struct http_headers h;

    arena_init(&a, 1024);
    http_headers_init(&h, &a);
    http_headers_add(&h, STR("x-a"), STR("one"));
    http_headers_add(&h, STR("x-a"), STR("two"));
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct answer_header header = {{"x-a", 3}, ANSWER_VALUE_IS, {"one, two", 8}, NULL};
        struct answer_match m = {
            .statuses = statuses,
            .n_statuses = cases[i].with_statuses ? N_ELEMENTS(statuses) : 0,
            .headers = &header,
            .n_headers = cases[i].with_headers,
        };

        CHECK_MSG((answer_match_applies(&m, cases[i].status, &h) == REGEX_HIT) == cases[i].is_meant,
                  "%zu", i);
    }
    arena_deinit(&a);
}

TEST(values_are_compared_as_told)
{
    static const struct {
        enum answer_value_kind kind;
        const char *name;
        const char *value;
        bool is_meant;
    } cases[] = {
        {ANSWER_VALUE_IS, "x-a", "text/html", true},  {ANSWER_VALUE_IS, "x-a", "text/htm", false},
        {ANSWER_VALUE_IS, "x-b", "text/html", false}, {ANSWER_VALUE_STARTS, "x-a", "text/", true},
        {ANSWER_VALUE_STARTS, "x-a", "html", false},  {ANSWER_VALUE_ENDS, "x-a", "html", true},
        {ANSWER_VALUE_ENDS, "x-a", "text/", false},   {ANSWER_VALUE_MATCHES, "x-a", "t.*l", true},
        {ANSWER_VALUE_MATCHES, "x-a", "html", false}, {ANSWER_VALUE_MATCHES, "x-b", ".*", false},
    };
    struct arena a;
    struct http_headers h;

    arena_init(&a, 1024);
    http_headers_init(&h, &a);
    http_headers_add(&h, STR("x-a"), STR("text/html"));
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct answer_header header = {str_of(cases[i].name), cases[i].kind, str_of(cases[i].value),
                                       NULL};
        struct answer_match m = {.headers = &header, .n_headers = 1};

        if (cases[i].kind == ANSWER_VALUE_MATCHES)
            CHECK_INT(regex_compile(&a, header.value, &header.regex, NULL), 0);
        CHECK_MSG((answer_match_applies(&m, 200, &h) == REGEX_HIT) == cases[i].is_meant, "%zu", i);
    }
    arena_deinit(&a);
}
