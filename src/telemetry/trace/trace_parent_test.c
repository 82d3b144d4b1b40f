/* What is a traceparent, what is none, and that what we write is one. */
#include "telemetry/trace/trace_parent.h"

#include "test/harness/test.h"

TEST(a_sound_traceparent_is_read)
{
    struct trace_parent p;

    CHECK(trace_parent_parse(STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &p));
    CHECK(p.trace_id[0] == 0x0af7651916cd43ddULL && p.trace_id[1] == 0x8448eb211c80319cULL);
    CHECK(p.span_id == 0xb7ad6b7169203331ULL);
    CHECK(p.is_sampled);
    CHECK(trace_parent_parse(STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe"), &p));
    CHECK(!p.is_sampled);
    /* Half an id may be nothing. */
    CHECK(trace_parent_parse(STR("00-00000000000000000000000000000001-b7ad6b7169203331-00"), &p));
    /* Versions to come are read as far as they are known. */
    CHECK(trace_parent_parse(STR("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &p));
    CHECK(trace_parent_parse(
        STR("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-will-be"), &p));
}

TEST(what_is_no_traceparent_is_refused)
{
    static const char *const bad[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "0-0af7651916cd43dd8448eb211c80319cc-b7ad6b7169203331-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0X",
        "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
    };
    struct trace_parent p;

    for (size_t i = 0; i < N_ELEMENTS(bad); i++)
        CHECK_MSG(!trace_parent_parse(str_of(bad[i]), &p), "%s", bad[i]);
    /* Two lines of it, joined. */
    CHECK(!trace_parent_parse(STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01, "
                                  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                              &p));
}

TEST(what_is_written_is_read_again)
{
    struct random r;
    char text[TRACE_PARENT_BYTES];

    random_init_seed(&r, 7);
    for (int i = 0; i < 1000; i++) {
        struct trace_parent p, again;

        trace_parent_begin(&r, &p);
        p.is_sampled = i % 2;
        trace_parent_format(&p, text);
        CHECK(trace_parent_parse(str_make(text, sizeof text), &again));
        CHECK(p.trace_id[0] == again.trace_id[0] && p.trace_id[1] == again.trace_id[1]);
        CHECK(p.span_id == again.span_id && p.is_sampled == again.is_sampled);
    }
}
