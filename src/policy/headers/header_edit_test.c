/* Edits of a listener's headers: order, patterns, what they may not touch. */
#include "policy/headers/header_edit.h"

#include "test/harness/test.h"

static struct str dump(struct arena *a, const struct http_headers *h)
{
    struct str text = STR("");

    for (unsigned i = 0; i < h->n; i++)
        text = arena_printf(a, "%.*s%.*s=%.*s;", STR_ARG(text), STR_ARG(h->items[i].name),
                            STR_ARG(h->items[i].value));
    return text;
}

TEST(edits_remove_then_set_then_add_and_add_only_where_nothing_is)
{
    static const struct header_mod set[] = {{STR("X-Set"), STR("new"), 0}};
    static const struct header_mod add[] = {{STR("X-Add"), STR("two"), 0}};
    static const struct header_mod absent[] = {
        {STR("X-Add"), STR("no"), 0}, {STR("X-Gone"), STR("back"), 0}, {STR("X-New"), STR("1"), 0}};
    static const struct str remove[] = {STR("X-Gone")};
    static const struct header_pattern removed[] = {{HEADER_PATTERN_PREFIX, STR("X-Pre"), NULL},
                                                    {HEADER_PATTERN_SUFFIX, STR("-post"), NULL},
                                                    {HEADER_PATTERN_EXACT, STR("X-Exact"), NULL},
                                                    {HEADER_PATTERN_REGEX, STR("x-[0-9]+"), NULL},
                                                    {HEADER_PATTERN_EXACT, STR("X-Set"), NULL}};
    const struct header_edits_spec spec = {.mods = {set, 1, add, 1, remove, 1},
                                           .absent = absent,
                                           .n_absent = 3,
                                           .removed = removed,
                                           .n_removed = 5};
    static const char *const names[] = {"x-set",   "x-gone",    "x-add", "x-prefix", "x-a-post",
                                        "x-exact", "x-exactly", "x-12",  "x-12a",    "x-pr"};
    struct header_edits e;
    struct http_headers h;
    struct arena a;
    struct str name;

    arena_init(&a, 4096);
    CHECK_INT(header_edits_init(&e, &a, &spec, &name), 0);
    http_headers_init(&h, &a);
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        http_headers_add(&h, str_of(names[i]), STR("old"));
    header_edits_apply(&e, &h);
    CHECK_STR(dump(&a, &h), "x-add=old;x-exactly=old;x-12a=old;x-pr=old;x-set=new;x-add=two;"
                            "x-gone=back;x-new=1;");
    arena_deinit(&a);
}

TEST(edits_tell_what_they_write)
{
    static const struct header_mod one[] = {{STR("X-A"), STR("1"), 0}};
    static const struct header_mod two[] = {{STR("X-B"), STR("1"), 0}};
    static const struct header_mod three[] = {{STR("X-C"), STR("1"), 0}};
    const struct header_edits_spec spec = {
        .mods = {.set = one, .n_set = 1, .add = two, .n_add = 1}, .absent = three, .n_absent = 1};
    static const char *const names[] = {"x-a", "x-b", "x-c"};
    struct header_edits e;
    struct arena a;
    struct str name;
    size_t at = 0;

    arena_init(&a, 4096);
    CHECK_INT(header_edits_init(&e, &a, &spec, &name), 0);
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        CHECK(header_edits_next_written(&e, &at, &name));
        CHECK_STR(name, names[i]);
    }
    CHECK(!header_edits_next_written(&e, &at, &name));
    arena_deinit(&a);
}

TEST(what_frames_a_message_or_names_its_host_is_not_to_be_edited)
{
    static const struct {
        struct header_mod set, absent;
        struct str remove;
        struct header_pattern pattern;
        int r;
    } rows[] = {
        {.set = {STR("Content-Length"), STR("1"), 0}, .r = HEADER_MODS_PROTECTED},
        {.set = {STR("Host"), STR("a.test"), 0}, .r = HEADER_MODS_PROTECTED},
        {.absent = {STR("Transfer-Encoding"), STR("chunked"), 0}, .r = HEADER_MODS_PROTECTED},
        {.absent = {STR("x y"), STR("1"), 0}, .r = HEADER_MODS_BAD_NAME},
        {.remove = STR("Connection"), .r = HEADER_MODS_PROTECTED},
        {.pattern = {HEADER_PATTERN_REGEX, STR("x-("), NULL}, .r = HEADER_EDIT_BAD_PATTERN},
    };
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct header_edits_spec spec = {
            .mods = {.set = &rows[i].set,
                     .n_set = rows[i].set.name.len > 0,
                     .remove = &rows[i].remove,
                     .n_remove = rows[i].remove.len > 0},
            .absent = &rows[i].absent,
            .n_absent = rows[i].absent.name.len > 0,
            .removed = &rows[i].pattern,
            .n_removed = rows[i].pattern.text.len > 0,
        };
        struct header_edits e;
        struct str name;

        CHECK_MSG(header_edits_init(&e, &a, &spec, &name) == rows[i].r, "row %zu", i);
    }
    arena_deinit(&a);
}
