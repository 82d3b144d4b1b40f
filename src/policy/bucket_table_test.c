/* The table of distinct values: bounded, expired ones leave first, a live count never. */
#include "policy/bucket_table.h"

#include <stdatomic.h>

#include "base/limits.h"
#include "test/harness/test.h"

#define S(seconds) ((int64_t)(seconds)*1000000)

static struct str number_key(unsigned n, char room[16])
{
    return str_make(room, (size_t)snprintf(room, 16, "%u", n));
}

/* Counts one request of `key`; false when the table has no room. */
static bool count(struct bucket_table *t, struct str key, int64_t now)
{
    struct bucket *b = bucket_table_take(t, key, now);
    struct limit_claim c = {.limit = 1000000, .take = 1, .held = b};

    if (!b)
        return false;
    CHECK(buckets_reserve(&c, 1, now));
    bucket_table_put(t, b);
    return true;
}

static uint64_t used(struct bucket_table *t, struct str key, int64_t now)
{
    struct bucket *b = bucket_table_take(t, key, now);
    uint64_t n = b->used;

    bucket_table_put(t, b);
    return n;
}

TEST(each_value_has_its_own_bucket)
{
    struct bucket_table t;

    bucket_table_init(&t, 60, true);
    CHECK(count(&t, STR("a"), S(1)));
    CHECK(count(&t, STR("a"), S(1)));
    CHECK(count(&t, STR("b"), S(1)));
    CHECK(count(&t, STR(""), S(1)));
    CHECK_INT(used(&t, STR("a"), S(1)), 2);
    CHECK_INT(used(&t, STR("b"), S(1)), 1);
    CHECK_INT(used(&t, STR(""), S(1)), 1);
    bucket_table_deinit(&t);
}

struct latest {
    char text[64];
    size_t n;
};

static void note_latest(void *ctx, struct str key, struct bucket *b)
{
    struct latest *l = ctx;
    struct bucket_level level = bucket_read(b, S(10));

    l->n += (size_t)snprintf(l->text + l->n, sizeof l->text - l->n, "%.*s:%u ", STR_ARG(key),
                             (unsigned)level.used);
}

TEST(the_values_taken_last_are_told_first)
{
    struct bucket_table t;
    struct latest two = {0};
    struct latest none = {0};
    struct latest one = {0};

    bucket_table_init(&t, 60, true);
    CHECK(count(&t, STR("a"), S(10)) && count(&t, STR("b"), S(10)) && count(&t, STR("c"), S(10)));
    CHECK(count(&t, STR("a"), S(10)));
    CHECK_INT(bucket_table_latest(&t, 2, note_latest, &two), 3);
    CHECK_STR(str_of(two.text), "a:2 c:1 ");
    CHECK_INT(bucket_table_latest(&t, 0, note_latest, &none), 3);
    CHECK_INT(none.n, 0);
    bucket_table_deinit(&t);

    bucket_table_init(&t, 60, false);
    CHECK(count(&t, STR(""), S(10)));
    CHECK_INT(bucket_table_latest(&t, 5, note_latest, &one), 1);
    CHECK_STR(str_of(one.text), ":1 ");
    CHECK_INT(bucket_read(&t.single, S(10)).reset_s, 50);
    CHECK_INT(bucket_read(&t.single, S(60)).used, 0); /* another window */
    bucket_table_deinit(&t);
}

TEST(a_table_that_is_not_distinct_has_one_bucket)
{
    struct bucket_table t;

    bucket_table_init(&t, 60, false);
    CHECK(count(&t, STR("a"), S(1)));
    CHECK(count(&t, STR("b"), S(1)));
    CHECK_INT(t.single.used, 2);
    bucket_table_deinit(&t);
}

TEST(a_full_table_keeps_live_counts_and_turns_new_values_away)
{
    struct bucket_table t;
    char room[16];

    bucket_table_init(&t, 60, true);
    for (unsigned i = 0; i < LIMIT_DISTINCT_VALUES; i++)
        CHECK(count(&t, number_key(i, room), S(1)));
    CHECK(!count(&t, STR("new"), S(59)));
    CHECK(count(&t, STR("7"), S(59)));
    CHECK_INT(used(&t, STR("7"), S(59)), 2);
    CHECK(count(&t, STR("new"), S(60)));
    CHECK_INT(used(&t, STR("7"), S(60)), 2); /* what expired rolls over when it is asked for */
    CHECK(count(&t, STR("newer"), S(61)));
    CHECK(t.recent.n_nodes <= LIMIT_DISTINCT_VALUES);
    bucket_table_deinit(&t);
}

TEST(expired_values_leave_as_new_ones_come)
{
    struct bucket_table t;
    char room[16];

    bucket_table_init(&t, 60, true);
    for (unsigned i = 0; i < 1000; i++)
        CHECK(count(&t, number_key(i, room), S(1)));
    for (unsigned i = 5000; i < 5600; i++)
        CHECK(count(&t, number_key(i, room), S(61)));
    CHECK_INT(t.recent.n_nodes, 600);
    bucket_table_deinit(&t);
}

TEST(a_pinned_bucket_stays_whatever_its_age)
{
    struct bucket_table t;
    struct bucket *held;
    char room[16];

    bucket_table_init(&t, 1, true);
    held = bucket_table_take(&t, STR("long"), S(1));
    struct limit_claim c = {.limit = 10, .reserve = 5, .held = held};

    CHECK(buckets_reserve(&c, 1, S(1)));
    for (unsigned i = 0; i < 100; i++)
        CHECK(count(&t, number_key(i, room), S(10 + i)));
    CHECK_INT(held->reserved, 5);
    bucket_settle(held, 5, 3, S(200));
    bucket_table_put(&t, held);
    CHECK_INT(used(&t, STR("long"), S(200)), 3);
    bucket_table_deinit(&t);
}

TEST(a_value_that_counts_nothing_takes_no_place)
{
    struct bucket_table t;
    struct bucket *b;

    bucket_table_init(&t, 60, true);
    b = bucket_table_take(&t, STR("refused"), S(1));
    CHECK_INT(t.recent.n_nodes, 1);
    bucket_table_put(&t, b);
    CHECK_INT(t.recent.n_nodes, 0);
    CHECK_INT(t.by_key.n_items, 0);
    bucket_table_deinit(&t);
}

TEST(a_new_bucket_is_not_made_in_an_earlier_window)
{
    struct bucket_table t;
    struct bucket *b;

    bucket_table_init(&t, 60, true);
    CHECK(count(&t, STR("a"), S(125)));
    b = bucket_table_take(&t, STR("b"), S(61));
    CHECK_INT(b->window, 2);
    bucket_table_put(&t, b);
    bucket_table_deinit(&t);
}

/* ---- threads ---- */

enum { RUNNERS = 8, ROUNDS = 2000, VALUES = 5 };

static struct bucket_table shared;
static _Atomic unsigned n_passed[VALUES];

static void *run(void *arg UNUSED)
{
    char room[16];

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned value = i % VALUES;
        struct bucket *b = bucket_table_take(&shared, number_key(value, room), S(1));
        struct limit_claim c = {.limit = 1000, .take = 1, .held = b};

        if (buckets_reserve(&c, 1, S(1)))
            atomic_fetch_add(&n_passed[value], 1);
        bucket_table_put(&shared, b);
    }
    return NULL;
}

TEST(threads_share_the_table_exactly)
{
    pthread_t threads[RUNNERS];

    bucket_table_init(&shared, 60, true);
    for (int i = 0; i < RUNNERS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, run, NULL), 0);
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < VALUES; i++)
        CHECK_INT(atomic_load(&n_passed[i]), 1000);
    bucket_table_deinit(&shared);
}
