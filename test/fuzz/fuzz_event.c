/* Fuzz target of event streams. Beyond not crashing: frames are the same whole, in one cut at every
 * eighth and byte by byte; they stand in the stream where they say, one behind the other; no byte
 * of data comes from anywhere else. */
#include "base/assert.h"
#include "base/buf.h"
#include "base/limits.h"
#include "llm/event_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct play {
    struct event_stream stream;
    struct str all;
    struct buf text; /* frames, written down */
    struct buf data; /* of the frame under way */
    uint64_t end;    /* of the last frame */
};

static void note(struct play *p, const struct event *e)
{
    struct str from = str_slice(p->all, e->data_begin, e->data_begin + e->n_data);

    buf_append_str(&p->data, e->data);
    ASSERT(e->begin == p->end && e->end > e->begin && e->end <= p->all.len);
    ASSERT(p->data.len == e->n_data && e->n_data <= e->end - e->begin);
    ASSERT(e->name.len <= EVENT_NAME_BYTES && (e->has_data || e->n_data == 0));
    ASSERT(!e->is_one_line || e->is_cut || str_eq(buf_str(&p->data), from));
    p->end = e->end;
    buf_append_json(&p->text, e->name);
    buf_append_json(&p->text, buf_str(&p->data));
    buf_printf(&p->text, "%llu %llu %d%d%d%d%d\n", (unsigned long long)e->begin,
               (unsigned long long)e->end, e->has_data, e->is_one_line, e->is_cut, e->has_unknown,
               e->is_unfinished);
    buf_clear(&p->data);
}

static void feed(struct play *p, struct str part)
{
    enum event_step step;
    struct event e;

    while ((step = event_stream_next(&p->stream, &part, &e)) != EVENT_STREAM_MORE) {
        if (step == EVENT_STREAM_FRAME)
            note(p, &e);
        else
            buf_append_str(&p->data, e.data);
    }
    ASSERT(part.len == 0);
}

/* Pieces of `first` bytes and then of `then`. */
static void play(struct str all, size_t first, size_t then, struct buf *ret_text)
{
    struct play p = {.all = all};
    struct event e;

    feed(&p, str_slice(all, 0, first));
    for (size_t at = MIN(first, all.len); at < all.len; at += then) {
        struct buf copy = {0}; /* of its own, so that a sanitizer sees a read behind it */

        buf_append_str(&copy, str_slice(all, at, at + then));
        feed(&p, buf_str(&copy));
        buf_deinit(&copy);
    }
    if (event_stream_end(&p.stream, &e) == EVENT_STREAM_FRAME)
        note(&p, &e);
    ASSERT(event_stream_end(&p.stream, &e) == EVENT_STREAM_MORE);
    buf_deinit(&p.data);
    *ret_text = p.text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str all = str_make(bytes, size);
    struct buf whole, other;

    play(all, size, size + 1, &whole);
    for (size_t i = 0; i < 9; i++) {
        play(all, i < 8 ? size * i / 8 : 0, i < 8 ? size + 1 : 1, &other);
        ASSERT(str_eq(buf_str(&whole), buf_str(&other)));
        buf_deinit(&other);
    }
    buf_deinit(&whole);
    return 0;
}
