/* Growable bytes on the heap: for building text and for leftovers of a connection. Owned by whoever
 * embeds it. The caller bounds the size (base/limits.h) before appending bytes from outside. */
#pragma once

#include <stdarg.h>

#include "base/str.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
};

/* A zeroed struct buf is empty and ready. */
void buf_deinit(struct buf *b);
/* len = 0, memory kept. */
static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}
/* The same as buf_reserve where there is not the room. */
char *buf_grow(struct buf *b, size_t extra);
/* Room for `extra` more bytes; returns where they go (b->ptr + b->len). */
static inline char *buf_reserve(struct buf *b, size_t extra)
{
    return LIKELY(b->cap - b->len >= extra) ? b->ptr + b->len : buf_grow(b, extra);
}
static inline void buf_append(struct buf *b, const void *bytes, size_t n)
{
    if (n == 0) /* perhaps of no memory at all */
        return;
    memcpy(buf_reserve(b, n), bytes, n);
    b->len += n;
}
static inline void buf_append_str(struct buf *b, struct str s)
{
    buf_append(b, s.ptr, s.len);
}
static inline void buf_append_char(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->len++;
}
void buf_append_u64(struct buf *b, uint64_t value);
void buf_printf(struct buf *b, const char *format, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *format, va_list args) PRINTF(2, 0);
/* Drops the first n bytes, moving the rest to the front. */
void buf_consume(struct buf *b, size_t n);
/* A JSON string with its quotes; control bytes and invalid UTF-8 are escaped, so that what an
 * outsider wrote can never end the string or the line. */
void buf_append_json(struct buf *b, struct str s);
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->ptr, b->len};
}
