/* Where credentials stand in a request, and a request without them. */
#include "gateway/layer/credential.h"

#include "test/harness/test.h"

static struct arena arena;

static struct http_request request_with(const char *query, const char *const *cookies, size_t n)
{
    struct http_request r = {.query = query ? str_of(query) : STR_NULL};

    if (!arena.chunk_bytes)
        arena_init(&arena, 4096);
    http_headers_init(&r.headers, &arena);
    for (size_t i = 0; i < n; i++)
        http_headers_add_id(&r.headers, HEADER_COOKIE, str_of(cookies[i]));
    return r;
}

TEST(a_parameter_counts_once_however_it_is_escaped)
{
    static const struct {
        const char *query;
        enum extract_result found;
        const char *value;
    } rows[] = {
        {NULL, EXTRACT_NONE, ""},
        {"", EXTRACT_NONE, ""},
        {"a=1&keys=2&Key=3", EXTRACT_NONE, ""},
        {"key=v", EXTRACT_TOKEN, "v"},
        {"a&key=v%2Bw&b", EXTRACT_TOKEN, "v+w"},
        {"%6bey=v+w", EXTRACT_TOKEN, "v w"},
        {"key", EXTRACT_TOKEN, ""},
        {"key=v&key=v", EXTRACT_MALFORMED, NULL},
        {"key=v&k%65y=w", EXTRACT_MALFORMED, NULL},
    };
    const struct credential_source source = {CREDENTIAL_PARAM, STR("key")};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct http_request r = request_with(rows[i].query, NULL, 0);
        struct str value = STR("");

        CHECK_MSG(credential_find(&r, &source, &arena, &value) == rows[i].found, "row %zu", i);
        if (rows[i].value)
            CHECK_STR(value, rows[i].value);
    }
}

TEST(a_cookie_counts_once_in_all_headers)
{
    static const struct {
        const char *cookies[2];
        enum extract_result found;
    } rows[] = {
        {{"a=1", "b=2"}, EXTRACT_NONE},        {{"a=1; id=v", "b=2"}, EXTRACT_TOKEN},
        {{"a=1", "id=\"v\""}, EXTRACT_TOKEN},  {{"id=v; id=w", "b=2"}, EXTRACT_MALFORMED},
        {{"id=v", "id=v"}, EXTRACT_MALFORMED}, {{"idx=v; x=id=v", "ID=v"}, EXTRACT_NONE},
    };
    const struct credential_source source = {CREDENTIAL_COOKIE, STR("id")};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct http_request r = request_with(NULL, rows[i].cookies, 2);
        struct str value = STR("");

        CHECK_MSG(credential_find(&r, &source, &arena, &value) == rows[i].found, "row %zu", i);
        if (rows[i].found == EXTRACT_TOKEN)
            CHECK_STR(value, "v");
    }
}

TEST(parameters_are_taken_out_and_the_others_stay_as_they_are)
{
    static const struct {
        const char *query;
        const char *left;
    } rows[] = {
        {"key=v", ""},
        {"key=v&a=%31+", "a=%31+"},
        {"a=1&k%65y=v&b", "a=1&b"},
        {"a=1&key=v", "a=1"},
        {"a=1&keys=v", "a=1&keys=v"},
        {"key&key=2&a", "a"},
        {"a=key&b=2", "a=key&b=2"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct http_request r = request_with(rows[i].query, NULL, 0);

        CHECK_STR(credential_strip_param(r.query, STR("key"), &arena), rows[i].left);
    }
    CHECK(credential_strip_param(STR("key=v"), STR("key"), &arena).ptr == NULL);
}

TEST(cookies_are_taken_out_of_every_header)
{
    static const char *const cookies[] = {"id=v", "a=1;id=v; b=2 ;id=w", "c=3"};
    struct http_request r = request_with(NULL, cookies, 3);

    credential_strip_cookie(&r.headers, STR("id"), &arena);
    CHECK_INT(r.headers.n, 2);
    CHECK_STR(r.headers.items[0].value, "a=1; b=2");
    CHECK_STR(r.headers.items[1].value, "c=3");
}
