/* The fast way through objects and arrays that no path of the table leads to: tool schemas, message
 * parts, tensors. Only the grammar matters there, so the machine's state stays in registers, and
 * tokens are taken whole.
 *
 * Nothing is judged here. Whatever is not plainly a whole good token within the span (and short of
 * its last bytes, so that most reads need no check) is left to the machine of json_scan, with the
 * state that belongs to it. */
#include "llm/json_scan_internal.h"
#include "llm/json_skip.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Room that each turn of the loop may read without looking: a literal and what follows it. */
#define MARGIN 24

struct inside {
    struct json_scan *s;
    bytes end; /* of the span */
    unsigned depth;
    enum json_state state;
    bool is_object;
};

/* From behind a string's opening quote to its closing one, or to where json_skip stopped. */
static inline bytes skip_string(bytes p, bytes end)
{
#ifdef __SSE2__
    /* Most names and words end within 16 bytes. */
    if (LIKELY(end - p >= 16)) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i special =
            _mm_or_si128(_mm_or_si128(v, _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v)),
                         _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                      _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
        unsigned mask = (unsigned)_mm_movemask_epi8(special);

        p += mask != 0 ? __builtin_ctz(mask) : 16;
        if (mask != 0 && *p == '"')
            return p;
    }
#endif
    return p + json_skip->string(p, (size_t)(end - p));
}

/* Behind the number, or `p` when it is for the machine to judge. */
static inline bytes skip_number(bytes p, bytes end)
{
    bytes q = p + (*p == '-');

    if (*q == '0') {
        q++;
    } else {
        bytes first = q;

        while (q < end && json_is_digit(*q))
            q++;
        if (q == first)
            return p;
    }
    if (q < end && *q == '.') {
        bytes first = ++q;

        while (q < end && json_is_digit(*q))
            q++;
        if (q == first)
            return p;
    }
    /* An exponent is rare enough for the machine; so is a number that the span may cut. */
    return q < end && *q != 'e' && *q != 'E' ? q : p;
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
    if (*p != (i->is_object ? '}' : ']'))
        return p;
    i->depth--; /* of the document itself there is always a frame, so some level stays open */
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
    bytes next;

    switch (*p) {
    case '"':
        p = skip_string(p + 1, i->end);
        if (p == i->end || *p != '"')
            return leave_in_string(i, false, p);
        return end_value(i, p + 1);
    case '{':
    case '[':
        return open_level(i, p);
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
                       .state = (enum json_state)s->state,
                       .is_object = json_is_object(s, s->depth - 1)};
    unsigned floor = s->n_frames;

    while (end - p >= MARGIN && i.depth > floor && i.state < STATE_END) {
        bytes next;

        if (UNLIKELY(json_is_space(*p))) {
            p += json_skip->space(p, (size_t)(end - p));
            continue;
        }
        next = skip_structure(&i, p);
        if (next == p && i.state != STATE_STRING)
            break;
        p = next;
    }
    s->depth = i.depth;
    s->state = (uint8_t)i.state;
    return p;
}
