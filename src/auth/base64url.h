/* base64url without padding (RFC 7515 appendix C) and base64 with it (RFC 4648 section 4), both
 * strict: no white space, no stray bits. */
#pragma once

#include "base/str.h"

/* Decoded length, or -1 when malformed or longer than `cap`. */
ssize_t base64url_decode(struct str text, unsigned char *ret_bytes, size_t cap);
/* The same of base64, whose padding must be there. */
ssize_t base64_decode(struct str text, unsigned char *ret_bytes, size_t cap);
/* Into `room` of at least base64url_length(n) bytes; returns the length. */
size_t base64url_encode(const void *bytes, size_t n, char *room);
static inline size_t base64url_length(size_t n)
{
    return (n * 4 + 2) / 3;
}
