/* Where limits are counted, as an interface: counters of rules, all-or-nothing admission, and the
 * settling of what turned out to be the cost. BackendTrafficPolicy's Global and Local limits both
 * count in the store of this process (policy/limit_memory.h). A store is shared by all threads. */
#pragma once

#include "base/str.h"

struct limit_store;
/* One rule in one scope, with all its distinct values. The store's own; referenced. */
struct limit_counter;

/* What stands in a bucket, in the window that is current now. */
struct bucket_level {
    uint64_t used;
    uint64_t reserved;
    uint32_t reset_s; /* to the end of the window, at least 1 */
};

enum limit_room {
    LIMIT_ROOM_YES,
    LIMIT_ROOM_USED,     /* what the window allows is used up */
    LIMIT_ROOM_RESERVED, /* only what requests under way have reserved stands in the way */
    LIMIT_ROOM_CROWDED,  /* the rule counts as many distinct values as it may */
};

/* What one request wants of one counter. */
struct limit_claim {
    struct limit_counter *counter;
    struct str key;   /* distinct value; empty unless the counter is distinct */
    uint64_t limit;   /* per window */
    uint64_t take;    /* used at once; 0: the request only needs some room */
    uint64_t reserve; /* held until it is settled */
    bool is_settled;  /* a cost of the answer will follow: ops->settle must be called */
    bool is_shadow;   /* counts, and never refuses */
    /* Told by reserve: */
    enum limit_room room;
    uint32_t reset_s;   /* to the end of the window, at least 1 */
    uint64_t remaining; /* afterwards */
    /* The store's own: */
    void *held;       /* NULL: nothing to settle */
    uint32_t session; /* not 0: what is changed is told elsewhere too */
    int64_t window;   /* that it was changed in */
};

/* What one distinct value of a counter stands at; `key` is lent for the call. */
typedef void limit_look_fn(void *ctx, struct str key, const struct bucket_level *level);

struct limit_store_ops {
    /* The counter of that identity with one more reference, made if there is none. `window_s` is
     * the length of its windows, which begin at multiples since the epoch; a counter keeps the one
     * it was made with. */
    struct limit_counter *(*counter)(struct limit_store *s, struct str identity, uint32_t window_s,
                                     bool is_distinct);
    /* NULL is nothing. Its counts go with the last reference. */
    void (*release)(struct limit_store *s, struct limit_counter *c);
    /* All claims or none: true, and every claim is taken and reserved; or false, nothing is changed
     * anywhere, and `room` of each claim says whether it was the one. Of the keys nothing is kept
     * but copies. No two claims have one counter. */
    bool (*reserve)(struct limit_store *s, struct limit_claim *claims, size_t n,
                    int64_t now_wall_us);
    /* What reserve would answer now, and tell of each claim: nothing is taken, made or asked of
     * another process. `remaining` is what is left before the request. */
    bool (*peek)(struct limit_store *s, struct limit_claim *claims, size_t n, int64_t now_wall_us);
    /* A held claim reserves `more`: its request turns out larger than it seemed. False, and nothing
     * is reserved, when what is used and what others reserve have reached the limit meanwhile: then
     * `room`, `reset_s` and `remaining` of the claim are told anew. */
    bool (*extend)(struct limit_store *s, struct limit_claim *claim, uint64_t more,
                   int64_t now_wall_us);
    /* Once for every claim with `held` of a successful reserve: the reservation goes, and `cost` is
     * used in the window that is current now. */
    void (*settle)(struct limit_store *s, struct limit_claim *claim, uint64_t cost,
                   int64_t now_wall_us);
    /* For who watches: at most `n` of the counter's values, those that were asked about last first,
     * under locks for so long; `fn` must be quick. Answers how many values there are. */
    size_t (*look)(struct limit_store *s, struct limit_counter *c, size_t n, int64_t now_wall_us,
                   limit_look_fn *fn, void *ctx);
};

struct limit_store {
    const struct limit_store_ops *ops;
};
