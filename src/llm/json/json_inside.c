/* The fast way through objects and arrays that no path of the table leads into: tool schemas,
 * message parts, tensors; and through the elements of an array that has a frame only to be counted.
 * Only the grammar matters there, so the machine's state stays in registers, and tokens are taken
 * whole.
 *
 * Nothing is judged here. Whatever is not plainly a whole good token within the span (and short of
 * its last bytes, so that most reads need no check) is left to the machine of json_scan, with the
 * state that belongs to it. */
#include "llm/json/json_scan_internal.h"
#include "llm/json/json_skip.h"

/* Room that each turn of the loop may read without looking: a literal and what follows it. */
#define MARGIN 24

struct inside {
    struct json_scan *s;
    bytes end; /* of the span */
    unsigned depth;
    unsigned floor; /* levels that are not ours to close */
    enum json_state state;
    bool is_object;
    uint64_t n_items; /* values begun in the innermost level with a frame */
};

/* From behind a string's opening quote to its closing one, or to where json_skip stopped. */
static inline bytes skip_string(bytes p, bytes end)
{
    p += json_short_plain(p, (size_t)(end - p));
    if (LIKELY(p < end && *p == '"'))
        return p;
    return p + json_skip->string(p, (size_t)(end - p));
}

static inline bytes skip_digits(bytes p, bytes end)
{
    while (p < end && json_is_digit(*p))
        p++;
    return p;
}

/* Behind the number, or `p` when it is for the machine to judge. */
static inline bytes skip_number(bytes p, bytes end)
{
    bytes q = p + (*p == '-');

    if (*q == '0') {
        q++;
    } else {
        bytes first = q;

        q = skip_digits(q, end);
        if (q == first)
            return p;
    }
    if (q < end && *q == '.') {
        bytes first = ++q;

        q = skip_digits(q, end);
        if (q == first)
            return p;
    }
    if (q < end && (*q | 0x20) == 'e') {
        q++;
        if (q < end && (*q == '+' || *q == '-'))
            q++;
        bytes first = q;

        q = skip_digits(q, end);
        if (q == first)
            return p;
    }
    return q < end ? q : p; /* the span's end may cut it */
}

static inline bytes skip_literal(bytes p)
{
    if (memcmp(p, "true", 4) == 0 || memcmp(p, "null", 4) == 0)
        return p + 4;
    return memcmp(p, "false", 5) == 0 ? p + 5 : p;
}

/* A string that did not end goes on in the machine. */
static inline bytes leave_in_string(struct inside *i, bool is_key, bytes p)
{
    json_text_start(i->s, KEEP_NOTHING);
    i->s->is_key = is_key;
    i->state = STATE_STRING;
    return p;
}

/* Behind a value; takes the comma along, most often there without white space. */
static inline bytes end_value(struct inside *i, bytes p)
{
    if (p == i->end || *p != ',') {
        i->state = STATE_AFTER;
        return p;
    }
    i->state = i->is_object ? STATE_KEY : STATE_VALUE;
    return p + 1;
}

static inline bytes open_level(struct inside *i, bytes p)
{
    if (i->depth == LIMIT_JSON_DEPTH)
        return p;
    i->is_object = *p == '{';
    json_set_object(i->s, i->depth++, i->is_object);
    i->state = i->is_object ? STATE_FIRST_KEY : STATE_FIRST_VALUE;
    return p + 1;
}

static inline bytes close_level(struct inside *i, bytes p)
{
    if (*p != (i->is_object ? '}' : ']') || i->depth == i->floor)
        return p;
    i->depth--; /* the document itself has a frame: some level stays open */
    i->is_object = json_is_object(i->s, i->depth - 1);
    i->state = STATE_AFTER;
    return p + 1;
}

static inline bytes skip_key(struct inside *i, bytes p)
{
    if (*p != '"')
        return i->state == STATE_FIRST_KEY ? close_level(i, p) : p;
    p = skip_string(p + 1, i->end);
    if (p == i->end || *p != '"')
        return leave_in_string(i, true, p);
    if (++p == i->end || *p != ':') {
        i->state = STATE_COLON;
        return p;
    }
    i->state = STATE_VALUE;
    return p + 1;
}

static inline bytes skip_value(struct inside *i, bytes p)
{
    bool is_counted = i->depth == i->floor;
    bytes next;

    switch (*p) {
    case '"':
        i->n_items += is_counted;
        p = skip_string(p + 1, i->end);
        if (p == i->end || *p != '"')
            return leave_in_string(i, false, p);
        return end_value(i, p + 1);
    case '{':
    case '[':
        next = open_level(i, p);
        i->n_items += is_counted && next != p;
        return next;
    case ']':
        return i->state == STATE_FIRST_VALUE ? close_level(i, p) : p;
    case 't':
    case 'f':
    case 'n':
        next = skip_literal(p);
        break;
    default:
        next = *p == '-' || json_is_digit(*p) ? skip_number(p, i->end) : p;
    }
    i->n_items += is_counted && next != p;
    return next != p ? end_value(i, next) : p;
}

static inline bytes skip_structure(struct inside *i, bytes p)
{
    switch (i->state) {
    case STATE_FIRST_KEY:
    case STATE_KEY:
        return skip_key(i, p);
    case STATE_FIRST_VALUE:
    case STATE_VALUE:
        return skip_value(i, p);
    case STATE_COLON:
        if (*p != ':')
            return p;
        i->state = STATE_VALUE;
        return p + 1;
    default:
        if (*p != ',')
            return close_level(i, p);
        i->state = i->is_object ? STATE_KEY : STATE_VALUE;
        return p + 1;
    }
}

bytes json_inside_skip(struct json_scan *s, bytes p, bytes end)
{
    struct inside i = {.s = s,
                       .end = end,
                       .depth = s->depth,
                       .floor = s->n_frames,
                       .state = (enum json_state)s->state,
                       .is_object = json_is_object(s, s->depth - 1)};
    unsigned least = json_only_counts(s, i.floor) ? i.floor : i.floor + 1;

    while (end - p >= MARGIN && i.depth >= least && i.state < STATE_END) {
        bytes next;

        if (UNLIKELY(json_is_space(*p))) {
            p += json_skip->space(p, (size_t)(end - p));
            continue;
        }
        next = skip_structure(&i, p);
        if (next == p)
            break;
        p = next;
    }
    s->depth = i.depth;
    s->state = (uint8_t)i.state;
    s->frames[i.floor - 1].n_items += i.n_items;
    return p;
}
