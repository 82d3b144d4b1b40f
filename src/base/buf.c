/* Growable bytes, doubling. JSON escaping lives here because every level writes JSON text (access
 * log, admin, check --format json) and all must escape alike. */
#include "base/buf.h"

#include <stdio.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/assert.h"
#include "base/mem.h"

void buf_deinit(struct buf *b)
{
    mem_free(b->ptr);
    *b = (struct buf){0};
}

char *buf_grow(struct buf *b, size_t extra)
{
    size_t need;
    size_t cap = MAX(b->cap * 2, (size_t)256);

    ASSERT(!__builtin_add_overflow(b->len, extra, &need));
    b->cap = MAX(cap, need);
    b->ptr = mem_realloc(b->ptr, b->cap);
    return b->ptr + b->len;
}

void buf_append_u64(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;

    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_append(b, digits + n, sizeof digits - n);
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;

    PRE(format != NULL); /* or gcc, with UBSan's checks in, warns of the path where it is */
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);

    va_end(again);
    ASSERT(len >= 0);
    vsnprintf(buf_reserve(b, (size_t)len + 1), (size_t)len + 1, format, args);
    b->len += (size_t)len;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_consume(struct buf *b, size_t n)
{
    PRE(n <= b->len);
    b->len -= n;
    if (b->len > 0)
        memmove(b->ptr, b->ptr + n, b->len);
}

/* Length of the well-formed UTF-8 sequence at s[i], or 0 (RFC 3629: no overlongs, no surrogates).
 */
static size_t buf_utf8_length(struct str s, size_t i)
{
    const unsigned char *p = (const unsigned char *)s.ptr + i;
    size_t left = s.len - i;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
        return 0;
    for (size_t k = 1; k < n; k++) {
        if ((p[k] & 0xc0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

enum { BUF_JSON_BLOCK = 16, BUF_JSON_RUN = 64, BUF_JSON_AT_ONCE = 256 };

#ifdef __SSE2__
typedef __m128i buf_block;

static inline buf_block buf_block_of(uint64_t first, uint64_t second)
{
    return _mm_set_epi64x((int64_t)second, (int64_t)first);
}

/* A bit for each byte that does not stand for itself in JSON. */
static inline unsigned buf_block_odd(buf_block v)
{
    __m128i odd = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), /* signed: past ASCII too */
                               _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));

    odd = _mm_or_si128(odd, _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
    odd = _mm_or_si128(odd, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(odd);
}
#else
typedef struct {
    unsigned char bytes[BUF_JSON_BLOCK];
} buf_block;

static inline buf_block buf_block_of(uint64_t first, uint64_t second)
{
    buf_block v;

    memcpy(v.bytes, &first, sizeof first);
    memcpy(v.bytes + sizeof first, &second, sizeof second);
    return v;
}

static inline unsigned buf_block_odd(buf_block v)
{
    unsigned odd = 0;

    for (unsigned i = 0; i < BUF_JSON_BLOCK; i++) {
        unsigned char c = v.bytes[i];

        odd |= (unsigned)(c < 0x20 || c >= 0x7f || c == '"' || c == '\\') << i;
    }
    return odd;
}
#endif

/* Copies a block; a bit for each of its bytes that does not stand for itself. */
static inline unsigned buf_copy_json_block(char *to, const char *from)
{
    buf_block v;

    memcpy(&v, from, sizeof v);
    memcpy(to, &v, sizeof v);
    return buf_block_odd(v);
}

/* How many of a block's bytes, from the first on, stand for themselves. */
static inline size_t buf_plain_json_block(const char *p)
{
    buf_block v;
    unsigned odd;

    memcpy(&v, p, sizeof v);
    odd = buf_block_odd(v);
    return odd != 0 ? (size_t)__builtin_ctz(odd) : BUF_JSON_BLOCK;
}

/* NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR: some readers of lines end one there. NULL: none. */
static const char *buf_line_end(struct str sequence)
{
    if (str_eq(sequence, STR("\xc2\x85")))
        return "\\u0085";
    if (str_eq(sequence, STR("\xe2\x80\xa8")))
        return "\\u2028";
    return str_eq(sequence, STR("\xe2\x80\xa9")) ? "\\u2029" : NULL;
}

static size_t buf_append_json_special(struct buf *b, struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.ptr[i];
    size_t n = c >= 0x80 ? buf_utf8_length(s, i) : 0;
    const char *line_end = n > 0 ? buf_line_end(str_slice(s, i, i + n)) : NULL;

    if (n > 0) {
        buf_append_str(b, line_end ? str_of(line_end) : str_slice(s, i, i + n));
        return n;
    }
    if (c == '"' || c == '\\')
        buf_printf(b, "\\%c", c);
    else if (c == '\n')
        buf_append(b, "\\n", 2);
    else
        buf_printf(b, c >= 0x80 ? "\\ufffd" : "\\u%04x", c);
    return 1;
}

/* Appends a run of s from i on as far as its bytes stand for themselves; returns how many do. They
 * are judged where they were copied to, a block at a time: behind the last one is room of our own.
 * A run is short, since what lies behind an escape is copied again. */
static size_t buf_append_json_plain(struct buf *b, struct str s, size_t i)
{
    size_t left = MIN(s.len - i, (size_t)BUF_JSON_RUN);
    char *out = buf_reserve(b, left + BUF_JSON_BLOCK);
    size_t n = 0;
    size_t n_plain;

    memcpy(out, s.ptr + i, left);
    memset(out + left, 0, BUF_JSON_BLOCK); /* a zero ends the run */
    do {
        n_plain = buf_plain_json_block(out + n);
        n += n_plain;
    } while (n_plain == BUF_JSON_BLOCK);
    b->len += n;
    return n;
}

/* The same of fewer bytes than a block: in two pieces that overlap, and judged in registers, since
 * a block that was just written in pieces is slow to read. */
static inline unsigned buf_copy_json_short(char *to, struct str s)
{
    uint64_t first, last;
    uint32_t low, high;

    if (s.len >= sizeof first) {
        memcpy(&first, s.ptr, sizeof first);
        memcpy(&last, s.ptr + s.len - sizeof last, sizeof last);
        memcpy(to, &first, sizeof first);
        memcpy(to + s.len - sizeof last, &last, sizeof last);
        return buf_block_odd(buf_block_of(first, last));
    }
    if (s.len >= sizeof low) {
        memcpy(&low, s.ptr, sizeof low);
        memcpy(&high, s.ptr + s.len - sizeof high, sizeof high);
        memcpy(to, &low, sizeof low);
        memcpy(to + s.len - sizeof high, &high, sizeof high);
        first = low | (uint64_t)high << 32;
        return buf_block_odd(buf_block_of(first, first));
    }
    first = 0;
    for (size_t i = 0; i < s.len; i++) {
        to[i] = s.ptr[i];
        first = first << 8 | (unsigned char)s.ptr[i];
    }
    return buf_block_odd(buf_block_of(first, 0)) & ((1U << s.len) - 1);
}

/* Most texts are short and need no escape: those are judged while they are copied, by blocks, the
 * last one of which overlaps the one before. False: nothing was appended. */
static inline bool buf_append_json_at_once(struct buf *b, struct str s)
{
    char *out;
    unsigned odd = 0;

    if (UNLIKELY(s.len > BUF_JSON_AT_ONCE))
        return false;
    out = buf_reserve(b, s.len + 2);
    if (s.len < BUF_JSON_BLOCK) {
        odd = buf_copy_json_short(out + 1, s);
    } else {
        size_t last = s.len - BUF_JSON_BLOCK;

        for (size_t i = 0; i < last; i += BUF_JSON_BLOCK)
            odd |= buf_copy_json_block(out + 1 + i, s.ptr + i);
        odd |= buf_copy_json_block(out + 1 + last, s.ptr + last);
    }
    out[0] = out[1 + s.len] = '"';
    b->len += odd == 0 ? s.len + 2 : 0;
    return odd == 0;
}

static NOINLINE void buf_append_json_escaped(struct buf *b, struct str s)
{
    size_t i = 0;

    buf_append_char(b, '"');
    while (i < s.len) {
        size_t n = buf_append_json_plain(b, s, i);

        i += n;
        if (i < s.len && n < BUF_JSON_RUN)
            i += buf_append_json_special(b, s, i);
    }
    buf_append_char(b, '"');
}

void buf_append_json(struct buf *b, struct str s)
{
    if (UNLIKELY(!buf_append_json_at_once(b, s)))
        buf_append_json_escaped(b, s);
}
