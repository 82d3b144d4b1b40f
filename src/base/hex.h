/* Numbers as lower-case hexadecimal digits of fixed length: ids that every request gets. */
#pragma once

#include <stdint.h>
#include <string.h>

enum { HEX_U32_BYTES = 8 };

/* Writes the eight digits of value, the highest first, without an end. All of them at once: each
 * byte of a word holds one digit's value, and becomes its letter. */
static inline void hex_put_u32(char *to, uint32_t value)
{
    uint64_t x = value;
    uint64_t is_letter;

    x = (x & 0xffff0000) << 16 | (x & 0xffff);
    x = (x & 0x0000ff000000ff00) << 8 | (x & 0x000000ff000000ff);
    x = (x & 0x00f000f000f000f0) << 4 | (x & 0x000f000f000f000f);
    is_letter = (x + 0x0606060606060606) >> 4 & 0x0101010101010101;
    x += 0x3030303030303030 + is_letter * ('a' - '0' - 10);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    memcpy(to, &x, sizeof x);
}

static inline void hex_put_u64(char *to, uint64_t value)
{
    hex_put_u32(to, (uint32_t)(value >> 32));
    hex_put_u32(to + HEX_U32_BYTES, (uint32_t)value);
}
