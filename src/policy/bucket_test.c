/* Buckets: windows, reservations, all or nothing, and exactness across threads. */
#include "policy/bucket.h"

#include <stdatomic.h>

#include "test/harness/test.h"

#define S(seconds) ((int64_t)(seconds)*1000000)

enum { MINUTE = 60, HOUR = 3600 };

static struct limit_claim claim(struct bucket *b, uint64_t limit, uint64_t take, uint64_t reserve)
{
    return (struct limit_claim){.limit = limit, .take = take, .reserve = reserve, .held = b};
}

static bool reserve(struct bucket *b, uint64_t limit, uint64_t take, uint64_t held, int64_t now)
{
    struct limit_claim c = claim(b, limit, take, held);

    return buckets_reserve(&c, 1, now);
}

TEST(bucket_lets_its_limit_pass_and_no_more)
{
    static const struct {
        uint64_t limit;
        uint64_t take;
        unsigned n_passing;
    } cases[] = {{3, 1, 3},  {0, 1, 0}, {1, 1, 1},
                 {10, 3, 3}, {2, 5, 0}, {UINT32_MAX, UINT32_MAX, 1}};

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct bucket b;
        unsigned n = 0;

        bucket_init(&b, MINUTE, 0);
        while (n < 10 && reserve(&b, cases[i].limit, cases[i].take, 0, S(30)))
            n++;
        CHECK_MSG(n == cases[i].n_passing, "row %zu: %u", i, n);
        bucket_deinit(&b);
    }
}

TEST(what_takes_nothing_still_needs_room)
{
    struct bucket b;

    bucket_init(&b, MINUTE, 0);
    CHECK(reserve(&b, 1, 0, 0, S(1)));
    CHECK(reserve(&b, 1, 1, 0, S(1)));
    CHECK(!reserve(&b, 1, 0, 0, S(1)));
    CHECK(!reserve(&b, 0, 0, 0, S(1)));
    bucket_deinit(&b);
}

TEST(windows_begin_at_multiples_since_the_epoch)
{
    static const uint32_t units[] = {1, 60, 3600, 86400, 604800, 30 * 86400, 365 * 86400};

    for (size_t i = 0; i < N_ELEMENTS(units); i++) {
        int64_t begin = (int64_t)units[i] * 1000;
        struct limit_claim c;
        struct bucket b;

        bucket_init(&b, units[i], 0);
        c = claim(&b, 1, 1, 0);
        CHECK(buckets_reserve(&c, 1, S(begin) - 1));
        CHECK_INT(c.reset_s, 1);
        CHECK(!reserve(&b, 1, 1, 0, S(begin) - 1));
        c = claim(&b, 1, 1, 0);
        CHECK(buckets_reserve(&c, 1, S(begin)));
        CHECK_INT(c.reset_s, units[i]);
        CHECK(!reserve(&b, 1, 1, 0, S(begin + units[i]) - 1));
        CHECK(reserve(&b, 1, 1, 0, S(begin + units[i])));
        bucket_deinit(&b);
    }
}

TEST(a_clock_that_steps_back_stays_in_the_later_window)
{
    struct limit_claim c;
    struct bucket b;

    bucket_init(&b, MINUTE, 0);
    CHECK(reserve(&b, 1, 1, 0, S(125)));
    c = claim(&b, 1, 1, 0);
    CHECK(!buckets_reserve(&c, 1, S(61)));
    CHECK_INT(c.room, LIMIT_ROOM_USED);
    CHECK_INT(c.reset_s, 180 - 61);
    CHECK(!reserve(&b, 1, 1, 0, -S(5)));
    CHECK(!reserve(&b, 1, 1, 0, S(179)));
    CHECK(reserve(&b, 1, 1, 0, S(180)));
    bucket_deinit(&b);
}

TEST(others_reservations_count_and_ones_own_does_not)
{
    struct limit_claim c;
    struct bucket b;

    bucket_init(&b, HOUR, 0);
    c = claim(&b, 10000, 0, 32000);
    CHECK(buckets_reserve(&c, 1, S(1)));
    CHECK_INT(c.remaining, 0);
    c = claim(&b, 10000, 0, 10);
    CHECK(!buckets_reserve(&c, 1, S(1)));
    CHECK_INT(c.room, LIMIT_ROOM_RESERVED);
    bucket_settle(&b, 32000, 9999, S(2));
    c = claim(&b, 10000, 0, 10);
    CHECK(buckets_reserve(&c, 1, S(3)));
    CHECK_INT(c.room, LIMIT_ROOM_YES);
    bucket_settle(&b, 10, 500, S(4)); /* the overshoot: the last admitted cost */
    c = claim(&b, 10000, 0, 10);
    CHECK(!buckets_reserve(&c, 1, S(5)));
    CHECK_INT(c.room, LIMIT_ROOM_USED);
    CHECK_INT(c.remaining, 0);
    bucket_deinit(&b);
}

TEST(a_reservation_grows_while_others_leave_room)
{
    struct limit_claim mine, other;
    struct bucket b;

    bucket_init(&b, HOUR, 0);
    mine = claim(&b, 100, 0, 10);
    other = claim(&b, 100, 0, 50);
    CHECK(buckets_reserve(&mine, 1, S(1)));
    CHECK(bucket_extend(&mine, 70, S(1))); /* what is one's own does not count */
    CHECK_INT(b.reserved, 80);
    CHECK(buckets_reserve(&other, 1, S(1)));
    CHECK(bucket_extend(&mine, 1000, S(1)));
    CHECK(!bucket_extend(&other, 1, S(1)));
    CHECK_INT(other.reserve, 50);
    CHECK_INT(other.room, LIMIT_ROOM_RESERVED);
    bucket_settle(&b, mine.reserve, 100, S(2));
    CHECK_INT(b.reserved, 50);
    CHECK(!bucket_extend(&other, 1, S(2)));
    CHECK_INT(other.room, LIMIT_ROOM_USED);
    CHECK_INT(other.reset_s, HOUR - 2);
    other.is_shadow = true;
    CHECK(bucket_extend(&other, 1, S(2)));
    other.is_shadow = false;
    CHECK(bucket_extend(&other, 1, S(HOUR)));
    bucket_settle(&b, other.reserve, 1, S(HOUR));
    CHECK_INT(b.reserved, 0);
    CHECK_INT(b.used, 1);
    bucket_deinit(&b);
}

TEST(a_cost_counts_in_the_window_that_it_becomes_known_in)
{
    struct bucket b;

    bucket_init(&b, MINUTE, 0);
    CHECK(reserve(&b, 100, 0, 50, S(59)));
    CHECK(reserve(&b, 100, 0, 10, S(60))); /* reservations outlive the window */
    CHECK_INT(b.reserved, 60);
    bucket_settle(&b, 50, 100, S(61));
    CHECK(!reserve(&b, 100, 0, 1, S(62)));
    bucket_settle(&b, 10, 0, S(62));
    CHECK(!reserve(&b, 100, 0, 1, S(119)));
    CHECK(reserve(&b, 100, 0, 1, S(120)));
    bucket_deinit(&b);
}

TEST(costs_do_not_overflow)
{
    struct bucket b;

    bucket_init(&b, MINUTE, 0);
    bucket_settle(&b, 5, UINT64_MAX - 1, S(1));
    bucket_settle(&b, 0, 10, S(1));
    CHECK(b.used == UINT64_MAX);
    CHECK(!reserve(&b, UINT32_MAX, 1, UINT64_MAX, S(1)));
    CHECK(reserve(&b, UINT32_MAX, 0, UINT64_MAX, S(61)));
    CHECK(!reserve(&b, UINT32_MAX, 0, UINT64_MAX, S(61)));
    bucket_deinit(&b);
}

TEST(a_refused_set_takes_nothing_anywhere)
{
    struct limit_claim set[3];
    struct bucket b[3];

    for (int i = 0; i < 3; i++)
        bucket_init(&b[i], HOUR, 0);
    CHECK(reserve(&b[1], 1, 1, 0, S(1)));
    for (int i = 0; i < 3; i++) {
        /* Not in the order of addresses. */
        set[0] = claim(&b[2], 5, 1, 0);
        set[1] = claim(&b[0], 5, 0, 7);
        set[2] = claim(&b[1], 1, 1, 0);
        CHECK(!buckets_reserve(set, 3, S(2)));
    }
    CHECK_INT(set[0].room, LIMIT_ROOM_YES);
    CHECK_INT(set[1].room, LIMIT_ROOM_YES);
    CHECK_INT(set[2].room, LIMIT_ROOM_USED);
    CHECK_INT(set[0].remaining, 5);
    CHECK_INT(b[2].used, 0);
    CHECK_INT(b[0].reserved, 0);
    set[2].limit = 2;
    CHECK(buckets_reserve(set, 3, S(2)));
    CHECK_INT(b[2].used, 1);
    CHECK_INT(b[0].reserved, 7);
    CHECK_INT(b[1].used, 2);
    for (int i = 0; i < 3; i++)
        bucket_deinit(&b[i]);
}

TEST(a_shadow_claim_counts_and_never_refuses)
{
    struct limit_claim c;
    struct bucket b;

    bucket_init(&b, HOUR, 0);
    for (int i = 0; i < 3; i++) {
        c = claim(&b, 1, 1, 0);
        c.is_shadow = true;
        CHECK(buckets_reserve(&c, 1, S(1)));
    }
    CHECK_INT(b.used, 3);
    CHECK_INT(c.room, LIMIT_ROOM_USED);
    bucket_deinit(&b);
}

/* ---- threads ---- */

enum { RUNNERS = 200, ROOM = 20 };

struct race {
    struct bucket buckets[3];
    _Atomic unsigned n_passed;
    _Atomic unsigned n_ready;
    bool is_reserving;
};

static void *race_run(void *arg)
{
    struct race *r = arg;
    unsigned number = atomic_fetch_add(&r->n_ready, 1);
    struct limit_claim set[3];

    while (atomic_load(&r->n_ready) < RUNNERS)
        sched_yield();
    for (unsigned i = 0; i < 3; i++) {
        unsigned at = number % 2 ? i : 2 - i;
        bool is_narrow = at == 1;

        set[i] = claim(&r->buckets[at], is_narrow ? ROOM * 50 : 1000000, r->is_reserving ? 0 : 50,
                       r->is_reserving ? 50 : 0);
    }
    if (buckets_reserve(set, 3, S(10)))
        atomic_fetch_add(&r->n_passed, 1);
    return NULL;
}

static void race(bool is_reserving)
{
    static struct race r;
    pthread_t threads[RUNNERS];

    r = (struct race){.is_reserving = is_reserving};
    for (int i = 0; i < 3; i++)
        bucket_init(&r.buckets[i], HOUR, 0);
    for (int i = 0; i < RUNNERS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, race_run, &r), 0);
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(atomic_load(&r.n_passed), ROOM);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(is_reserving ? r.buckets[i].reserved : r.buckets[i].used, ROOM * 50);
        bucket_deinit(&r.buckets[i]);
    }
}

TEST(of_200_threads_exactly_20_find_room)
{
    race(false);
}

TEST(of_200_threads_exactly_20_can_reserve)
{
    race(true);
}
