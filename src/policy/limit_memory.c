/* Counters and their references: those of plans. A claim that is held needs none of its own, its
 * exchange keeps the plan. The lock guards the map so that a counter is never found while its last
 * reference goes. */
#include "policy/limit_memory.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/mem.h"

struct limit_counter {
    _Atomic uint32_t n_refs;
    struct str identity;
    struct bucket_table table;
};

static struct limit_counter *memory_counter(struct limit_store *s, struct str identity,
                                            uint32_t window_s, bool is_distinct)
{
    struct limit_memory *m = CONTAINER_OF(s, struct limit_memory, store);
    struct limit_counter *c;

    pthread_mutex_lock(&m->lock);
    c = map_find(&m->by_identity, identity);
    if (c) {
        atomic_fetch_add_explicit(&c->n_refs, 1, memory_order_relaxed);
    } else {
        c = MEM_NEW(struct limit_counter);
        atomic_init(&c->n_refs, 1);
        c->identity = str_make(mem_dup_text(identity.ptr, identity.len), identity.len);
        bucket_table_init(&c->table, window_s, is_distinct);
        map_put(&m->by_identity, c->identity, c);
    }
    pthread_mutex_unlock(&m->lock);
    return c;
}

static void memory_release(struct limit_store *s, struct limit_counter *c)
{
    struct limit_memory *m = CONTAINER_OF(s, struct limit_memory, store);
    bool is_last;

    if (!c)
        return;
    pthread_mutex_lock(&m->lock);
    is_last = atomic_fetch_sub_explicit(&c->n_refs, 1, memory_order_acq_rel) == 1;
    if (is_last)
        map_remove(&m->by_identity, c->identity);
    pthread_mutex_unlock(&m->lock);
    if (!is_last)
        return;
    bucket_table_deinit(&c->table);
    mem_free((void *)(uintptr_t)c->identity.ptr);
    mem_free(c);
}

static void memory_put(struct limit_claim *c)
{
    if (c->held)
        bucket_table_put(&c->counter->table, c->held);
    c->held = NULL;
}

/* A value that no bucket can be had for: the claim alone is refused, and with it the request. */
static bool memory_take_all(struct limit_claim *claims, size_t n, int64_t now_wall_us)
{
    bool has_all = true;

    for (size_t i = 0; i < n; i++) {
        struct bucket_table *t = &claims[i].counter->table;

        claims[i].held = bucket_table_take(t, claims[i].key, now_wall_us);
        claims[i].room = claims[i].held ? LIMIT_ROOM_YES : LIMIT_ROOM_CROWDED;
        claims[i].remaining = 0;
        claims[i].reset_s =
            bucket_reset_s(t->window_s, bucket_window(t->window_s, now_wall_us), now_wall_us);
        has_all &= claims[i].held != NULL || claims[i].is_shadow;
    }
    return has_all;
}

static bool memory_reserve(struct limit_store *s UNUSED, struct limit_claim *claims, size_t n,
                           int64_t now_wall_us)
{
    bool is_admitted =
        memory_take_all(claims, n, now_wall_us) && buckets_reserve(claims, n, now_wall_us);

    for (size_t i = 0; i < n; i++) {
        if (!is_admitted || !claims[i].is_settled)
            memory_put(&claims[i]);
    }
    return is_admitted;
}

static bool memory_extend(struct limit_store *s UNUSED, struct limit_claim *claim, uint64_t more,
                          int64_t now_wall_us)
{
    PRE(claim->held);
    return bucket_extend(claim, more, now_wall_us);
}

static void memory_settle(struct limit_store *s UNUSED, struct limit_claim *claim, uint64_t cost,
                          int64_t now_wall_us)
{
    PRE(claim->held);
    bucket_settle(claim->held, claim->reserve, cost, now_wall_us);
    memory_put(claim);
}

void limit_memory_init(struct limit_memory *m)
{
    static const struct limit_store_ops ops = {
        .counter = memory_counter,
        .release = memory_release,
        .reserve = memory_reserve,
        .extend = memory_extend,
        .settle = memory_settle,
    };

    *m = (struct limit_memory){.store.ops = &ops};
    pthread_mutex_init(&m->lock, NULL);
}

void limit_memory_deinit(struct limit_memory *m)
{
    ASSERT(m->by_identity.n_items == 0);
    map_deinit(&m->by_identity);
    pthread_mutex_destroy(&m->lock);
}
