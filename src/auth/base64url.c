/* See base64url.h. Strictness matters: two texts that decode alike would be two tokens with one
 * signature. */
#include "auth/base64url.h"

/* `last` are the two digits in which the alphabets differ. */
static int base64_value(char c, const char last[2])
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == last[0])
        return 62;
    return c == last[1] ? 63 : -1;
}

static ssize_t base64_decode_digits(struct str text, const char last[2], unsigned char *ret_bytes,
                                    size_t cap)
{
    size_t n = text.len / 4 * 3 + (text.len % 4 ? text.len % 4 - 1 : 0);
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t out = 0;

    if (text.len % 4 == 1 || n > cap)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.ptr[i], last);

        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            ret_bytes[out++] = (unsigned char)(bits >> n_bits);
            bits &= (1U << n_bits) - 1;
        }
    }
    return bits == 0 ? (ssize_t)out : -1;
}

ssize_t base64url_decode(struct str text, unsigned char *ret_bytes, size_t cap)
{
    return base64_decode_digits(text, "-_", ret_bytes, cap);
}

ssize_t base64_decode(struct str text, unsigned char *ret_bytes, size_t cap)
{
    if (text.len % 4 != 0)
        return -1;
    for (unsigned i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    return base64_decode_digits(text, "+/", ret_bytes, cap);
}

size_t base64url_encode(const void *bytes, size_t n, char *room)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *p = bytes;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t out = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            room[out++] = digits[bits >> (n_bits - 6) & 63];
        bits &= (1U << n_bits) - 1;
    }
    if (n_bits > 0)
        room[out++] = digits[bits << (6 - n_bits) & 63];
    return out;
}
