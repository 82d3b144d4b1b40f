/* The same calls as lines and as JSON. */
#include "admin/explain/report.h"

#include "test/harness/test.h"

static void tell(struct report *r)
{
    static const struct mark at = {"world.yaml", 7, 3};
    static const struct mark nowhere = {NULL, 0, 0};

    report_str(r, "request", STR("GET /\x1b[31m\xc3\xa9\n"));
    report_open(r, "decision");
    report_seconds(r, "retry_after_s", 5);
    report_bool(r, "shadow", true);
    report_time(r, "long", 1500000);
    report_time(r, "whole", 2000000);
    report_time(r, "none", 0);
    report_mark(r, "at", &at);
    report_mark(r, "nowhere", &nowhere);
    report_list(r, "assuming");
    report_list_close(r);
    report_close(r);
    report_list(r, "rules");
    report_row(r, STR("one"), &at, "lost", STR("why"));
    report_row_end(r);
    report_row(r, STR("two"), NULL, NULL, STR(""));
    report_seconds(r, "reset_s", 1);
    report_str(r, "key", STR("k\""));
    report_row_end(r);
    report_pair(r, STR("three"), STR("3"));
    report_row_end(r);
    report_list_close(r);
}

TEST(text_is_lines_that_a_terminal_may_show)
{
    struct buf out = {0};
    struct report r;

    report_init(&r, &out, false);
    tell(&r);
    report_finish(&r);
    CHECK_STR(buf_str(&out), "request: GET /\\x1b[31m\\xc3\\xa9\\x0a\n"
                             "decision:\n"
                             "  retry after: 5s\n"
                             "  shadow: yes\n"
                             "  long: 1500ms\n"
                             "  whole: 2s\n"
                             "  at: world.yaml:7\n"
                             "  assuming: none\n"
                             "rules:\n"
                             "  - one (world.yaml:7): lost: why\n"
                             "  - two; reset 1s; key k\"\n"
                             "  - three: 3\n");
    buf_deinit(&out);
}

TEST(json_has_the_same_members)
{
    struct buf out = {0};
    struct report r;

    report_init(&r, &out, true);
    tell(&r);
    report_finish(&r);
    CHECK_STR(
        buf_str(&out),
        "{\"request\":\"GET /\\u001b[31m\xc3\xa9\\n\","
        "\"decision\":{\"retry_after_s\":5,\"shadow\":true,\"long\":\"1500ms\",\"whole\":\"2s\","
        "\"at\":\"world.yaml:7\",\"assuming\":[]},"
        "\"rules\":[{\"name\":\"one\",\"at\":\"world.yaml:7\",\"verdict\":\"lost\",\"why\":\"why\"}"
        ","
        "{\"name\":\"two\",\"reset_s\":1,\"key\":\"k\\\"\"},"
        "{\"name\":\"three\",\"value\":\"3\"}]}\n");
    buf_deinit(&out);
}
