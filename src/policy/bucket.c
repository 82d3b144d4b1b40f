/* Fixed windows aligned to the unix epoch by wall clock. A clock that steps back leaves a bucket in
 * its later window, else the same hour could be spent twice; what a request reserves outlives the
 * window it began in, because its cost will count in the window that it ends in.
 *
 * Admission asks that used + others' reservations leave room for what is taken at once, and for a
 * cost that is known only later, that they have not reached the limit: so the overshoot of such a
 * limit is at most the last admitted cost and the errors of the estimates in flight. */
#include "policy/bucket.h"

#include "base/assert.h"

enum { US_PER_S = 1000000 };

void bucket_init(struct bucket *b, uint32_t window_s, int64_t window)
{
    PRE(window_s > 0);
    *b = (struct bucket){.window_s = window_s, .window = window};
    pthread_mutex_init(&b->lock, NULL);
}

void bucket_deinit(struct bucket *b)
{
    pthread_mutex_destroy(&b->lock);
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

int64_t bucket_window(uint32_t window_s, int64_t now_wall_us)
{
    return MAX(now_wall_us, (int64_t)0) / US_PER_S / window_s;
}

/* Under the lock. */
static void bucket_roll(struct bucket *b, int64_t now_wall_us)
{
    int64_t window = bucket_window(b->window_s, now_wall_us);

    if (window <= b->window)
        return;
    b->window = window;
    b->used = 0;
}

uint32_t bucket_reset_s(uint32_t window_s, int64_t window, int64_t now_wall_us)
{
    int64_t now_s = MAX(now_wall_us, (int64_t)0) / US_PER_S;
    int64_t left_s = (window + 1) * window_s - now_s;

    return (uint32_t)MIN(MAX(left_s, (int64_t)1), (int64_t)UINT32_MAX);
}

static bool claim_fits(const struct limit_claim *c, uint64_t total)
{
    return c->take > 0 ? add_saturated(total, c->take) <= c->limit : total < c->limit;
}

/* Under the lock. */
static void claim_judge(struct limit_claim *c, int64_t now_wall_us)
{
    struct bucket *b = c->held;

    bucket_roll(b, now_wall_us);
    if (claim_fits(c, add_saturated(b->used, b->reserved)))
        c->room = LIMIT_ROOM_YES;
    else
        c->room = claim_fits(c, b->used) ? LIMIT_ROOM_RESERVED : LIMIT_ROOM_USED;
    c->reset_s = bucket_reset_s(b->window_s, b->window, now_wall_us);
}

/* Under the lock. */
static void claim_finish(struct limit_claim *c, bool is_admitted)
{
    struct bucket *b = c->held;
    uint64_t total;

    if (is_admitted) {
        b->used = add_saturated(b->used, c->take);
        b->reserved = add_saturated(b->reserved, c->reserve);
    }
    c->session = b->session;
    c->window = b->window;
    total = add_saturated(b->used, b->reserved);
    c->remaining = total < c->limit ? c->limit - total : 0;
}

/* Few, and mostly in order already: insertion. Those without a bucket are left out. */
static size_t claims_sort(struct limit_claim *claims, size_t n, struct limit_claim **ret_sorted)
{
    size_t n_sorted = 0;

    for (size_t i = 0; i < n; i++) {
        size_t at = n_sorted;

        if (!claims[i].held)
            continue;
        n_sorted++;

        while (at > 0 && (uintptr_t)ret_sorted[at - 1]->held > (uintptr_t)claims[i].held) {
            ret_sorted[at] = ret_sorted[at - 1];
            at--;
        }
        ret_sorted[at] = &claims[i];
    }
    return n_sorted;
}

bool buckets_reserve(struct limit_claim *claims, size_t n, int64_t now_wall_us)
{
    struct limit_claim *sorted[BUCKET_CLAIMS_MAX];
    bool is_admitted = true;

    PRE(n <= BUCKET_CLAIMS_MAX);
    n = claims_sort(claims, n, sorted);
    for (size_t i = 0; i < n; i++) {
        ASSERT(i == 0 || sorted[i]->held != sorted[i - 1]->held);
        pthread_mutex_lock(&((struct bucket *)sorted[i]->held)->lock);
        claim_judge(sorted[i], now_wall_us);
        is_admitted &= sorted[i]->room == LIMIT_ROOM_YES || sorted[i]->is_shadow;
    }
    for (size_t i = n; i-- > 0;) {
        claim_finish(sorted[i], is_admitted);
        pthread_mutex_unlock(&((struct bucket *)sorted[i]->held)->lock);
    }
    return is_admitted;
}

/* Judged on a copy: the window of the bucket itself does not roll either. */
void bucket_peek(struct bucket *b, struct limit_claim *claim, int64_t now_wall_us)
{
    struct bucket copy = {.window_s = b->window_s};

    pthread_mutex_lock(&b->lock);
    copy.window = b->window;
    copy.used = b->used;
    copy.reserved = b->reserved;
    pthread_mutex_unlock(&b->lock);
    claim->held = &copy;
    claim_judge(claim, now_wall_us);
    claim_finish(claim, false);
    claim->held = NULL;
}

bool bucket_extend(struct limit_claim *claim, uint64_t more, int64_t now_wall_us)
{
    struct bucket *b = claim->held;
    bool is_admitted;

    pthread_mutex_lock(&b->lock);
    bucket_roll(b, now_wall_us);
    is_admitted =
        claim->is_shadow ||
        add_saturated(b->used, b->reserved - MIN(b->reserved, claim->reserve)) < claim->limit;
    if (is_admitted) {
        b->reserved = add_saturated(b->reserved, more);
        claim->reserve = add_saturated(claim->reserve, more);
        claim->session = b->session;
        claim->window = b->window;
    } else {
        claim->room = b->used < claim->limit ? LIMIT_ROOM_RESERVED : LIMIT_ROOM_USED;
        claim->reset_s = bucket_reset_s(b->window_s, b->window, now_wall_us);
        claim->remaining = 0;
    }
    pthread_mutex_unlock(&b->lock);
    return is_admitted;
}

struct bucket_move bucket_settle(struct bucket *b, uint64_t reserved, uint64_t cost,
                                 int64_t now_wall_us)
{
    struct bucket_move move = {.used = cost, .released = reserved};

    pthread_mutex_lock(&b->lock);
    bucket_roll(b, now_wall_us);
    b->reserved = b->reserved > reserved ? b->reserved - reserved : 0;
    b->used = add_saturated(b->used, cost);
    move.session = b->session;
    move.window = b->window;
    pthread_mutex_unlock(&b->lock);
    return move;
}

void bucket_share(struct bucket *b, uint32_t session, bucket_tell_fn *tell, void *ctx)
{
    struct bucket_move move = {.session = session};

    pthread_mutex_lock(&b->lock);
    b->session = session;
    move.window = b->window;
    move.used = b->used;
    move.reserved = b->reserved;
    if (session && (b->used > 0 || b->reserved > 0))
        tell(ctx, &move);
    pthread_mutex_unlock(&b->lock);
}

/* Under the lock. */
static void bucket_let_go(struct bucket *b, uint64_t released)
{
    released = MIN(released, b->inherited);
    b->inherited -= released;
    b->reserved -= MIN(b->reserved, released);
}

struct bucket_move bucket_apply(struct bucket *b, const struct bucket_move *move)
{
    struct bucket_move told = *move;

    pthread_mutex_lock(&b->lock);
    if (move->window > b->window) {
        b->window = move->window;
        b->used = 0;
    }
    if (move->window == b->window)
        b->used = add_saturated(b->used, move->used);
    b->inherited = add_saturated(b->inherited, move->reserved);
    b->reserved = add_saturated(b->reserved, move->reserved);
    bucket_let_go(b, move->released);
    told.session = b->session;
    pthread_mutex_unlock(&b->lock);
    return told;
}

void bucket_note(const struct limit_claim *claim, int64_t now_wall_us)
{
    struct bucket *b = claim->held;

    pthread_mutex_lock(&b->lock);
    bucket_roll(b, now_wall_us);
    b->used = add_saturated(b->used, claim->take);
    b->reserved = add_saturated(b->reserved, claim->reserve);
    pthread_mutex_unlock(&b->lock);
}

void bucket_give(const struct limit_claim *claim)
{
    struct bucket *b = claim->held;

    pthread_mutex_lock(&b->lock);
    b->inherited = add_saturated(b->inherited, claim->reserve);
    pthread_mutex_unlock(&b->lock);
}

struct bucket_move bucket_disown(struct bucket *b)
{
    struct bucket_move move = {0};

    pthread_mutex_lock(&b->lock);
    move.session = b->session;
    move.window = b->window;
    move.released = b->inherited;
    bucket_let_go(b, b->inherited);
    pthread_mutex_unlock(&b->lock);
    return move;
}

struct bucket_level bucket_read(struct bucket *b, int64_t now_wall_us)
{
    struct bucket_level level;

    pthread_mutex_lock(&b->lock);
    int64_t window = MAX(b->window, bucket_window(b->window_s, now_wall_us));

    level.used = b->window == window ? b->used : 0;
    level.reserved = b->reserved;
    level.reset_s = bucket_reset_s(b->window_s, window, now_wall_us);
    pthread_mutex_unlock(&b->lock);
    return level;
}

bool bucket_is_idle(const struct bucket *b, int64_t window)
{
    return b->reserved == 0 && (b->used == 0 || b->window < window);
}
