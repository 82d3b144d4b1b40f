/* Fuzz target of event streams. Beyond not crashing: frames are the same whole, in one cut at every
 * eighth and byte by byte; they stand in the stream where they say, one behind the other; no byte
 * of data comes from anywhere else. And whole frames are what a reader finds that does as WHATWG
 * HTML 9.2.6 says, line by line over the whole text. */
#include "base/assert.h"
#include "base/buf.h"
#include "base/limits.h"
#include "llm/event_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct play {
    struct event_stream stream;
    struct str all;
    struct buf text;  /* frames, written down */
    struct buf plain; /* of the finished ones name, data and end */
    struct buf data;  /* of the frame under way */
    uint64_t end;     /* of the last frame */
};

static void write_plain(struct buf *out, struct str name, struct str data, uint64_t end)
{
    buf_append_json(out, name);
    buf_append_json(out, data);
    buf_printf(out, " %llu\n", (unsigned long long)end);
}

static void note(struct play *p, const struct event *e)
{
    struct str from = str_slice(p->all, e->data_begin, e->data_begin + e->n_data);

    buf_append_str(&p->data, e->data);
    ASSERT(e->begin == p->end && e->end > e->begin && e->end <= p->all.len);
    ASSERT(p->data.len == e->n_data && e->n_data <= e->end - e->begin);
    ASSERT(e->name.len <= EVENT_NAME_BYTES && (e->has_data || e->n_data == 0));
    ASSERT(!e->is_one_line || e->is_cut || str_eq(buf_str(&p->data), from));
    p->end = e->end;
    if (!e->is_unfinished)
        write_plain(&p->plain, e->name, buf_str(&p->data), e->end);
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
static void play(struct str all, size_t first, size_t then, struct buf *ret_text,
                 struct buf *ret_plain)
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
    *ret_plain = p.plain;
}

/* The line at `*at`, which moves behind its end; false when there is no whole one. */
static bool reference_line(struct str all, size_t *at, struct str *ret_line)
{
    size_t end = *at;

    while (end < all.len && all.ptr[end] != '\r' && all.ptr[end] != '\n')
        end++;
    if (end == all.len)
        return false;
    *ret_line = str_slice(all, *at, end);
    *at = end + 1;
    if (all.ptr[end] == '\r' && *at < all.len && all.ptr[*at] == '\n')
        ++*at;
    return true;
}

static void reference_field(struct str line, struct str *name, struct buf *data, bool *has_data)
{
    ssize_t colon = str_find_char(line, ':', 0);
    struct str field = colon < 0 ? line : str_slice(line, 0, (size_t)colon);
    struct str value = colon < 0 ? STR("") : str_slice(line, (size_t)colon + 1, line.len);

    if (str_starts_with(value, STR(" ")))
        value = str_slice(value, 1, value.len);
    if (str_eq(field, STR("event")))
        *name = str_slice(value, 0, EVENT_NAME_BYTES);
    if (!str_eq(field, STR("data")))
        return;
    if (*has_data)
        buf_append_char(data, '\n');
    buf_append_str(data, value);
    *has_data = true;
}

static void reference(struct str all, struct buf *out)
{
    size_t at = str_starts_with(all, STR("\xef\xbb\xbf")) ? 3 : 0;
    struct str name = STR(""), line;
    struct buf data = {0};
    bool has_data = false;

    while (reference_line(all, &at, &line)) {
        if (line.len > 0) {
            reference_field(line, &name, &data, &has_data);
            continue;
        }
        write_plain(out, name, buf_str(&data), at);
        name = STR("");
        has_data = false;
        buf_clear(&data);
    }
    buf_deinit(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str all = str_make(bytes, size);
    struct buf whole, plain, other, other_plain, want = {0};

    play(all, size, size + 1, &whole, &plain);
    for (size_t i = 0; i < 9; i++) {
        play(all, i < 8 ? size * i / 8 : 0, i < 8 ? size + 1 : 1, &other, &other_plain);
        ASSERT(str_eq(buf_str(&whole), buf_str(&other)));
        buf_deinit(&other);
        buf_deinit(&other_plain);
    }
    reference(all, &want);
    ASSERT(str_eq(buf_str(&plain), buf_str(&want)));
    buf_deinit(&whole);
    buf_deinit(&plain);
    buf_deinit(&want);
    return 0;
}
