/* Skipping 16 bytes at a time, with what every x86-64 has.
 *
 * Characters past ASCII are judged one by one: SSE2 has no table lookup to do better. Pure. */
#include "llm/json/json_skip.h"

#ifdef __x86_64__

#include <emmintrin.h>

#include "llm/json/json_skip_block.h"

static __m128i load(const unsigned char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static uint64_t mask_of(__m128i v)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(v);
}

static struct json_block find_specials(const unsigned char *p)
{
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i last_control = _mm_set1_epi8(0x1f);
    struct json_block b = {0, 0, 0};

    for (unsigned i = 0; i < JSON_BLOCK; i += 16) {
        __m128i v = load(p + i);
        __m128i is_control = _mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v);

        b.stop |= mask_of(_mm_or_si128(is_control, _mm_cmpeq_epi8(v, quote))) << i;
        b.backslash |= mask_of(_mm_cmpeq_epi8(v, backslash)) << i;
        b.high |= mask_of(v) << i;
    }
    return b;
}

static inline size_t skip_block(const unsigned char *p, bool passes_escapes, bool *ret_is_over)
{
    struct json_block b = find_specials(p);
    size_t n = json_block_escapes(p, b, passes_escapes, ret_is_over);
    size_t n_good = json_block_characters(p, n, b.high);

    /* A character that the block cuts is judged with the next one. */
    if (n_good < n && n_good < JSON_BLOCK - 3)
        *ret_is_over = true;
    return n_good;
}

static inline size_t skip_blocks(const unsigned char *p, size_t n, bool passes_escapes)
{
    unsigned char last[JSON_BLOCK] = {0}; /* a zero ends every string, escape and character */
    bool is_over = false;
    size_t i = 0;

    while (n - i >= JSON_BLOCK) {
        i += skip_block(p + i, passes_escapes, &is_over);
        if (is_over)
            return i;
    }
    memcpy(last, p + i, n - i);
    return i + skip_block(last, passes_escapes, &is_over);
}

static size_t skip_string(const unsigned char *p, size_t n)
{
    return skip_blocks(p, n, true);
}

static size_t skip_plain(const unsigned char *p, size_t n)
{
    return skip_blocks(p, n, false);
}

static size_t skip_space(const unsigned char *p, size_t n)
{
    size_t i = 0;

    for (; n - i >= 16; i += 16) {
        __m128i v = load(p + i);
        __m128i is_space = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(' ')),
                                                     _mm_cmpeq_epi8(v, _mm_set1_epi8('\n'))),
                                        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\r')),
                                                     _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'))));
        unsigned other = ~(unsigned)_mm_movemask_epi8(is_space) & 0xffff;

        if (other != 0)
            return i + (size_t)__builtin_ctz(other);
    }
    return i + json_skip_scalar.space(p + i, n - i);
}

const struct json_skip_ops json_skip_sse2 = {"sse2", skip_string, skip_plain, skip_space};

#endif
