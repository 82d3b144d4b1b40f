/* The filter runs the meter over each span and is told of each frame's end; bytes from there back to
 * the last one that is done are then copied or left out. "usage":null is left out with the comma
 * that parts it from the member before it (or behind it, when it is the first), found backwards from
 * the null in the frame's own bytes; where they are not spelt plainly the member stays.
 *
 * Only the bytes of the frame under way are kept, bounded. The scan and the output belong to the
 * caller. */
#include "llm/usage_filter.h"

#include "base/assert.h"

/* `offset` lies in what is held or in the span. */
static char byte_at(const struct usage_filter *f, uint64_t offset)
{
    return offset < f->span_begin ? f->held.ptr[offset - f->held_begin]
                                  : f->span.ptr[offset - f->span_begin];
}

static void pass_to(struct usage_filter *f, uint64_t end)
{
    if (f->done < f->span_begin && f->done < end) {
        uint64_t to = MIN(end, f->span_begin);

        buf_append(f->out, f->held.ptr + (f->done - f->held_begin), (size_t)(to - f->done));
        f->done = to;
    }
    if (f->done < end) {
        buf_append(f->out, f->span.ptr + (f->done - f->span_begin), (size_t)(end - f->done));
        f->done = end;
    }
}

static uint64_t before_space(const struct usage_filter *f, uint64_t begin, uint64_t at)
{
    while (at > begin && (byte_at(f, at - 1) == ' ' || byte_at(f, at - 1) == '\t'))
        at--;
    return at;
}

/* The whole member whose value is the frame's null. */
static bool find_member(const struct usage_filter *f, const struct answer_frame *frame,
                        uint64_t *ret_from, uint64_t *ret_to)
{
    static const char key[] = "\"usage\"";
    const size_t n_key = sizeof key - 1;
    uint64_t at = before_space(f, frame->begin, frame->null_begin);
    uint64_t to = frame->null_begin + 4;

    if (at == frame->begin || byte_at(f, at - 1) != ':')
        return false;
    at = before_space(f, frame->begin, at - 1);
    if (at - frame->begin <= n_key)
        return false;
    at -= n_key;
    for (size_t i = 0; i < n_key; i++) {
        if (byte_at(f, at + i) != key[i])
            return false;
    }
    *ret_from = at;
    at = before_space(f, frame->begin, at);
    if (at > frame->begin && byte_at(f, at - 1) == ',') {
        *ret_from = at - 1;
    } else {
        while (to < frame->end && (byte_at(f, to) == ' ' || byte_at(f, to) == '\t'))
            to++;
        if (to < frame->end && byte_at(f, to) == ',')
            to++;
    }
    *ret_to = to;
    return true;
}

static void on_frame(void *context, const struct answer_frame *frame)
{
    struct usage_filter *f = context;
    bool is_held = f->done == frame->begin && frame->end - frame->begin <= LIMIT_EVENT_HELD_BYTES;
    uint64_t from;
    uint64_t to;

    if (is_held && frame->is_usage_only) {
        f->done = frame->end;
        return;
    }
    if (is_held && frame->null_begin > 0 && find_member(f, frame, &from, &to)) {
        pass_to(f, from);
        f->done = to;
    }
    pass_to(f, frame->end);
}

void usage_filter_init(struct usage_filter *f, struct answer_scan *scan)
{
    *f = (struct usage_filter){.scan = scan};
    scan->frame_fn = on_frame;
    scan->frame_context = f;
}

void usage_filter_deinit(struct usage_filter *f)
{
    buf_deinit(&f->held);
}

/* What is left of the span belongs to a frame that goes on. */
static void hold_rest(struct usage_filter *f)
{
    uint64_t end = f->span_begin + f->span.len;

    if (f->scan->kind != ANSWER_EVENTS || end - f->done > LIMIT_EVENT_HELD_BYTES)
        pass_to(f, end);
    if (f->done >= f->span_begin) {
        buf_clear(&f->held);
        f->held_begin = f->done;
    }
    uint64_t from = MAX(f->done, f->span_begin);

    if (from < end)
        buf_append(&f->held, f->span.ptr + (from - f->span_begin), (size_t)(end - from));
    POST(f->held.len <= LIMIT_EVENT_HELD_BYTES);
}

void usage_filter_feed(struct usage_filter *f, struct str span, struct buf *out)
{
    f->span = span;
    f->out = out;
    answer_scan_feed(f->scan, span);
    hold_rest(f);
    f->span_begin += span.len;
    f->span = STR_NULL;
}

void usage_filter_end(struct usage_filter *f, struct buf *out)
{
    f->out = out;
    answer_scan_end(f->scan);
    pass_to(f, f->span_begin);
}
