/* The limit store of one process: counters by identity, so that a rule that a reload leaves as it
 * is keeps its counts. Shared by all threads; its lock is taken when configuration changes, never
 * per request. */
#pragma once

#include <stdatomic.h>

#include "policy/bucket_table.h"

struct limit_move;
typedef void limit_tell_fn(void *ctx, const struct limit_move *move);
/* As limit_store_ops.reserve, for claims of this memory, without `held`. False: it could not be
 * asked. */
typedef bool limit_ask_fn(void *ctx, struct limit_claim *claims, size_t n, bool *ret_is_admitted);

struct limit_memory {
    struct limit_store store; /* what the gateway calls */
    pthread_mutex_t lock;
    struct map by_identity;
    uint32_t session; /* not 0: shared */
    limit_tell_fn *tell;
    void *tell_ctx;
    limit_ask_fn *_Atomic ask; /* judges in place of this memory; NULL: nobody does */
    void *ask_ctx;
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
/* From now on it is another's to admit, who is told what is used and released here; where it cannot
 * be asked, this memory judges by what it knows. NULL: by itself again. `ctx` is the same ever
 * after.
 */
void limit_memory_defer(struct limit_memory *m, limit_ask_fn *ask, void *ctx);
/* What is counted by this claim, for who is asked: a move without a count. */
struct limit_move limit_claim_describe(const struct limit_claim *claim);
/* On the other side: the counter, with one more reference. NULL: not counted here. */
struct limit_counter *limit_memory_find(struct limit_memory *m, const struct limit_move *move);
/* As limit_store_ops.reserve, for a process that asks: nothing is held, what is reserved is that
 * process's to release. */
bool limit_memory_reserve_for(struct limit_memory *m, struct limit_claim *claims, size_t n,
                              int64_t now_wall_us);
