/* Event streams: what WHATWG says of lines, fields and frames, at every split of the input. */
#include "llm/event_stream.h"

#include "base/buf.h"
#include "base/limits.h"
#include "test/harness/test.h"

/* Frames as text: "name(data)begin-end", cut and unfinished ones marked. */
struct play {
    struct event_stream stream;
    struct buf text;
    struct buf data;
};

static void note(struct play *p, const struct event *e)
{
    buf_append_str(&p->data, e->data);
    CHECK_INT(p->data.len, e->n_data);
    CHECK(!e->is_whole || e->data.len == e->n_data);
    buf_printf(&p->text, "%.*s(", STR_ARG(e->name));
    if (e->has_data)
        buf_append_json(&p->text, buf_str(&p->data));
    buf_printf(&p->text, ")%llu-%llu%s ", (unsigned long long)e->begin, (unsigned long long)e->end,
               e->is_unfinished ? "?" : "");
    buf_clear(&p->data);
}

static void feed(struct play *p, struct str input, struct str all)
{
    struct event e;
    enum event_step step;

    while ((step = event_stream_next(&p->stream, &input, &e)) != EVENT_STREAM_MORE) {
        if (step == EVENT_STREAM_DATA) {
            buf_append_str(&p->data, e.data);
            continue;
        }
        if (e.is_one_line && e.is_whole)
            CHECK(memcmp(all.ptr + e.data_begin, e.data.ptr, e.data.len) == 0);
        note(p, &e);
    }
    CHECK_INT(input.len, 0);
}

static void play_at(struct str input, size_t cut, size_t step, struct buf *ret_text)
{
    struct play p = {.data = {0}};
    struct event e;

    feed(&p, str_slice(input, 0, cut), input);
    for (size_t at = cut; at < input.len; at += step)
        feed(&p, str_slice(input, at, at + step), input);
    if (event_stream_end(&p.stream, &e) == EVENT_STREAM_FRAME)
        note(&p, &e);
    CHECK(event_stream_end(&p.stream, &e) == EVENT_STREAM_MORE);
    buf_deinit(&p.data);
    *ret_text = p.text;
}

TEST(frames_are_the_same_at_every_split)
{
    static const struct {
        const char *input, *want;
    } cases[] = {
        {"", ""},
        {"data: a\n\n", "(\"a\")0-9 "},
        {"data:a\n\ndata: b\n\n", "(\"a\")0-8 (\"b\")8-17 "},
        {"data:  a \n\n", "(\" a \")0-11 "},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "(\"a\")0-11 (\"b\")11-22 "},
        {"data: a\r\rdata: b\r\r", "(\"a\")0-9 (\"b\")9-18 "},
        {"data: a\r\n\rdata: b\n\r\n", "(\"a\")0-10 (\"b\")10-20 "},
        {"data: a\ndata: b\ndata\ndata:\ndata: c\n\n", "(\"a\\nb\\n\\n\\nc\")0-38 "},
        {"data\ndata\n\n", "(\"\\n\")0-11 "},
        {"data\n\n", "(\"\")0-6 "},
        {"data:\n\n", "(\"\")0-7 "},
        {"event: ping\ndata: {}\n\n", "ping(\"{}\")0-22 "},
        {"data: {}\nevent:pong\n\n", "pong(\"{}\")0-21 "},
        {"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n", "b(\"1\")0-27 (\"2\")27-36 "},
        {"event: a\nevent\ndata: 1\n\n", "(\"1\")0-24 "},
        {": comment\n\n", "()0-11 "},
        {":\ndata: a\n: b\n\n", "(\"a\")0-15 "},
        {"id: 1\nretry: 5\nx\ndatas: 1\ndat: 2\nDATA: 3\n data: 4\ndata: 5\n\n", "(\"5\")0-61 "},
        {"\n\n\r\n", "()0-1 ()1-2 ()2-4 "},
        {"\xef\xbb\xbf"
         "data: a\n\n",
         "(\"a\")0-12 "},
        {"\xef\xbb"
         "data: a\n\ndata: b\n\n",
         "()0-11 (\"b\")11-20 "},
        {"data: a\n\n\xef\xbb\xbf"
         "data: b\n\n",
         "(\"a\")0-9 ()9-21 "},
        {"data: a", "(\"a\")0-7? "},
        {"data: a\n", "(\"a\")0-8? "},
        {"data: a\n\ndat", "(\"a\")0-9 ()9-12? "},
        {"data: a\r\n\r", "(\"a\")0-10 "},
        {"data: a\ndata: b", "(\"a\\nb\")0-15? "},
        {"event: 0123456789012345678901234567890123456789xyz\ndata: a\n\n",
         "0123456789012345678901234567890123456789(\"a\")0-60 "},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct str input = str_of(cases[i].input);

        for (size_t cut = 0; cut <= input.len; cut++) {
            for (size_t step = 1; step <= input.len; step += input.len / 2 + 1) {
                struct buf text;

                play_at(input, cut, step == 1 ? 1 : input.len, &text);
                CHECK_MSG(str_eq(buf_str(&text), str_of(cases[i].want)),
                          "case %zu, cut %zu:\n  got  %.*s\n  want %s", i, cut,
                          STR_ARG(buf_str(&text)), cases[i].want);
                buf_deinit(&text);
            }
        }
    }
}

TEST(a_frame_of_one_line_is_told_whole)
{
    struct event_stream s = {0};
    struct str input = STR("event: x\ndata: {\"a\":1}\n\nrest");
    struct event e;

    CHECK(event_stream_next(&s, &input, &e) == EVENT_STREAM_FRAME);
    CHECK(e.is_whole && e.is_one_line && !e.is_cut);
    CHECK_STR(e.data, "{\"a\":1}");
    CHECK_INT(e.data_begin, 15);
    CHECK_STR(input, "rest");
}

/* 10 MB in one frame: told up to the bound, and the next frame is whole again. */
TEST(a_huge_frame_is_cut)
{
    static char block[65536];
    struct event_stream s = {0};
    struct str input = STR("data: ");
    struct event e;
    uint64_t told = 0;

    memset(block, 'x', sizeof block);
    CHECK(event_stream_next(&s, &input, &e) == EVENT_STREAM_MORE);
    for (int i = 0; i < 160; i++) {
        input = str_make(block, sizeof block);
        while (event_stream_next(&s, &input, &e) == EVENT_STREAM_DATA)
            told += e.data.len;
    }
    CHECK_INT(told, LIMIT_EVENT_BYTES);
    input = STR("\n\ndata: a\n\n");
    CHECK(event_stream_next(&s, &input, &e) == EVENT_STREAM_FRAME);
    CHECK(e.is_cut && !e.is_whole);
    CHECK_INT(e.n_data, LIMIT_EVENT_BYTES);
    CHECK_INT(e.end, 6 + 160 * sizeof block + 2);
    CHECK(event_stream_next(&s, &input, &e) == EVENT_STREAM_FRAME);
    CHECK(e.is_whole && !e.is_cut);
    CHECK_STR(e.data, "a");
}
