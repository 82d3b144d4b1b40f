/* The ring holds whole lines, never wrapped: a line that does not fit before the end leaves a skip
 * mark and begins anew. Positions only grow; their remainder is the place. */
#include "telemetry/log_ring.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

static size_t log_ring_room(size_t len)
{
    return sizeof(struct log_ring_head) + ((len + 7) & ~(size_t)7);
}

struct log_ring *log_ring_new(struct log_writer *w)
{
    struct log_ring *r = aligned_alloc(64, sizeof *r);
    void *bytes = mmap(NULL, LIMIT_LOG_RING_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ASSERT(r && bytes != MAP_FAILED);
    memset(r, 0, sizeof *r);
    r->writer = w;
    r->bytes = bytes;
    return r;
}

void log_ring_free(struct log_ring *r)
{
    if (!r)
        return;
    munmap(r->bytes, LIMIT_LOG_RING_BYTES);
    mem_free(r);
}

static void log_ring_put_head(struct log_ring *r, uint64_t at, uint32_t len, uint32_t sink)
{
    struct log_ring_head head = {len, sink};

    memcpy(r->bytes + at % LIMIT_LOG_RING_BYTES, &head, sizeof head);
}

static bool log_ring_has_room(struct log_ring *r, uint64_t head, size_t need)
{
    if (head + need - r->tail_seen <= LIMIT_LOG_RING_BYTES)
        return true;
    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    return head + need - r->tail_seen <= LIMIT_LOG_RING_BYTES;
}

static bool log_ring_is_filling(struct log_ring *r, uint64_t head)
{
    if (LIKELY(head - r->tail_seen <= LOG_RING_HURRY_BYTES))
        return false;
    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    return head - r->tail_seen > LOG_RING_HURRY_BYTES;
}

void log_ring_push(struct log_ring *r, uint32_t sink, struct str line)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t need = log_ring_room(line.len);
    size_t to_end = LIMIT_LOG_RING_BYTES - head % LIMIT_LOG_RING_BYTES;
    size_t skip = need > to_end ? to_end : 0;

    if (line.len == 0)
        return;
    if (line.len > LIMIT_LOG_LINE_BYTES || !log_ring_has_room(r, head, skip + need)) {
        atomic_store_explicit(&r->n_dropped,
                              atomic_load_explicit(&r->n_dropped, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        return;
    }
    if (skip > 0)
        log_ring_put_head(r, head, LOG_RING_SKIP, 0);
    head += skip;
    log_ring_put_head(r, head, (uint32_t)line.len, sink);
    memcpy(r->bytes + head % LIMIT_LOG_RING_BYTES + sizeof(struct log_ring_head), line.ptr,
           line.len);
    /* Sequentially consistent with the load of is_asleep: either the writer, about to sleep, sees
     * this line, or we see that it sleeps. */
    atomic_store(&r->head, head + need);
    if (UNLIKELY(atomic_load(&r->writer->is_asleep)))
        log_writer_wake(r->writer);
    else if (UNLIKELY(log_ring_is_filling(r, head + need)))
        log_writer_hurry(r->writer);
}

unsigned log_ring_peek(struct log_ring *r, unsigned max, uint32_t *ret_sink,
                       struct iovec *ret_lines)
{
    uint64_t at = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t end = atomic_load_explicit(&r->head, memory_order_acquire);
    unsigned n = 0;

    while (n < max && at != end) {
        char *from = r->bytes + at % LIMIT_LOG_RING_BYTES;
        struct log_ring_head head;

        memcpy(&head, from, sizeof head);
        if (head.len == LOG_RING_SKIP) {
            at += LIMIT_LOG_RING_BYTES - at % LIMIT_LOG_RING_BYTES;
            continue;
        }
        if (n > 0 && head.sink != *ret_sink)
            break;
        *ret_sink = head.sink;
        ret_lines[n++] = (struct iovec){from + sizeof head, head.len};
        at += log_ring_room(head.len);
    }
    r->peeked = at;
    return n;
}

void log_ring_advance(struct log_ring *r)
{
    atomic_store_explicit(&r->tail, r->peeked, memory_order_release);
}

bool log_ring_is_empty(struct log_ring *r)
{
    return atomic_load_explicit(&r->tail, memory_order_relaxed) == atomic_load(&r->head);
}
