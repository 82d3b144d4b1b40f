/* The limit store of one process: counters by identity, so that a rule that a reload leaves as it
 * is keeps its counts. Shared by all threads; its lock is taken when configuration changes, never
 * per request. */
#pragma once

#include "policy/bucket_table.h"

struct limit_move;
typedef void limit_tell_fn(void *ctx, const struct limit_move *move);

struct limit_memory {
    struct limit_store store; /* what the gateway calls */
    pthread_mutex_t lock;
    struct map by_identity;
    uint32_t session; /* not 0: shared */
    limit_tell_fn *tell;
    void *tell_ctx;
};

/* A change of one count, between processes that keep the same ones. Its texts are borrowed. */
struct limit_move {
    struct str identity;
    struct str key; /* distinct value */
    uint32_t window_s;
    bool is_distinct;
    struct bucket_move count;
};

void limit_memory_init(struct limit_memory *m);
/* All counters must have been released. */
void limit_memory_deinit(struct limit_memory *m);

/* Tells all that is counted now, and from then on each change once, on the thread that makes it:
 * `tell` must be quick, never call back, and stay callable until the end. `session` is not 0 and a
 * new one each time; moves that are told late carry that of an earlier one. */
void limit_memory_share(struct limit_memory *m, uint32_t session, limit_tell_fn *tell, void *ctx);
/* No more. */
void limit_memory_unshare(struct limit_memory *m);
/* What another process told. False: not counted here, or as many distinct values as there may be.
 */
bool limit_memory_apply(struct limit_memory *m, const struct limit_move *move, int64_t now_wall_us);
/* That process has ended: what it still had reserved goes. */
void limit_memory_disown(struct limit_memory *m);
