/* Arena: memory that goes all at once. Each of the four scopes (process, snapshot, connection,
 * exchange) is one. Nothing is freed alone; what needs more than memory registers a cleanup, run in
 * reverse order at reset and deinit. Not thread-safe: an arena belongs to one thread at a time. */
#pragma once

#include <stdarg.h>

#include "base/str.h"

struct arena_chunk;
struct arena_cleanup;

struct arena {
    char *cursor;
    char *end;
    struct arena_chunk *chunks; /* newest first; the first-allocated one survives a reset */
    struct arena_cleanup *cleanups;
    size_t chunk_bytes;
    size_t used_bytes; /* handed to chunks so far, for memory accounting */
    bool is_sealed;    /* debug builds: allocation after the seal aborts */
};

typedef void arena_cleanup_fn(void *object);

/* `chunk_bytes` is the size of a chunk; larger requests get a chunk of their own. Allocates nothing
 * yet. */
void arena_init(struct arena *a, size_t chunk_bytes);
/* Runs cleanups, frees everything. Safe on zeroed memory and repeated. */
void arena_deinit(struct arena *a);
/* Runs cleanups, keeps one chunk for reuse; the arena is as after init. */
void arena_reset(struct arena *a);
/* Zeroed, aligned to 16. Never NULL. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((returns_nonnull));
/* Aligned to 16, not zeroed: for large structs that have an init of their own. */
void *arena_room(struct arena *a, size_t size) __attribute__((returns_nonnull));
/* Not zeroed, not aligned: for bytes of text. */
char *arena_bytes(struct arena *a, size_t size) __attribute__((returns_nonnull));
void arena_on_cleanup(struct arena *a, arena_cleanup_fn *fn, void *object);
/* Copies; the copy is followed by a NUL that does not count. */
struct str arena_str(struct arena *a, struct str s);
/* As arena_str, ASCII letters in lower case. */
struct str arena_lower(struct arena *a, struct str s);
const char *arena_text(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *format, ...) PRINTF(2, 3);
struct str arena_vprintf(struct arena *a, const char *format, va_list args) PRINTF(2, 0);
struct str arena_join(struct arena *a, struct str first, struct str second);
/* Decimal digits. */
struct str arena_u64(struct arena *a, uint64_t value);
/* From here on nothing may be allocated (checked in builds with debug_checks). */
void arena_seal(struct arena *a);
void arena_unseal(struct arena *a);

#define ARENA_NEW(a, type)          ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, count) ((type *)arena_alloc((a), sizeof(type) * (size_t)(count)))
