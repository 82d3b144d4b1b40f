/* See log_memory.h. A ring of bytes; positions count all bytes ever added, so that a reader knows
 * what it has seen. The oldest line may have lost its beginning: it is not told. */
#include "base/log_memory.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "base/mem.h"

static struct {
    char *_Atomic ring; /* NULL: not opened */
    pthread_mutex_t lock;
    uint64_t end; /* position behind the last byte */
} log_memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_memory_open(void)
{
    if (!atomic_load(&log_memory.ring))
        atomic_store(&log_memory.ring, mem_alloc_zero(LIMIT_LOG_MEMORY_BYTES));
}

void log_memory_add(const char *line, size_t len)
{
    char *ring = atomic_load_explicit(&log_memory.ring, memory_order_acquire);
    size_t at, first;

    if (!ring || len > LIMIT_LOG_MEMORY_BYTES)
        return;
    pthread_mutex_lock(&log_memory.lock);
    at = log_memory.end % LIMIT_LOG_MEMORY_BYTES;
    first = MIN(len, LIMIT_LOG_MEMORY_BYTES - at);
    memcpy(ring + at, line, first);
    memcpy(ring, line + first, len - first);
    log_memory.end += len;
    pthread_mutex_unlock(&log_memory.lock);
}

/* What is kept from `from` on, as bytes; *from moves to where they begin. Room is there already. */
static uint64_t log_memory_copy(const char *ring, uint64_t *from, struct buf *out, bool *ret_is_cut)
{
    uint64_t end, oldest;

    pthread_mutex_lock(&log_memory.lock);
    end = log_memory.end;
    oldest = end > LIMIT_LOG_MEMORY_BYTES ? end - LIMIT_LOG_MEMORY_BYTES : 0;
    if (*from > end) /* of another process, before this one */
        *from = 0;
    *ret_is_cut = *from < oldest;
    *from = MAX(*from, oldest);
    for (uint64_t i = *from; i < end;) {
        size_t at = i % LIMIT_LOG_MEMORY_BYTES;
        size_t n = MIN((size_t)(end - i), LIMIT_LOG_MEMORY_BYTES - at);

        buf_append(out, ring + at, n);
        i += n;
    }
    pthread_mutex_unlock(&log_memory.lock);
    return end;
}

uint64_t log_memory_read(uint64_t from, struct buf *out, uint64_t *ret_missed)
{
    const char *ring = atomic_load(&log_memory.ring);
    size_t before = out->len;
    uint64_t asked, end;
    bool is_cut;

    *ret_missed = 0;
    if (!ring)
        return 0;
    (void)buf_reserve(out, LIMIT_LOG_MEMORY_BYTES);
    asked = from;
    end = log_memory_copy(ring, &from, out, &is_cut);
    if (is_cut) {
        const char *line_end = memchr(out->ptr + before, '\n', out->len - before);
        size_t n = line_end ? (size_t)(line_end - out->ptr) + 1 - before : out->len - before;

        memmove(out->ptr + before, out->ptr + before + n, out->len - before - n);
        out->len -= n;
        *ret_missed = asked > 0 ? from + n - asked : 0;
    }
    return end;
}
