/* Spans as JSON, word for word, and what an outsider may put into them. */
#include "telemetry/otlp/otlp_span.h"

#include "base/limits.h"
#include "telemetry/otlp/otlp_attribute.h"
#include "test/harness/test.h"

static const struct trace_parent id = {{0x1, 0x2}, 0x3, true};

TEST(a_span_is_written_as_otlp_wants_it)
{
    struct otlp_span s = {.id = &id,
                          .parent_id = 0xf,
                          .has_remote_parent = true,
                          .state = STR("a=1"),
                          .name = STR("GET"),
                          .kind = OTLP_SPAN_SERVER,
                          .start_unix_us = 1700000000000001,
                          .duration_us = 2};
    struct buf out = {0};

    otlp_span_open(&out, &s);
    otlp_attribute_text(&out, STR("t"), STR("a\"\n"));
    otlp_attribute_text(&out, STR("absent"), STR(""));
    otlp_attribute_number(&out, STR("n"), -7);
    otlp_attribute_flag(&out, STR("b"), true);
    otlp_span_close(&out, true);
    CHECK_STR(buf_str(&out),
              "{\"traceId\":\"00000000000000010000000000000002\",\"spanId\":\"0000000000000003\","
              "\"parentSpanId\":\"000000000000000f\",\"traceState\":\"a=1\",\"flags\":769,"
              "\"name\":\"GET\",\"kind\":2,\"startTimeUnixNano\":\"1700000000000001000\","
              "\"endTimeUnixNano\":\"1700000000000003000\",\"attributes\":["
              "{\"key\":\"t\",\"value\":{\"stringValue\":\"a\\\"\\n\"}},"
              "{\"key\":\"n\",\"value\":{\"intValue\":\"-7\"}},"
              "{\"key\":\"b\",\"value\":{\"boolValue\":true}}],\"status\":{\"code\":2}}");
    buf_deinit(&out);
}

TEST(a_span_without_parent_and_state_says_nothing_of_them)
{
    struct otlp_span s = {.id = &id, .name = STR("GET"), .kind = OTLP_SPAN_CLIENT};
    struct buf out = {0};

    otlp_span_open(&out, &s);
    otlp_span_close(&out, false);
    CHECK(str_find(buf_str(&out), STR("parent")) < 0);
    CHECK(str_find(buf_str(&out), STR("traceState")) < 0);
    CHECK(str_find(buf_str(&out), STR("status")) < 0);
    CHECK(str_find(buf_str(&out), STR("\"flags\":257,")) > 0);
    buf_deinit(&out);
}

TEST(a_long_value_is_cut_between_characters)
{
    struct buf out = {0}, text = {0};

    buf_append_char(&text, 'x');
    while (text.len <= LIMIT_SPAN_VALUE_BYTES)
        buf_append_str(&text, STR("\xe2\x82\xac"));
    otlp_attribute_string(&out, buf_str(&text));
    CHECK(out.len - 2 <= LIMIT_SPAN_VALUE_BYTES && out.len > LIMIT_SPAN_VALUE_BYTES - 3);
    CHECK(str_find(buf_str(&out), STR("\\u")) < 0); /* no half of one, which is shown so */
    buf_deinit(&out);
    buf_deinit(&text);
}
