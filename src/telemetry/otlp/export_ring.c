/* As log_ring.c: whole items, never wrapped; one that does not fit before the end leaves a skip
 * mark and begins anew. Positions only grow; their remainder is the place. */
#include "telemetry/otlp/export_ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

/* In front of each item; items are rounded up to its size. */
struct export_ring_head {
    void *target; /* NULL: go on at the start of the ring */
    size_t len;
};

struct export_ring {
    char *bytes;                        /* mapped: pages that were never used cost nothing */
    uint64_t tail_seen;                 /* producer's copy of `tail` */
    _Alignas(64) _Atomic uint64_t head; /* producer: bytes ever put in */
    _Atomic uint64_t n_dropped;
    _Alignas(64) _Atomic uint64_t tail; /* consumer: bytes ever taken out */
};

static size_t export_ring_room(size_t len)
{
    size_t unit = sizeof(struct export_ring_head);

    return unit + (len + unit - 1) / unit * unit;
}

struct export_ring *export_ring_new(void)
{
    struct export_ring *r = aligned_alloc(64, sizeof *r);
    void *bytes = mmap(NULL, LIMIT_EXPORT_RING_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ASSERT(r && bytes != MAP_FAILED);
    memset(r, 0, sizeof *r);
    r->bytes = bytes;
    return r;
}

void export_ring_free(struct export_ring *r)
{
    if (!r)
        return;
    munmap(r->bytes, LIMIT_EXPORT_RING_BYTES);
    mem_free(r);
}

static void export_ring_put_head(struct export_ring *r, uint64_t at, void *target, size_t len)
{
    struct export_ring_head head = {target, len};

    memcpy(r->bytes + at % LIMIT_EXPORT_RING_BYTES, &head, sizeof head);
}

static bool export_ring_has_room(struct export_ring *r, uint64_t head, size_t need)
{
    if (head + need - r->tail_seen <= LIMIT_EXPORT_RING_BYTES)
        return true;
    r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
    return head + need - r->tail_seen <= LIMIT_EXPORT_RING_BYTES;
}

bool export_ring_push(struct export_ring *r, void *target, struct str item)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t need = export_ring_room(item.len);
    size_t to_end = LIMIT_EXPORT_RING_BYTES - head % LIMIT_EXPORT_RING_BYTES;
    size_t skip = need > to_end ? to_end : 0;

    PRE(target);
    if (item.len > LIMIT_EXPORT_ITEM_BYTES || !export_ring_has_room(r, head, skip + need)) {
        atomic_fetch_add_explicit(&r->n_dropped, 1, memory_order_relaxed);
        return false;
    }
    if (skip > 0)
        export_ring_put_head(r, head, NULL, 0);
    head += skip;
    export_ring_put_head(r, head, target, item.len);
    memcpy(r->bytes + head % LIMIT_EXPORT_RING_BYTES + sizeof(struct export_ring_head), item.ptr,
           item.len);
    atomic_store_explicit(&r->head, head + need, memory_order_release);
    return true;
}

bool export_ring_is_filling(const struct export_ring *r)
{
    return atomic_load_explicit(&r->head, memory_order_relaxed) -
               atomic_load_explicit(&r->tail, memory_order_relaxed) >
           LIMIT_EXPORT_RING_BYTES / 2;
}

bool export_ring_peek(struct export_ring *r, void **ret_target, struct str *ret_item)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    struct export_ring_head head;

    if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
        return false;
    memcpy(&head, r->bytes + tail % LIMIT_EXPORT_RING_BYTES, sizeof head);
    if (!head.target) {
        tail += LIMIT_EXPORT_RING_BYTES - tail % LIMIT_EXPORT_RING_BYTES;
        atomic_store_explicit(&r->tail, tail, memory_order_release);
        memcpy(&head, r->bytes, sizeof head);
    }
    *ret_target = head.target;
    *ret_item = str_make(r->bytes + tail % LIMIT_EXPORT_RING_BYTES + sizeof head, head.len);
    return true;
}

void export_ring_advance(struct export_ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    struct export_ring_head head;

    memcpy(&head, r->bytes + tail % LIMIT_EXPORT_RING_BYTES, sizeof head);
    atomic_store_explicit(&r->tail, tail + export_ring_room(head.len), memory_order_release);
}

uint64_t export_ring_n_dropped(const struct export_ring *r)
{
    return atomic_load_explicit(&r->n_dropped, memory_order_relaxed);
}
