/* Bump allocation in chunks. Chunks are malloc'ed; the oldest one survives arena_reset so that an
 * arena that is used again and again (an exchange's) asks the system for nothing in the steady
 * state. */
#include "base/arena.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    char bytes[] __attribute__((aligned(16)));
};

struct arena_cleanup {
    struct arena_cleanup *next;
    arena_cleanup_fn *fn;
    void *object;
};

void arena_init(struct arena *a, size_t chunk_bytes)
{
    *a = (struct arena){.chunk_bytes = chunk_bytes};
}

static void arena_run_cleanups(struct arena *a)
{
    while (a->cleanups) {
        struct arena_cleanup *cleanup = a->cleanups;

        a->cleanups = cleanup->next;
        cleanup->fn(cleanup->object);
    }
}

void arena_deinit(struct arena *a)
{
    arena_run_cleanups(a);
    while (a->chunks) {
        struct arena_chunk *chunk = a->chunks;

        a->chunks = chunk->next;
        mem_free(chunk);
    }
    arena_init(a, a->chunk_bytes);
}

void arena_reset(struct arena *a)
{
    arena_run_cleanups(a);
    a->is_sealed = false;
    if (!a->chunks)
        return;
    while (a->chunks->next) {
        struct arena_chunk *chunk = a->chunks;

        a->chunks = chunk->next;
        a->used_bytes -= chunk->size;
        mem_free(chunk);
    }
    a->cursor = a->chunks->bytes;
    a->end = a->cursor + a->chunks->size;
}

static void arena_grow(struct arena *a, size_t size)
{
    size_t bytes = MAX(a->chunk_bytes, size + 16);
    struct arena_chunk *chunk = mem_alloc(sizeof *chunk + bytes);

    chunk->size = bytes;
    chunk->next = a->chunks;
    a->chunks = chunk;
    a->used_bytes += bytes;
    a->cursor = chunk->bytes;
    a->end = chunk->bytes + bytes;
}

static char *arena_take(struct arena *a, size_t size, size_t align)
{
#ifdef TOLLGATE_DEBUG
    ASSERT(!a->is_sealed);
#endif
    uintptr_t start = ((uintptr_t)a->cursor + align - 1) & ~(uintptr_t)(align - 1);

    if (UNLIKELY(!a->cursor || start + size > (uintptr_t)a->end)) {
        arena_grow(a, size);
        start = (uintptr_t)a->cursor;
    }
    a->cursor = (char *)start + size;
    return (char *)start;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return memset(arena_take(a, size, 16), 0, size);
}

void *arena_room(struct arena *a, size_t size)
{
    return arena_take(a, size, 16);
}

char *arena_bytes(struct arena *a, size_t size)
{
    return arena_take(a, size, 1);
}

void arena_on_cleanup(struct arena *a, arena_cleanup_fn *fn, void *object)
{
    struct arena_cleanup *cleanup = ARENA_NEW(a, struct arena_cleanup);

    cleanup->fn = fn;
    cleanup->object = object;
    cleanup->next = a->cleanups;
    a->cleanups = cleanup;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *copy = arena_bytes(a, s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return (struct str){copy, s.len};
}

struct str arena_lower(struct arena *a, struct str s)
{
    char *copy = arena_bytes(a, s.len + 1);

    str_lower(s, copy);
    copy[s.len] = '\0';
    return (struct str){copy, s.len};
}

const char *arena_text(struct arena *a, struct str s)
{
    return arena_str(a, s).ptr;
}

struct str arena_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;

    PRE(format != NULL); /* or gcc, with UBSan's checks in, warns of the path where it is */
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);

    va_end(again);
    ASSERT(len >= 0);
    char *text = arena_bytes(a, (size_t)len + 1);

    vsnprintf(text, (size_t)len + 1, format, args);
    return (struct str){text, (size_t)len};
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    struct str s = arena_vprintf(a, format, args);

    va_end(args);
    return s;
}

struct str arena_join(struct arena *a, struct str first, struct str second)
{
    char *text = arena_bytes(a, first.len + second.len + 1);

    if (first.len > 0)
        memcpy(text, first.ptr, first.len);
    if (second.len > 0)
        memcpy(text + first.len, second.ptr, second.len);
    text[first.len + second.len] = '\0';
    return (struct str){text, first.len + second.len};
}

struct str arena_u64(struct arena *a, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;

    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return arena_str(a, str_make(digits + n, sizeof digits - n));
}

void arena_seal(struct arena *a)
{
    a->is_sealed = true;
}

void arena_unseal(struct arena *a)
{
    a->is_sealed = false;
}
