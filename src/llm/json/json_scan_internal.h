/* What the parts of the scanner share: its states, the text that is kept of a string, and the fast
 * way through what no path leads to. Included by json_*.c alone. */
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "llm/json/json_scan.h"

enum json_state {
    STATE_VALUE,
    STATE_FIRST_VALUE, /* or ']' */
    STATE_FIRST_KEY,   /* or '}' */
    STATE_KEY,
    STATE_COLON,
    STATE_AFTER,
    STATE_END, /* up to here: between tokens */
    STATE_STRING,
    STATE_ESCAPE,
    STATE_HEX,
    STATE_CHARACTER, /* inside one of several bytes */
    STATE_NUMBER,
    STATE_LITERAL,
};

/* What becomes of the string under way. */
enum json_keep {
    KEEP_NOTHING,
    KEEP_COUNT,
    KEEP_TEXT,
};

typedef const unsigned char *bytes;

static inline bool json_is_space(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool json_is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* Of an open level, counted from 0. */
static inline bool json_is_object(const struct json_scan *s, unsigned level)
{
    return (s->is_object[level / 64] >> (level % 64)) & 1;
}

static inline void json_set_object(struct json_scan *s, unsigned level, bool is_object)
{
    uint64_t bit = UINT64_C(1) << (level % 64);

    if (is_object)
        s->is_object[level / 64] |= bit;
    else
        s->is_object[level / 64] &= ~bit;
}

/* Of the open levels with a frame, the innermost is an array whose elements have no node. */
static inline bool json_only_counts(const struct json_scan *s, unsigned n_frames)
{
    return n_frames > 0 && !json_is_object(s, n_frames - 1) &&
           s->paths->nodes[s->frames[n_frames - 1].node].star == JSON_NODE_NONE;
}

/* Leading bytes of a string's inside that are ASCII and stand for themselves, at most 16: where
 * most names and words end. */
static inline size_t json_short_plain(bytes p, size_t n)
{
#ifdef __SSE2__
    if (LIKELY(n >= 16)) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i special =
            _mm_or_si128(_mm_or_si128(v, _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v)),
                         _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                      _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
        unsigned mask = (unsigned)_mm_movemask_epi8(special);

        return mask != 0 ? (size_t)__builtin_ctz(mask) : 16;
    }
#endif
    size_t i = 0;

    while (i < n && i < 16 && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

/* json_text.c: the text, or its length alone, of the string or number under way. */
void json_text_start(struct json_scan *s, enum json_keep keep);
void json_text_add(struct json_scan *s, const void *text, size_t n);
/* One \uXXXX. */
void json_text_add_unit(struct json_scan *s, uint16_t unit);
/* After these calls s->text is whole characters. */
void json_text_end(struct json_scan *s);

/* json_inside.c: goes on from `p`, in a level without a frame or one that only counts, through
 * whole tokens, as far as they are plainly fine, lie in the span, and close no level with a frame.
 * Never judges; may return `p` itself. */
bytes json_inside_skip(struct json_scan *s, bytes p, bytes end);
