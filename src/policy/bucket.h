/* A bucket: how much of one limit is used in the current window, and how much requests under way
 * have reserved. Exact across threads: each has a short lock, and a set of claims is checked and
 * committed while all of its locks are held, taken in the order of addresses. The wall clock is
 * passed in.
 *
 * A bucket can be handed over to another process, which counts on: bucket_share says what it has,
 * and every change from then on, in its claim or as a move; bucket_apply takes that there. */
#pragma once

#include <pthread.h>

#include "policy/limit_store.h"

struct bucket {
    pthread_mutex_t lock;
    uint32_t window_s;
    int64_t window;     /* number of the window since the epoch; never goes back */
    uint64_t used;      /* in that window */
    uint64_t reserved;  /* by requests under way, whatever window they began in */
    uint64_t inherited; /* of that, by requests of the process that was here before */
    uint32_t session;   /* not 0: changes are told to the process that comes after */
};

/* By how much a bucket has changed. Nothing may be released before the move that reserved it. */
struct bucket_move {
    uint32_t session; /* the bucket's; 0: nobody is to be told */
    int64_t window;   /* that `used` counts in */
    uint64_t used;
    uint64_t reserved;
    uint64_t released; /* of what was reserved */
};

enum { BUCKET_CLAIMS_MAX = 512 };

/* `window_s` > 0; the window is at least `window`. */
void bucket_init(struct bucket *b, uint32_t window_s, int64_t window);
void bucket_deinit(struct bucket *b);
/* The number of the window that the wall clock is in. */
int64_t bucket_window(uint32_t window_s, int64_t now_wall_us);
/* Seconds from now to the end of window `window`, at least 1. */
uint32_t bucket_reset_s(uint32_t window_s, int64_t window, int64_t now_wall_us);
/* The claims' buckets stand in claim.held; NULL: left alone (a shadow's); n <= BUCKET_CLAIMS_MAX.
 * As limit_store_ops.reserve. */
bool buckets_reserve(struct limit_claim *claims, size_t n, int64_t now_wall_us);
/* As limit_store_ops.peek, for one claim. */
void bucket_peek(struct bucket *b, struct limit_claim *claim, int64_t now_wall_us);
/* As limit_store_ops.extend. */
bool bucket_extend(struct limit_claim *claim, uint64_t more, int64_t now_wall_us);
/* The reservation goes, `cost` is used in the window that is current now. That is the move. */
struct bucket_move bucket_settle(struct bucket *b, uint64_t reserved, uint64_t cost,
                                 int64_t now_wall_us);
typedef void bucket_tell_fn(void *ctx, const struct bucket_move *move);
/* Tells what it counts now, as a move of one that counts nothing, before anybody can change it;
 * changes from now on are to be told under that session (0: no more, and nothing is told). */
void bucket_share(struct bucket *b, uint32_t session, bucket_tell_fn *tell, void *ctx);
/* What another process says; what is used in a window that is over does not count. The move as it
 * is to be told on. */
struct bucket_move bucket_apply(struct bucket *b, const struct bucket_move *move);
/* A claim that another judged, and that is admitted: counted here too, and told nobody. */
void bucket_note(const struct limit_claim *claim, int64_t now_wall_us);
/* What this claim has reserved is another process's, and released by its moves. */
void bucket_give(const struct limit_claim *claim);
/* That process has ended: what it still had reserved goes. */
struct bucket_move bucket_disown(struct bucket *b);
struct bucket_level bucket_read(struct bucket *b, int64_t now_wall_us);
/* Neither used in the window `window` or later, nor reserved. Nobody else may use it meanwhile. */
bool bucket_is_idle(const struct bucket *b, int64_t window);
