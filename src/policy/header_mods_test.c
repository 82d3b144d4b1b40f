/* Header modifiers: order, duplicates, protected names. */
#include "policy/header_mods.h"

#include "test/harness/test.h"

static struct str dump(struct arena *a, const struct http_headers *h)
{
    struct str text = STR("");

    for (unsigned i = 0; i < h->n; i++)
        text = arena_printf(a, "%.*s%.*s=%.*s;", STR_ARG(text), STR_ARG(h->items[i].name),
                            STR_ARG(h->items[i].value));
    return text;
}

TEST(modifiers_remove_then_set_then_add)
{
    struct header_mod set[] = {{STR("X-Set"), STR("new"), 0},
                               {STR("x-set"), STR("ignored"), 0},
                               {STR("Host"), STR("b.com"), 0}};
    struct header_mod add[] = {{STR("X-Add"), STR("two"), 0}, {STR("x-gone"), STR("back"), 0}};
    struct str remove[] = {STR("X-Gone"), STR("x-never")};
    struct header_mods_spec spec = {set, 3, add, 2, remove, 2};
    struct header_mods m;
    struct arena a;
    struct http_request request = {.authority = STR("a.com")};
    struct str name;

    arena_init(&a, 1024);
    CHECK_INT(header_mods_init(&m, &a, &spec, &name), 0);
    http_headers_init(&request.headers, &a);
    http_headers_add(&request.headers, STR("x-set"), STR("1"));
    http_headers_add(&request.headers, STR("x-gone"), STR("1"));
    http_headers_add(&request.headers, STR("x-set"), STR("2"));
    http_headers_add(&request.headers, STR("x-add"), STR("one"));
    header_mods_apply_request(&m, &request);
    CHECK_STR(request.authority, "b.com");
    CHECK_STR(http_headers_joined(&request.headers, STR("x-set")), "new");
    CHECK_STR(http_headers_joined(&request.headers, STR("x-add")), "one, two");
    CHECK_STR(http_headers_joined(&request.headers, STR("x-gone")), "back");
    CHECK_MSG(request.headers.n == 4, "%.*s", STR_ARG(dump(&a, &request.headers)));
    arena_deinit(&a);
}

TEST(protected_and_malformed_entries_are_refused)
{
    static const struct {
        const char *name, *value;
        int code;
    } cases[] = {
        {"Content-Length", "1", HEADER_MODS_PROTECTED},
        {"transfer-encoding", "chunked", HEADER_MODS_PROTECTED},
        {"Connection", "close", HEADER_MODS_PROTECTED},
        {"Content_Length", "1", HEADER_MODS_PROTECTED},
        {"transfer_encoding", "chunked", HEADER_MODS_PROTECTED},
        {"Upgrade", "h2c", HEADER_MODS_PROTECTED},
        {"bad name", "x", HEADER_MODS_BAD_NAME},
        {"", "x", HEADER_MODS_BAD_NAME},
        {"x-a", "b\r\nc: d", HEADER_MODS_BAD_VALUE},
    };
    struct header_mods m;
    struct arena a;
    struct str name;
    struct str host = STR("host");

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct header_mod mod = {str_of(cases[i].name), str_of(cases[i].value), 0};
        struct header_mods_spec spec = {.set = &mod, .n_set = 1};

        CHECK_INT(header_mods_init(&m, &a, &spec, &name), cases[i].code);
        CHECK_STR(name, cases[i].name);
    }
    CHECK_INT(
        header_mods_init(&m, &a, &(struct header_mods_spec){.remove = &host, .n_remove = 1}, &name),
        HEADER_MODS_PROTECTED);
    arena_deinit(&a);
}
