/* Skipping 32 bytes at a time, characters past ASCII included.
 *
 * UTF-8 is checked by table lookups on half bytes (Keiser and Lemire, "Validating UTF-8 in less
 * than one instruction per byte", 2021): three tables, indexed by the halves of a byte's
 * predecessor and the high half of itself, name the errors that each allows; an error that all
 * three name is one. Each block begins between two characters, so nothing is carried over; what the
 * block cuts is left to the next. Compiled for AVX2 function by function, so that the rest of the
 * file's users need not have it. */
#include "llm/json/json_skip.h"

#ifdef __x86_64__

#include <immintrin.h>

#include "llm/json/json_skip_block.h"

#define AVX2        __attribute__((target("avx2,bmi")))
#define AVX2_INLINE static inline __attribute__((target("avx2,bmi"), always_inline))

AVX2_INLINE __m256i load(const unsigned char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2_INLINE uint64_t mask_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

AVX2_INLINE __m256i is_stop(__m256i v)
{
    __m256i is_control = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);

    return _mm256_or_si256(is_control, _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')));
}

AVX2_INLINE struct json_block find_specials(__m256i low, __m256i high)
{
    const __m256i backslash = _mm256_set1_epi8('\\');

    return (struct json_block){
        .stop = mask_of(is_stop(low), is_stop(high)),
        .backslash = mask_of(_mm256_cmpeq_epi8(low, backslash), _mm256_cmpeq_epi8(high, backslash)),
        .high = mask_of(low, high),
    };
}

/* ---- UTF-8 ---- */

enum {
    TOO_SHORT = 1 << 0,  /* a lead and no tail behind it */
    TOO_LONG = 1 << 1,   /* ASCII and a tail behind it */
    OVERLONG_3 = 1 << 2, /* E0 and a tail below A0 */
    TOO_LARGE = 1 << 3,  /* F4 and a tail past 8F, or F5 and up */
    SURROGATE = 1 << 4,  /* ED and a tail past 9F */
    OVERLONG_2 = 1 << 5, /* C0, C1 */
    TOO_LARGE_1000 = 1 << 6,
    OVERLONG_4 = 1 << 6, /* F0 and a tail below 90 */
    TWO_TAILS = 1 << 7,
    CARRY = TOO_SHORT | TOO_LONG | TWO_TAILS, /* whatever the low half of the first byte */
};

#define TABLE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)
#define ROW(x)     (char)(x)

AVX2_INLINE __m256i first_high_half(__m256i half)
{
    const __m256i table =
        TABLE(TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
              ROW(TWO_TAILS), ROW(TWO_TAILS), ROW(TWO_TAILS), ROW(TWO_TAILS),
              TOO_SHORT | OVERLONG_2, TOO_SHORT, TOO_SHORT | OVERLONG_3 | SURROGATE,
              TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4);

    return _mm256_shuffle_epi8(table, half);
}

AVX2_INLINE __m256i first_low_half(__m256i half)
{
    const __m256i table =
        TABLE(ROW(CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4), ROW(CARRY | OVERLONG_2),
              ROW(CARRY), ROW(CARRY), ROW(CARRY | TOO_LARGE),
              ROW(CARRY | TOO_LARGE | TOO_LARGE_1000), ROW(CARRY | TOO_LARGE | TOO_LARGE_1000),
              ROW(CARRY | TOO_LARGE | TOO_LARGE_1000), ROW(CARRY | TOO_LARGE | TOO_LARGE_1000),
              ROW(CARRY | TOO_LARGE | TOO_LARGE_1000), ROW(CARRY | TOO_LARGE | TOO_LARGE_1000),
              ROW(CARRY | TOO_LARGE | TOO_LARGE_1000), ROW(CARRY | TOO_LARGE | TOO_LARGE_1000),
              ROW(CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE),
              ROW(CARRY | TOO_LARGE | TOO_LARGE_1000), ROW(CARRY | TOO_LARGE | TOO_LARGE_1000));

    return _mm256_shuffle_epi8(table, half);
}

AVX2_INLINE __m256i second_high_half(__m256i half)
{
    const __m256i table = TABLE(
        TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
        ROW(TOO_LONG | OVERLONG_2 | TWO_TAILS | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4),
        ROW(TOO_LONG | OVERLONG_2 | TWO_TAILS | OVERLONG_3 | TOO_LARGE),
        ROW(TOO_LONG | OVERLONG_2 | TWO_TAILS | SURROGATE | TOO_LARGE),
        ROW(TOO_LONG | OVERLONG_2 | TWO_TAILS | SURROGATE | TOO_LARGE), TOO_SHORT, TOO_SHORT,
        TOO_SHORT, TOO_SHORT);

    return _mm256_shuffle_epi8(table, half);
}

/* `v` moved up by n bytes, behind the last bytes of what came before. */
#define SHIFTED(v, before, n)                                                                      \
    _mm256_alignr_epi8(v, _mm256_permute2x128_si256(before, v, 0x21), 16 - (n))

/* Not zero at each byte where a fault shows. */
AVX2_INLINE __m256i utf8_faults(__m256i v, __m256i before)
{
    const __m256i low_half = _mm256_set1_epi8(0x0f);
    __m256i previous = SHIFTED(v, before, 1);
    __m256i by_pairs = _mm256_and_si256(
        _mm256_and_si256(
            first_high_half(_mm256_and_si256(_mm256_srli_epi16(previous, 4), low_half)),
            first_low_half(_mm256_and_si256(previous, low_half))),
        second_high_half(_mm256_and_si256(_mm256_srli_epi16(v, 4), low_half)));
    /* A second or third tail is due exactly behind the lead of three or four bytes: there two
     * tails in a row are right, elsewhere they are the fault that by_pairs names. */
    __m256i third = _mm256_subs_epu8(SHIFTED(v, before, 2), _mm256_set1_epi8((char)(0xe0 - 0x80)));
    __m256i fourth = _mm256_subs_epu8(SHIFTED(v, before, 3), _mm256_set1_epi8((char)(0xf0 - 0x80)));
    __m256i due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));

    return _mm256_xor_si256(due, by_pairs);
}

/* Bytes up to n at which no fault shows that are whole characters. A fault shows at most three
 * bytes behind the lead of its character, at `n` itself when that is no tail. */
AVX2_INLINE size_t whole_characters(const unsigned char *p, size_t n, __m256i low, __m256i high)
{
    const __m256i zero = _mm256_setzero_si256();
    uint64_t faults = ~mask_of(_mm256_cmpeq_epi8(utf8_faults(low, zero), zero),
                               _mm256_cmpeq_epi8(utf8_faults(high, low), zero));
    size_t at = faults != 0 ? (size_t)__builtin_ctzll(faults) : JSON_BLOCK;

    if (at > n)
        return n;
    if (at == JSON_BLOCK) { /* no fault, but perhaps a cut */
        size_t lead = JSON_BLOCK - 1;

        while (lead > JSON_BLOCK - 4 && json_is_tail(p[lead]))
            lead--;
        size_t length = p[lead] < 0xc0 ? 1 : p[lead] < 0xe0 ? 2 : p[lead] < 0xf0 ? 3 : 4;

        return lead + length > JSON_BLOCK && p[lead] >= 0x80 ? lead : JSON_BLOCK;
    }
    /* Behind ASCII the fault is this byte's own. Else the character before may be the one that
     * lacks a tail; those before it are whole. ASCII is not passed: it may belong to an escape. */
    if (at == 0 || p[at - 1] < 0x80)
        return at;
    do
        at--;
    while (at > 0 && json_is_tail(p[at]));
    return at;
}

/* ---- Escapes ---- */

enum {
    LETTER_2 = 1 << 0, /* what may stand behind a backslash, by its high half: " / */
    LETTER_5 = 1 << 1, /* \ */
    LETTER_6 = 1 << 2, /* b f n */
    LETTER_7 = 1 << 3, /* r t */
    HEX_3 = 1 << 4,    /* 0 to 9 */
    HEX_46 = 1 << 5,   /* A to F, a to f */
    LETTERS = LETTER_2 | LETTER_5 | LETTER_6 | LETTER_7,
    HEX = HEX_3 | HEX_46,
};

AVX2_INLINE __m256i classes_of(__m256i v)
{
    const __m256i half = _mm256_set1_epi8(0x0f);
    const __m256i by_high = TABLE(0, 0, LETTER_2, HEX_3, HEX_46, LETTER_5, LETTER_6 | HEX_46,
                                  LETTER_7, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i by_low =
        TABLE(HEX_3, HEX, LETTER_2 | LETTER_6 | LETTER_7 | HEX, HEX, LETTER_7 | HEX, HEX,
              LETTER_6 | HEX, HEX_3, HEX_3, HEX_3, 0, 0, LETTER_5, 0, LETTER_6, LETTER_2);

    return _mm256_and_si256(
        _mm256_shuffle_epi8(by_low, _mm256_and_si256(v, half)),
        _mm256_shuffle_epi8(by_high, _mm256_and_si256(_mm256_srli_epi16(v, 4), half)));
}

/* Bytes of the classes. */
AVX2_INLINE uint64_t class_mask(__m256i low, __m256i high, int classes)
{
    const __m256i wanted = _mm256_set1_epi8((char)classes);
    const __m256i zero = _mm256_setzero_si256();

    return ~mask_of(_mm256_cmpeq_epi8(_mm256_and_si256(low, wanted), zero),
                    _mm256_cmpeq_epi8(_mm256_and_si256(high, wanted), zero));
}

/* The bytes that a backslash escapes, in a block that begins between two escapes: of each run of
 * backslashes every second one, and the byte behind a run of odd length (Langdale and Lemire,
 * "Parsing gigabytes of JSON per second", 2019). */
AVX2_INLINE uint64_t escaped_bytes(uint64_t backslash)
{
    const uint64_t even = UINT64_C(0x5555555555555555);
    uint64_t behind = backslash << 1;
    uint64_t odd_starts = backslash & ~even & ~behind;

    return (even ^ ((odd_starts + backslash) << 1)) & behind;
}

/* As json_block_escapes, without a branch for each escape: prose has one in most blocks, at places
 * that no processor can foresee. What is not plainly fine goes there. */
AVX2_INLINE size_t pass_escapes(const unsigned char *p, struct json_block b, __m256i low,
                                __m256i high, bool *ret_is_over)
{
    const __m256i u = _mm256_set1_epi8('u');
    __m256i low_class = classes_of(low);
    __m256i high_class = classes_of(high);
    uint64_t escaped = escaped_bytes(b.backslash);
    uint64_t long_ones = escaped & mask_of(_mm256_cmpeq_epi8(low, u), _mm256_cmpeq_epi8(high, u));
    uint64_t digits = long_ones << 1 | long_ones << 2 | long_ones << 3 | long_ones << 4;
    uint64_t stop = b.stop & ~escaped;
    uint64_t faults = (escaped & ~long_ones & ~class_mask(low_class, high_class, LETTERS)) |
                      (digits & ~class_mask(low_class, high_class, HEX));
    uint64_t cuts =
        (long_ones & UINT64_C(0xf) << 60) | (b.backslash & ~escaped & UINT64_C(1) << 63);
    uint64_t until_stop = stop ^ (stop - 1); /* the first stop included; all when there is none */

    if (UNLIKELY((faults | cuts) & until_stop))
        return json_block_escapes(p, b, true, ret_is_over);
    *ret_is_over = stop != 0;
    return stop != 0 ? (size_t)__builtin_ctzll(stop) : JSON_BLOCK;
}

/* ---- Strings ---- */

AVX2_INLINE size_t skip_block(const unsigned char *p, bool passes_escapes, bool *ret_is_over)
{
    __m256i low = load(p);
    __m256i high = load(p + 32);
    struct json_block b = find_specials(low, high);
    size_t n = JSON_BLOCK;

    *ret_is_over = false;
    if (passes_escapes && b.backslash != 0)
        n = pass_escapes(p, b, low, high, ret_is_over);
    else if ((b.stop | b.backslash) != 0)
        n = json_block_escapes(p, b, passes_escapes, ret_is_over);
    if (n == 0 || LIKELY((b.high << (JSON_BLOCK - n)) == 0))
        return n;
    size_t n_good = whole_characters(p, n, low, high);

    if (n_good < n && n_good < JSON_BLOCK - 3)
        *ret_is_over = true;
    return n_good;
}

AVX2_INLINE size_t skip_blocks(const unsigned char *p, size_t n, bool passes_escapes)
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

AVX2 static size_t skip_string(const unsigned char *p, size_t n)
{
    return skip_blocks(p, n, true);
}

AVX2 static size_t skip_plain(const unsigned char *p, size_t n)
{
    return skip_blocks(p, n, false);
}

AVX2 static size_t skip_space(const unsigned char *p, size_t n)
{
    return json_skip_sse2.space(p, n);
}

const struct json_skip_ops json_skip_avx2 = {"avx2", skip_string, skip_plain, skip_space};

#endif
