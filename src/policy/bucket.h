/* A bucket: how much of one limit is used in the current window, and how much requests under way
 * have reserved. Exact across threads: each has a short lock, and a set of claims is checked and
 * committed while all of its locks are held, taken in the order of addresses. The wall clock is
 * passed in. */
#pragma once

#include <pthread.h>

#include "policy/limit_store.h"

struct bucket {
    pthread_mutex_t lock;
    uint32_t window_s;
    int64_t window;    /* number of the window since the epoch; never goes back */
    uint64_t used;     /* in that window */
    uint64_t reserved; /* by requests under way, whatever window they began in */
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
/* As limit_store_ops.extend. */
bool bucket_extend(struct limit_claim *claim, uint64_t more, int64_t now_wall_us);
/* The reservation goes, `cost` is used in the window that is current now. */
void bucket_settle(struct bucket *b, uint64_t reserved, uint64_t cost, int64_t now_wall_us);
/* Neither used in the window `window` or later, nor reserved. Nobody else may use it meanwhile. */
bool bucket_is_idle(const struct bucket *b, int64_t window);
