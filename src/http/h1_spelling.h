/* How a message of HTTP/1 spelt the names of its headers, where that is kept: some programs take
 * capitals for a part of the name, whatever RFC 9110 5.1 says. Names in header lists are lower-case
 * all the same; their spelling stands beside them and is put back into the bytes of the head that
 * goes on. Names that the gateway adds stay lower-case. Pure; memory of the exchange's arena. */
#pragma once

#include "http/message.h"

struct http_spelling {
    const struct str *names; /* those with a capital, in order; at least one */
    uint32_t n;
};

/* Of a head, or of a trailer section (`has_start_line` false), as it came and has been read without
 * error. NULL: nothing but lower case. */
const struct http_spelling *h1_spelling_read(struct str head, bool has_start_line,
                                             struct arena *arena);
/* Spells the names in `head`, made by h1_format.c: its first line is none. */
void h1_spelling_write(const struct http_spelling *s, char *head, size_t len);
/* Without the names that `is_dropped` says of, lower-case. NULL: none is left. */
const struct http_spelling *
h1_spelling_without(const struct http_spelling *s, struct arena *arena,
                    bool (*is_dropped)(const void *arg, struct str name), const void *arg);
/* In another arena. NULL stays NULL. */
const struct http_spelling *h1_spelling_copy(const struct http_spelling *s, struct arena *arena);
