/* Messages and their values: what is put is got, and whatever else comes is a condition. */
#include "app/takeover/wire.h"

#include "test/harness/test.h"

TEST(a_message_is_read_as_it_was_put)
{
    for (int kind = WIRE_HELLO; kind <= WIRE_ANSWER; kind++) {
        struct buf b = {0};
        struct wire_message m;

        wire_put_head(&b, (enum wire_kind)kind);
        CHECK_INT(b.len, WIRE_HEAD_BYTES);
        buf_append_str(&b, STR("content"));
        CHECK(wire_parse(buf_str(&b), &m) == 0);
        CHECK_INT(m.kind, kind);
        CHECK(str_eq(m.content, STR("content")));
        buf_deinit(&b);
    }
}

TEST(what_is_no_message_is_told_from_what_is_of_another_version)
{
    static const struct {
        struct str bytes;
        int condition;
    } cases[] = {
        {{"", 0}, WIRE_BAD},
        {{"TGTO\3\0\1", 7}, WIRE_BAD},
        {{"TGTO\3\0\1\0", 8}, 0},
        {{"tGTO\2\0\1\0", 8}, WIRE_BAD},
        {{"TGTO\3\0\0\0", 8}, WIRE_BAD},
        {{"TGTO\3\0\16\0", 8}, WIRE_BAD},
        {{"TGTO\3\0\1\1", 8}, WIRE_BAD},
        {{"TGTO\4\0\1\0", 8}, WIRE_OTHER_VERSION},
        {{"TGTO\3\1\1\0", 8}, WIRE_OTHER_VERSION},
    };
    struct wire_message m;

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(wire_parse(cases[i].bytes, &m) == cases[i].condition, "row %zu", i);
}

TEST(values_are_read_as_they_were_put_and_nothing_beyond)
{
    struct buf b = {0};

    wire_put_u32(&b, 0xfedcba98);
    wire_put_text(&b, STR("a\0b"));
    wire_put_u64(&b, UINT64_MAX - 1);
    wire_put_text(&b, STR(""));
    for (size_t len = 0; len <= b.len + 1; len++) {
        /* Cut short, as it is, and one byte more. */
        struct buf part = {0};
        struct wire_reader r;

        buf_append(&part, b.ptr, MIN(len, b.len));
        if (len > b.len)
            buf_append_char(&part, 'x');
        r = (struct wire_reader){.rest = buf_str(&part)};
        bool is_right = wire_get_u32(&r) == 0xfedcba98 && str_eq(wire_get_text(&r), STR("a\0b")) &&
                        wire_get_u64(&r) == UINT64_MAX - 1 && wire_get_text(&r).len == 0;

        CHECK_MSG(wire_is_done(&r) == (len == b.len), "%zu bytes", len);
        CHECK(is_right == (len >= b.len) || r.is_bad);
        CHECK(r.is_bad == (len < b.len));
        buf_deinit(&part);
    }
    buf_deinit(&b);
}

TEST(a_length_that_lies_is_a_fault)
{
    struct wire_reader r = {.rest = {"\xff\xff\xff\xff"
                                     "abc",
                                     7}};

    CHECK_INT(wire_get_text(&r).len, 0);
    CHECK(r.is_bad && !wire_is_done(&r));
    CHECK_INT(wire_get_u64(&r), 0);
}
