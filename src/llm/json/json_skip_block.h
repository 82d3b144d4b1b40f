/* What the twins of json_skip share: one character, one escape, and the settling of a block of 64
 * bytes whose special bytes are known as bit masks. Included by them alone. */
#pragma once

#include <string.h>

#include "base/macro.h"

#define JSON_BLOCK 64

/* Of the escape at `p`, a backslash: 2 or 6; 0 when it is none, or not whole. */
static inline size_t json_escape_length(const unsigned char *p, size_t n)
{
    static const unsigned char is_hex[256] = {
        ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
        ['8'] = 1, ['9'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,
        ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1};
    static const unsigned char lengths[256] = {
        ['"'] = 2, ['\\'] = 2, ['/'] = 2, ['b'] = 2, ['f'] = 2,
        ['n'] = 2, ['r'] = 2,  ['t'] = 2, ['u'] = 6};
    size_t length = n >= 2 ? lengths[p[1]] : 0;

    if (LIKELY(length != 6))
        return length;
    if (n < 6 || !(is_hex[p[2]] & is_hex[p[3]] & is_hex[p[4]] & is_hex[p[5]]))
        return 0;
    return 6;
}

static inline bool json_is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Of the character of several bytes at `p` (RFC 3629, 4); 0 when it is none, or not whole. */
static inline size_t json_character_length(const unsigned char *p, size_t n)
{
    if (n >= 2 && p[0] >= 0xc2 && p[0] <= 0xdf)
        return json_is_tail(p[1]) ? 2 : 0;
    if (n >= 3 && (p[0] & 0xf0) == 0xe0) {
        bool is_good = json_is_tail(p[1]) && json_is_tail(p[2]) && (p[0] != 0xe0 || p[1] >= 0xa0) &&
                       (p[0] != 0xed || p[1] <= 0x9f);

        return is_good ? 3 : 0;
    }
    if (n >= 4 && p[0] >= 0xf0 && p[0] <= 0xf4) {
        bool is_good = json_is_tail(p[1]) && json_is_tail(p[2]) && json_is_tail(p[3]) &&
                       (p[0] != 0xf0 || p[1] >= 0x90) && (p[0] != 0xf4 || p[1] <= 0x8f);

        return is_good ? 4 : 0;
    }
    return 0;
}

/* The special bytes of a block, a bit each. */
struct json_block {
    uint64_t stop; /* '"' and controls */
    uint64_t backslash;
    uint64_t high; /* past ASCII */
};

/* How much of the block is whole characters and escapes (or comes before the first escape), as far
 * as escapes go; bytes past ASCII are not judged. `*ret_is_over` when what follows is for the
 * caller to judge, rather than an escape that goes on in the next block. */
static inline size_t json_block_escapes(const unsigned char *p, struct json_block b,
                                        bool passes_escapes, bool *ret_is_over)
{
    uint64_t stop = passes_escapes ? b.stop : b.stop | b.backslash;
    uint64_t backslash = passes_escapes ? b.backslash : 0;

    *ret_is_over = true;
    while (backslash != 0) {
        unsigned at = (unsigned)__builtin_ctzll(backslash);

        if (stop & ((UINT64_C(1) << at) - 1))
            break;
        size_t length = json_escape_length(p + at, JSON_BLOCK - at);

        if (length == 0) {
            *ret_is_over = at <= JSON_BLOCK - 6;
            return at;
        }
        uint64_t escape = ((UINT64_C(1) << length) - 1) << at;

        stop &= ~escape;
        backslash &= ~escape;
    }
    *ret_is_over = stop != 0;
    return stop != 0 ? (size_t)__builtin_ctzll(stop) : JSON_BLOCK;
}

/* Of `n` bytes, the longest beginning whose bytes past ASCII, as `high` names them, are whole
 * characters. */
static inline size_t json_block_characters(const unsigned char *p, size_t n, uint64_t high)
{
    if (n < JSON_BLOCK)
        high &= (UINT64_C(1) << n) - 1;
    while (high != 0) {
        size_t at = (size_t)__builtin_ctzll(high);
        size_t length = json_character_length(p + at, n - at);

        if (length == 0)
            return at;
        high &= ~(((UINT64_C(1) << length) - 1) << at);
    }
    return n;
}
