/* base64url without padding (RFC 7515 appendix C), strict: no white space, no padding, no stray
 * bits. */
#pragma once

#include "base/str.h"

/* Decoded length, or -1 when malformed or longer than `cap`. */
ssize_t base64url_decode(struct str text, unsigned char *ret_bytes, size_t cap);
/* Into `room` of at least base64url_length(n) bytes; returns the length. */
size_t base64url_encode(const void *bytes, size_t n, char *room);
static inline size_t base64url_length(size_t n)
{
    return (n * 4 + 2) / 3;
}
