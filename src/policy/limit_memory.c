/* Counters and their references: those of plans. A claim that is held needs none of its own, its
 * exchange keeps the plan. The lock guards the map so that a counter is never found while its last
 * reference goes. Locks are taken in this order: map, table, bucket.
 *
 * A change is told after the bucket's lock is gone, by the thread that made it. That is no race:
 * moves of different threads add up in any order, one thread's come in the order in which it made
 * them, and what a bucket had when it was shared is told under its lock, before all of them. */
#include "policy/limit_memory.h"

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
        c->table.session = c->table.single.session = m->session;
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

/* ---- counting ---- */

static void memory_tell(struct limit_memory *m, struct limit_counter *c, struct str key,
                        const struct bucket_move *count)
{
    struct limit_move move = {.identity = c->identity,
                              .key = key,
                              .window_s = c->table.window_s,
                              .is_distinct = c->table.is_distinct,
                              .count = *count};

    m->tell(m->tell_ctx, &move);
}

/* Of a claim whose bucket is still held. */
static void memory_tell_claim(struct limit_store *s, const struct limit_claim *c,
                              const struct bucket_move *count)
{
    if (UNLIKELY(count->session))
        memory_tell(CONTAINER_OF(s, struct limit_memory, store), c->counter,
                    bucket_table_key(&c->counter->table, c->held), count);
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

static void memory_tell_reserved(struct limit_store *s, const struct limit_claim *c)
{
    struct bucket_move move = {
        .session = c->session, .window = c->window, .used = c->take, .reserved = c->reserve};

    if (c->held)
        memory_tell_claim(s, c, &move);
}

/* Another has judged. Of a refusal it has said all. */
static void memory_note(struct limit_claim *claims, size_t n, int64_t now_wall_us)
{
    for (size_t i = 0; i < n; i++) {
        struct limit_claim *c = &claims[i];

        c->held = bucket_table_take(&c->counter->table, c->key, now_wall_us);
        if (c->held)
            bucket_note(c, now_wall_us);
        if (!c->is_settled)
            memory_put(c);
    }
}

static bool memory_reserve_here(struct limit_store *s, struct limit_claim *claims, size_t n,
                                int64_t now_wall_us)
{
    bool is_admitted =
        memory_take_all(claims, n, now_wall_us) && buckets_reserve(claims, n, now_wall_us);

    for (size_t i = 0; i < n; i++) {
        if (is_admitted)
            memory_tell_reserved(s, &claims[i]);
        if (!is_admitted || !claims[i].is_settled)
            memory_put(&claims[i]);
    }
    return is_admitted;
}

static bool memory_reserve(struct limit_store *s, struct limit_claim *claims, size_t n,
                           int64_t now_wall_us)
{
    struct limit_memory *m = CONTAINER_OF(s, struct limit_memory, store);
    limit_ask_fn *ask = atomic_load_explicit(&m->ask, memory_order_acquire);
    bool is_admitted;

    if (LIKELY(!ask) || n == 0 || !ask(m->ask_ctx, claims, n, &is_admitted))
        return memory_reserve_here(s, claims, n, now_wall_us);
    if (is_admitted)
        memory_note(claims, n, now_wall_us);
    return is_admitted;
}

static bool memory_peek(struct limit_store *s UNUSED, struct limit_claim *claims, size_t n,
                        int64_t now_wall_us)
{
    bool is_admitted = true;

    for (size_t i = 0; i < n; i++) {
        bucket_table_peek(&claims[i].counter->table, &claims[i], now_wall_us);
        is_admitted &= claims[i].room == LIMIT_ROOM_YES || claims[i].is_shadow;
    }
    return is_admitted;
}

static bool memory_extend(struct limit_store *s, struct limit_claim *claim, uint64_t more,
                          int64_t now_wall_us)
{
    struct bucket_move move = {.reserved = more};

    PRE(claim->held);
    if (!bucket_extend(claim, more, now_wall_us))
        return false;
    move.session = claim->session;
    move.window = claim->window;
    memory_tell_claim(s, claim, &move);
    return true;
}

static void memory_settle(struct limit_store *s, struct limit_claim *claim, uint64_t cost,
                          int64_t now_wall_us)
{
    struct bucket_move move;

    PRE(claim->held);
    move = bucket_settle(claim->held, claim->reserve, cost, now_wall_us);
    memory_tell_claim(s, claim, &move);
    memory_put(claim);
}

/* ---- looking on ---- */

struct memory_look {
    limit_look_fn *fn;
    void *ctx;
    int64_t now_wall_us;
};

static void memory_look_bucket(void *ctx, struct str key, struct bucket *b)
{
    const struct memory_look *look = ctx;
    struct bucket_level level = bucket_read(b, look->now_wall_us);

    look->fn(look->ctx, key, &level);
}

static size_t memory_look(struct limit_store *s, struct limit_counter *c, size_t n,
                          int64_t now_wall_us, limit_look_fn *fn, void *ctx)
{
    struct memory_look look = {fn, ctx, now_wall_us};

    (void)s;
    return bucket_table_latest(&c->table, n, memory_look_bucket, &look);
}

/* ---- between processes ---- */

/* On its way through all buckets. */
struct memory_walk {
    struct limit_memory *m;
    struct limit_counter *counter;
    struct str key; /* of the bucket */
};

static void memory_tell_walk(void *ctx, const struct bucket_move *move)
{
    const struct memory_walk *walk = ctx;

    memory_tell(walk->m, walk->counter, walk->key, move);
}

static void memory_share_bucket(void *ctx, struct str key, struct bucket *b)
{
    struct memory_walk *walk = ctx;

    walk->key = key;
    bucket_share(b, walk->m->session, memory_tell_walk, walk);
}

static void memory_disown_bucket(void *ctx, struct str key, struct bucket *b)
{
    const struct memory_walk *walk = ctx;
    struct bucket_move move = bucket_disown(b);

    if (move.session && move.released > 0)
        memory_tell(walk->m, walk->counter, key, &move);
}

static void memory_share_all(struct limit_memory *m, uint32_t session)
{
    pthread_mutex_lock(&m->lock);
    m->session = session;
    MAP_FOREACH (&m->by_identity, slot) {
        struct memory_walk walk = {.m = m, .counter = slot->value};

        bucket_table_share(&walk.counter->table, session); /* first: none may come in between */
        bucket_table_each(&walk.counter->table, memory_share_bucket, &walk);
    }
    pthread_mutex_unlock(&m->lock);
}

void limit_memory_share(struct limit_memory *m, uint32_t session, limit_tell_fn *tell, void *ctx)
{
    PRE(session != 0 && tell && !m->session);
    if (!m->tell) { /* seen by whoever finds the session in a bucket; the same ever after */
        m->tell = tell;
        m->tell_ctx = ctx;
    }
    ASSERT(m->tell == tell && m->tell_ctx == ctx);
    memory_share_all(m, session);
}

void limit_memory_unshare(struct limit_memory *m)
{
    memory_share_all(m, 0);
}

struct limit_counter *limit_memory_find(struct limit_memory *m, const struct limit_move *move)
{
    struct limit_counter *c;

    pthread_mutex_lock(&m->lock);
    c = map_find(&m->by_identity, move->identity);
    if (c && (c->table.window_s != move->window_s || c->table.is_distinct != move->is_distinct))
        c = NULL;
    if (c)
        atomic_fetch_add_explicit(&c->n_refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&m->lock);
    return c;
}

bool limit_memory_apply(struct limit_memory *m, const struct limit_move *move, int64_t now_wall_us)
{
    struct limit_counter *c = limit_memory_find(m, move);
    struct bucket *b = c ? bucket_table_take(&c->table, move->key, now_wall_us) : NULL;
    struct bucket_move told;

    if (b) {
        told = bucket_apply(b, &move->count);
        if (told.session)
            memory_tell(m, c, move->key, &told);
        bucket_table_put(&c->table, b);
    }
    memory_release(&m->store, c);
    return b != NULL;
}

void limit_memory_disown(struct limit_memory *m)
{
    pthread_mutex_lock(&m->lock);
    MAP_FOREACH (&m->by_identity, slot) {
        struct memory_walk walk = {.m = m, .counter = slot->value};

        bucket_table_each(&walk.counter->table, memory_disown_bucket, &walk);
    }
    pthread_mutex_unlock(&m->lock);
}

void limit_memory_defer(struct limit_memory *m, limit_ask_fn *ask, void *ctx)
{
    if (!m->ask_ctx)
        m->ask_ctx = ctx;
    ASSERT(m->ask_ctx == ctx);
    atomic_store_explicit(&m->ask, ask, memory_order_release);
}

struct limit_move limit_claim_describe(const struct limit_claim *claim)
{
    const struct limit_counter *c = claim->counter;

    return (struct limit_move){.identity = c->identity,
                               .key = claim->key,
                               .window_s = c->table.window_s,
                               .is_distinct = c->table.is_distinct};
}

bool limit_memory_reserve_for(struct limit_memory *m, struct limit_claim *claims, size_t n,
                              int64_t now_wall_us)
{
    for (size_t i = 0; i < n; i++)
        claims[i].is_settled = true; /* held until it is given */
    if (!memory_reserve(&m->store, claims, n, now_wall_us))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (claims[i].held)
            bucket_give(&claims[i]);
        memory_put(&claims[i]);
    }
    return true;
}

/* ---- life ---- */

void limit_memory_init(struct limit_memory *m)
{
    static const struct limit_store_ops ops = {
        .counter = memory_counter,
        .release = memory_release,
        .reserve = memory_reserve,
        .peek = memory_peek,
        .extend = memory_extend,
        .settle = memory_settle,
        .look = memory_look,
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
