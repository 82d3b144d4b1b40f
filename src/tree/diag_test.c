/* Findings: bounded list, stable order, the three printed forms. */
#include "tree/diag.h"

#include "base/limits.h"
#include "test/harness/test.h"

static struct diag_list list;
static struct arena arena;

static void begin(void)
{
    arena_init(&arena, 4096);
    diag_list_init(&list, &arena);
}

TEST(diag_text_names_place_object_and_path)
{
    struct buf out AUTO(buf_deinit) = {0};
    struct diag *d;

    begin();
    d = diag_add(&list, DIAG_ERROR, DIAG_WRONG_TYPE, (struct mark){"a/b.yaml", 41, 18},
                 STR("BackendTrafficPolicy/p"), "expected %s", "a whole number");
    d->path = STR("spec.maxConnections");
    d->hint = STR("a hint");
    d->other = (struct mark){"c.yaml", 2, 1};
    d->other_text = STR("the other one");
    diag_format_text(&out, d);
    CHECK_STR(buf_str(&out), "a/b.yaml:41:18: BackendTrafficPolicy/p: spec.maxConnections: "
                             "expected a whole number (a hint)\n"
                             "    c.yaml:2:1: note: the other one\n");
    arena_deinit(&arena);
}

TEST(diag_text_escapes_control_bytes)
{
    struct buf out AUTO(buf_deinit) = {0};

    begin();
    diag_format_text(&out, diag_add(&list, DIAG_NOTE, DIAG_EMPTY, (struct mark){"x", 0, 0},
                                    STR_NULL, "a\033[31m\nb"));
    CHECK_STR(buf_str(&out), "x: note: a\\x1b[31m\\x0ab\n");
    arena_deinit(&arena);
}

TEST(diag_sort_is_by_place_then_severity_then_order)
{
    begin();
    diag_add(&list, DIAG_NOTE, DIAG_EMPTY, (struct mark){"b", 1, 1}, STR_NULL, "4");
    diag_add(&list, DIAG_NOTE, DIAG_EMPTY, (struct mark){"a", 2, 1}, STR_NULL, "2");
    diag_add(&list, DIAG_NOTE, DIAG_EMPTY, (struct mark){"a", 2, 1}, STR_NULL, "3");
    diag_add(&list, DIAG_ERROR, DIAG_EMPTY, (struct mark){"a", 2, 1}, STR_NULL, "1");
    diag_sort(&list);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(list.items.items[i].text.ptr[0], '1' + (char)i);
    arena_deinit(&arena);
}

TEST(diag_list_keeps_room_for_errors_and_counts_all)
{
    begin();
    for (int i = 0; i < LIMIT_DIAGNOSTICS + 10; i++)
        diag_add(&list, DIAG_NOTE, DIAG_EMPTY, (struct mark){0}, STR_NULL, "n");
    CHECK_INT(list.n_notes, LIMIT_DIAGNOSTICS + 10);
    CHECK_INT(list.items.n, LIMIT_DIAGNOSTICS / 2);
    diag_add(&list, DIAG_ERROR, DIAG_EMPTY, (struct mark){0}, STR_NULL, "e");
    CHECK_INT(list.items.n, LIMIT_DIAGNOSTICS / 2 + 1);
    CHECK_INT(list.n_errors, 1);
    arena_deinit(&arena);
}

TEST(diag_json_and_sarif_carry_every_part)
{
    struct buf out AUTO(buf_deinit) = {0};
    struct diag *d;

    begin();
    d = diag_add(&list, DIAG_WARNING, DIAG_CONFLICT, (struct mark){"/a b.yaml", 3, 4},
                 STR("Gateway/n/g"), "said \"so\"");
    d->path = STR("spec");
    d->other = (struct mark){"o.yaml", 0, 0};
    diag_format_json(&out, &list);
    CHECK(str_find(buf_str(&out), STR("{\"errors\":0,\"warnings\":1,\"notes\":0")) == 0);
    CHECK(str_find(buf_str(&out), STR("\"code\":\"conflict\",\"place\":{\"file\":\"/a b.yaml\","
                                      "\"line\":3,\"column\":4},\"object\":\"Gateway/n/g\"")) > 0);
    CHECK(str_find(buf_str(&out), STR("said \\\"so\\\"")) > 0);
    buf_clear(&out);
    diag_format_sarif(&out, &list);
    CHECK(str_find(buf_str(&out), STR("\"version\":\"2.1.0\"")) > 0);
    CHECK(str_find(buf_str(&out), STR("\"ruleId\":\"conflict\",\"level\":\"warning\"")) > 0);
    CHECK(str_find(buf_str(&out), STR("\"uri\":\"file:///a%20b.yaml\"")) > 0);
    CHECK(str_find(buf_str(&out), STR("\"relatedLocations\"")) > 0);
    arena_deinit(&arena);
}

/* As code hosts show it (SARIF 3.49): a sentence of what it is, another of what to do. */
TEST(sarif_describes_every_code_once)
{
    static const struct {
        const char *word, *text, *help;
    } rows[] = {
#define X(id, word, text, help) {word, text, help},
        DIAG_CODES(X)
#undef X
    };
    struct buf out AUTO(buf_deinit) = {0};

    begin();
    diag_format_sarif(&out, &list);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf rule AUTO(buf_deinit) = {0};
        ssize_t at;

        CHECK(str_ends_with(str_of(rows[i].text), STR(".")));
        CHECK(str_ends_with(str_of(rows[i].help), STR(".")));
        CHECK_STR(str_of(diag_code_text((enum diag_code)i)), rows[i].word);
        buf_printf(&rule,
                   "{\"id\":\"%s\",\"shortDescription\":{\"text\":\"%s\"},"
                   "\"help\":{\"text\":\"%s\"}}",
                   rows[i].word, rows[i].text, rows[i].help);
        at = str_find(buf_str(&out), buf_str(&rule));
        CHECK_MSG(at > 0, "%s", rows[i].word);
        CHECK(str_find(str_slice(buf_str(&out), (size_t)at + 1, out.len), buf_str(&rule)) < 0);
    }
    arena_deinit(&arena);
}
