/* The event-stream reader: one state machine over parts of lines.
 *
 *   line:  FIELD -> SPACE -> DATA | NAME | OTHER -> (line end) -> FIELD ...; a line end in an empty
 *          FIELD is the blank line that ends the frame
 *
 * A line's end is looked for with memchr, LF and CR in turn, window by window: in a stream of
 * nothing but CRs each search stays short. Data that lies in the input as one piece is not told
 * before the input or the frame ends, so that a frame that is whole in it is told whole. The struct
 * is the caller's; nothing is allocated. What the data means is for others. */
#include "llm/event_stream.h"

#include "base/limits.h"

enum line {
    LINE_FIELD,      /* its name, up to the colon */
    LINE_DATA_SPACE, /* behind "data:": one space is not part of the value */
    LINE_NAME_SPACE, /* the same behind "event:" */
    LINE_DATA,
    LINE_NAME,
    LINE_OTHER, /* a comment, "id", "retry", or nothing that is known */
};

#define WINDOW 512

static size_t line_end(struct str s)
{
    for (size_t at = 0; at < s.len; at += WINDOW) {
        const char *p = s.ptr + at;
        size_t n = MIN((size_t)WINDOW, s.len - at);
        const char *lf = memchr(p, '\n', n);
        const char *cr = memchr(p, '\r', lf ? (size_t)(lf - p) : n);

        if (cr || lf)
            return (size_t)((cr ? cr : lf) - s.ptr);
    }
    return s.len;
}

static void advance(struct event_stream *s, struct str *input, size_t n)
{
    *input = (struct str){input->ptr + n, input->len - n};
    s->offset += n;
}

/* The byte order mark is read over; bytes that only begin like one begin a line of no known field.
 */
static bool skip_bom(struct event_stream *s, struct str *input)
{
    static const char bom[3] = "\xef\xbb\xbf";

    while (s->n_bom < 3) {
        if (input->len == 0)
            return false;
        if (input->ptr[0] != bom[s->n_bom]) {
            if (s->n_bom > 0) {
                s->line = LINE_OTHER;
                s->has_unknown = true;
            }
            s->n_bom = 3;
            return true;
        }
        s->n_bom++;
        advance(s, input, 1);
    }
    return true;
}

static void begin_data(struct event_stream *s)
{
    s->line = LINE_DATA_SPACE;
    s->owes_joint = s->has_data;
    s->has_lines = s->has_data;
    if (!s->has_data)
        s->data_begin = s->offset;
    s->has_data = true;
}

/* The field's name is complete: at a colon, or at the end of a line without one. */
static void begin_value(struct event_stream *s)
{
    struct str field = str_make(s->field, s->n_field);

    s->n_field = 0;
    if (str_eq(field, STR("data"))) {
        begin_data(s);
    } else if (str_eq(field, STR("event"))) {
        s->line = LINE_NAME_SPACE;
        s->name_len = 0;
    } else {
        s->line = LINE_OTHER;
        s->has_unknown |=
            field.len > 0 && !str_eq(field, STR("id")) && !str_eq(field, STR("retry"));
    }
}

/* `n` bytes of the line lie at the input's start. */
static void read_field(struct event_stream *s, struct str *input, size_t *n)
{
    if (s->n_field == 0 && *n >= 5 && memcmp(input->ptr, "data:", 5) == 0) {
        advance(s, input, 5);
        *n -= 5;
        begin_data(s);
        return;
    }
    while (*n > 0 && s->line == LINE_FIELD) {
        char c = input->ptr[0];

        advance(s, input, 1);
        --*n;
        if (c == ':')
            begin_value(s);
        else if (s->n_field < sizeof s->field)
            s->field[s->n_field++] = c;
        else
            begin_value(s); /* longer than any that is known */
    }
}

static void skip_space(struct event_stream *s, struct str *input, size_t *n)
{
    bool is_data = s->line == LINE_DATA_SPACE;

    if (*n == 0 || (!is_data && s->line != LINE_NAME_SPACE))
        return;
    if (input->ptr[0] == ' ') {
        advance(s, input, 1);
        --*n;
    }
    s->line = is_data ? LINE_DATA : LINE_NAME;
    if (is_data && !s->has_lines)
        s->data_begin = s->offset;
}

static void keep_name(struct event_stream *s, struct str part)
{
    size_t n = MIN(part.len, sizeof s->name - s->name_len);

    memcpy(s->name + s->name_len, part.ptr, n);
    s->name_len = (uint8_t)(s->name_len + n);
}

/* The part of `part` within the bound on a frame's data. */
static struct str bounded(struct event_stream *s, struct str part)
{
    size_t room = LIMIT_EVENT_BYTES - s->n_data;

    if (part.len > room) {
        part.len = room;
        s->is_cut = true;
    }
    s->n_data += part.len;
    return part;
}

/* CR, LF or CRLF; the LF of the latter is taken when it is there. */
static void end_line(struct event_stream *s)
{
    if (s->line == LINE_FIELD && s->n_field == 0)
        s->is_over = true;
    else if (s->line == LINE_FIELD)
        begin_value(s);
    s->line = LINE_FIELD;
    s->n_field = 0;
}

static enum event_step tell_piece(struct event_stream *s, struct str piece, struct event *ret_event)
{
    s->is_pieced = true;
    ret_event->data = piece;
    return EVENT_STREAM_DATA;
}

static enum event_step tell_frame(struct event_stream *s, struct str piece, struct event *ret_event)
{
    *ret_event = (struct event){
        .name = str_make(s->name, s->name_len),
        .data = piece,
        .begin = s->begin,
        .end = s->offset,
        .data_begin = s->data_begin,
        .n_data = s->n_data,
        .has_data = s->has_data,
        .is_whole = s->has_data && !s->is_pieced && !s->is_cut,
        .is_one_line = s->has_data && !s->has_lines,
        .is_cut = s->is_cut,
        .has_unknown = s->has_unknown,
        .is_unfinished = !s->is_over,
    };
    s->begin = s->offset;
    s->n_data = 0;
    s->name_len = 0;
    s->is_over = s->has_data = s->has_lines = s->owes_joint = s->is_pieced = s->is_cut = false;
    s->has_unknown = false;
    return EVENT_STREAM_FRAME;
}

/* A part of one line, and its end when that is there. */
static void read_part(struct event_stream *s, struct str *input, struct str *ret_piece)
{
    size_t n = line_end(*input);
    bool has_end = n < input->len;

    if (s->line == LINE_FIELD)
        read_field(s, input, &n);
    if (s->owes_joint)
        return;
    skip_space(s, input, &n);
    if (s->line == LINE_DATA)
        *ret_piece = bounded(s, str_make(input->ptr, n));
    else if (s->line == LINE_NAME)
        keep_name(s, str_make(input->ptr, n));
    advance(s, input, n);
    if (!has_end)
        return;
    s->has_cr = input->ptr[0] == '\r';
    advance(s, input, 1);
    end_line(s);
}

enum event_step event_stream_next(struct event_stream *s, struct str *input,
                                  struct event *ret_event)
{
    struct str piece = {NULL, 0};

    if (UNLIKELY(s->n_bom < 3) && !skip_bom(s, input))
        return EVENT_STREAM_MORE;
    for (;;) {
        if (s->has_cr && input->len > 0) {
            if (input->ptr[0] == '\n')
                advance(s, input, 1);
            s->has_cr = false;
        }
        if (s->is_over && !s->has_cr)
            return tell_frame(s, piece, ret_event);
        if (s->owes_joint) {
            if (piece.len > 0)
                return tell_piece(s, piece, ret_event);
            s->owes_joint = false;
            return tell_piece(s, bounded(s, STR("\n")), ret_event);
        }
        if (input->len == 0)
            break;
        read_part(s, input, &piece);
    }
    return piece.len > 0 ? tell_piece(s, piece, ret_event) : EVENT_STREAM_MORE;
}

enum event_step event_stream_end(struct event_stream *s, struct event *ret_event)
{
    s->has_cr = false;
    if (s->begin == s->offset)
        return EVENT_STREAM_MORE;
    return tell_frame(s, (struct str){NULL, 0}, ret_event);
}
