/* The buckets of one rule in one scope: a single one, or one per distinct value. Bounded by
 * LIMIT_DISTINCT_VALUES: expired ones leave first, then new values are turned away; a live count is
 * never dropped. Shared by all threads. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "policy/bucket.h"

struct bucket_table {
    pthread_mutex_t lock; /* of everything but the buckets' counts */
    uint32_t window_s;
    bool is_distinct;
    uint32_t session;     /* of new buckets; see bucket.h */
    int64_t window;       /* latest that was seen: a new bucket is not made in an earlier one */
    struct bucket single; /* unless distinct */
    struct map by_key;
    struct list recent; /* by last take, oldest first */
};

void bucket_table_init(struct bucket_table *t, uint32_t window_s, bool is_distinct);
/* Nothing may be taken. */
void bucket_table_deinit(struct bucket_table *t);
/* The bucket of `key`, pinned until bucket_table_put. NULL: no room for one more value. */
struct bucket *bucket_table_take(struct bucket_table *t, struct str key, int64_t now_wall_us);
void bucket_table_put(struct bucket_table *t, struct bucket *b);
/* What a claim would be told now (limit_store_ops.peek): no bucket is made for it, and none moves.
 */
void bucket_table_peek(struct bucket_table *t, struct limit_claim *claim, int64_t now_wall_us);
/* Of one that is taken; as long as it is. Empty unless distinct. */
struct str bucket_table_key(const struct bucket_table *t, const struct bucket *b);

typedef void bucket_table_fn(void *ctx, struct str key, struct bucket *b);
/* All buckets, while none comes or goes. */
void bucket_table_each(struct bucket_table *t, bucket_table_fn *fn, void *ctx);
/* Of the buckets taken last, at most `n`, the latest first; answers how many there are in all.
 * Holds the table's lock for so many. */
size_t bucket_table_latest(struct bucket_table *t, size_t n, bucket_table_fn *fn, void *ctx);
/* The session of those that come from now on. */
void bucket_table_share(struct bucket_table *t, uint32_t session);
