/* Entries on a list by last use, so that expired ones are found at its head: when the head is live,
 * all are, but for the few that a long request pins.
 *
 * A bucket's counts are guarded by its own lock, which only who has pinned it takes; with no pin
 * left they are the table's to read, because the last put came by the table's lock. */
#include "policy/bucket_table.h"

#include "base/limits.h"
#include "base/mem.h"

enum {
    TABLE_SWEEP = 2,  /* entries looked at with every new one, so that memory shrinks again */
    TABLE_SEARCH = 16 /* and when there is no room */
};

struct bucket_entry {
    struct bucket bucket;
    struct list_node recent;
    uint32_t n_pins;
    uint32_t key_len;
    char key[];
};

void bucket_table_init(struct bucket_table *t, uint32_t window_s, bool is_distinct)
{
    *t = (struct bucket_table){.window_s = window_s, .is_distinct = is_distinct};
    pthread_mutex_init(&t->lock, NULL);
    bucket_init(&t->single, window_s, 0);
}

static void table_drop(struct bucket_table *t, struct bucket_entry *e)
{
    map_remove(&t->by_key, str_make(e->key, e->key_len));
    list_remove(&e->recent);
    bucket_deinit(&e->bucket);
    mem_free(e);
}

void bucket_table_deinit(struct bucket_table *t)
{
    while (t->recent.first)
        table_drop(t, CONTAINER_OF(t->recent.first, struct bucket_entry, recent));
    map_deinit(&t->by_key);
    bucket_deinit(&t->single);
    pthread_mutex_destroy(&t->lock);
}

/* Of the `n` oldest entries the expired ones leave; pinned ones go to the end, out of the way. */
static void table_sweep(struct bucket_table *t, unsigned n)
{
    while (n-- > 0 && t->recent.first) {
        struct bucket_entry *e = CONTAINER_OF(t->recent.first, struct bucket_entry, recent);

        if (e->n_pins > 0)
            list_move(&t->recent, &e->recent);
        else if (bucket_is_idle(&e->bucket, t->window))
            table_drop(t, e);
        else
            return;
    }
}

static struct bucket_entry *table_add(struct bucket_table *t, struct str key)
{
    struct bucket_entry *e;

    table_sweep(t, TABLE_SWEEP);
    if (t->recent.n_nodes >= LIMIT_DISTINCT_VALUES)
        table_sweep(t, TABLE_SEARCH);
    if (t->recent.n_nodes >= LIMIT_DISTINCT_VALUES)
        return NULL;
    e = mem_alloc_zero(sizeof *e + key.len);
    bucket_init(&e->bucket, t->window_s, t->window);
    e->bucket.session = t->session;
    e->key_len = (uint32_t)key.len;
    if (key.len > 0)
        memcpy(e->key, key.ptr, key.len);
    map_put(&t->by_key, str_make(e->key, key.len), e);
    list_append(&t->recent, &e->recent);
    return e;
}

struct bucket *bucket_table_take(struct bucket_table *t, struct str key, int64_t now_wall_us)
{
    struct bucket_entry *e;

    if (!t->is_distinct)
        return &t->single;
    pthread_mutex_lock(&t->lock);
    t->window = MAX(t->window, bucket_window(t->window_s, now_wall_us));
    e = map_find(&t->by_key, key);
    if (!e)
        e = table_add(t, key);
    else if (t->recent.last != &e->recent)
        list_move(&t->recent, &e->recent);
    if (e)
        e->n_pins++;
    pthread_mutex_unlock(&t->lock);
    return e ? &e->bucket : NULL;
}

void bucket_table_put(struct bucket_table *t, struct bucket *b)
{
    struct bucket_entry *e = CONTAINER_OF(b, struct bucket_entry, bucket);

    if (!t->is_distinct)
        return;
    pthread_mutex_lock(&t->lock);
    /* One that counts nothing, of a refused request, must not take another's place. */
    if (--e->n_pins == 0 && bucket_is_idle(b, t->window))
        table_drop(t, e);
    pthread_mutex_unlock(&t->lock);
}

/* Under the lock. Would an entry leave for a new one? Only the oldest is asked, as by table_sweep.
 */
static bool table_has_room(const struct bucket_table *t, int64_t now_wall_us)
{
    const struct bucket_entry *oldest;

    if (t->recent.n_nodes < LIMIT_DISTINCT_VALUES)
        return true;
    oldest = CONTAINER_OF(t->recent.first, const struct bucket_entry, recent);
    return oldest->n_pins == 0 &&
           bucket_is_idle(&oldest->bucket, MAX(t->window, bucket_window(t->window_s, now_wall_us)));
}

/* Of a value that has no bucket: as if it had one of its own already. */
static void table_peek_new(struct bucket_table *t, struct limit_claim *claim, int64_t now_wall_us)
{
    struct bucket blank;

    bucket_init(&blank, t->window_s, t->window);
    bucket_peek(&blank, claim, now_wall_us);
    bucket_deinit(&blank);
    if (table_has_room(t, now_wall_us))
        return;
    claim->room = LIMIT_ROOM_CROWDED;
    claim->remaining = 0;
}

void bucket_table_peek(struct bucket_table *t, struct limit_claim *claim, int64_t now_wall_us)
{
    struct bucket_entry *e;

    if (!t->is_distinct) {
        bucket_peek(&t->single, claim, now_wall_us);
        return;
    }
    pthread_mutex_lock(&t->lock);
    e = map_find(&t->by_key, claim->key);
    if (e)
        bucket_peek(&e->bucket, claim, now_wall_us);
    else
        table_peek_new(t, claim, now_wall_us);
    pthread_mutex_unlock(&t->lock);
}

struct str bucket_table_key(const struct bucket_table *t, const struct bucket *b)
{
    const struct bucket_entry *e = CONTAINER_OF(b, const struct bucket_entry, bucket);

    return t->is_distinct ? str_make(e->key, e->key_len) : STR("");
}

void bucket_table_each(struct bucket_table *t, bucket_table_fn *fn, void *ctx)
{
    pthread_mutex_lock(&t->lock);
    if (!t->is_distinct)
        fn(ctx, STR(""), &t->single);
    LIST_FOREACH (&t->recent, node) {
        struct bucket_entry *e = CONTAINER_OF(node, struct bucket_entry, recent);

        fn(ctx, str_make(e->key, e->key_len), &e->bucket);
    }
    pthread_mutex_unlock(&t->lock);
}

size_t bucket_table_latest(struct bucket_table *t, size_t n, bucket_table_fn *fn, void *ctx)
{
    size_t n_all;

    pthread_mutex_lock(&t->lock);
    n_all = t->is_distinct ? t->recent.n_nodes : 1;
    if (!t->is_distinct && n > 0)
        fn(ctx, STR(""), &t->single);
    for (struct list_node *node = t->recent.last; node && n > 0; node = node->prev, n--) {
        struct bucket_entry *e = CONTAINER_OF(node, struct bucket_entry, recent);

        fn(ctx, str_make(e->key, e->key_len), &e->bucket);
    }
    pthread_mutex_unlock(&t->lock);
    return n_all;
}

void bucket_table_share(struct bucket_table *t, uint32_t session)
{
    pthread_mutex_lock(&t->lock);
    t->session = session;
    pthread_mutex_unlock(&t->lock);
}
