/* Tests of bounded counts: exact among threads. */
#include <pthread.h>
#include <sched.h>

#include "base/bounded_count.h"
#include "base/macro.h"
#include "test/harness/test.h"

enum { N_THREADS = 2, N_ROUNDS = 20000, N_SPINS = 10000 };

static struct bounded_count places;
static _Atomic uint32_t n_let_in;
static _Atomic uint32_t n_arrived; /* at the door, in all rounds together */

/* Both at the door in the same moment, again and again: one place, so one of them is let in. */
static void visitor_meet(uint32_t round)
{
    atomic_fetch_add(&n_arrived, 1);
    for (int i = 1; atomic_load(&n_arrived) < (round + 1) * N_THREADS; i++) {
        if (i % N_SPINS == 0)
            sched_yield(); /* perhaps there is one processor for both */
    }
}

static void *visitor_main(void *arg UNUSED)
{
    for (uint32_t i = 0; i < N_ROUNDS; i++) {
        visitor_meet(2 * i);
        bool is_in = bounded_count_take(&places, 1);

        atomic_fetch_add(&n_let_in, is_in);
        visitor_meet(2 * i + 1);
        if (is_in)
            bounded_count_put(&places);
    }
    return NULL;
}

TEST(a_bounded_count_lets_no_thread_in_beyond_its_bound)
{
    pthread_t threads[N_THREADS];

    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, visitor_main, NULL) == 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&n_let_in) == N_ROUNDS);
    CHECK(bounded_count_get(&places) == 0);
}

TEST(a_place_is_there_again_when_it_was_given_back_and_a_bound_may_change)
{
    struct bounded_count c = {0};

    CHECK(bounded_count_take(&c, 2) && bounded_count_take(&c, 2) && !bounded_count_take(&c, 2));
    CHECK(bounded_count_take(&c, 3) && bounded_count_get(&c) == 3);
    CHECK(!bounded_count_take(&c, 1));
    for (int i = 0; i < 3; i++)
        bounded_count_put(&c);
    CHECK(bounded_count_take(&c, 1) && !bounded_count_take(&c, 1) && !bounded_count_take(&c, 0));
}

/* ---- marks ---- */

enum { N_MARKS = 2000 };

static struct bounded_count marked;
static _Atomic int64_t n_told[N_MARKS + 1]; /* changes, by the mark that they met */
static _Atomic bool is_over;

static void *changer_main(void *arg UNUSED)
{
    uint32_t mark;

    while (!atomic_load(&is_over)) {
        if (!bounded_count_take_marked(&marked, BOUNDED_COUNT_MAX, &mark))
            return NULL;
        atomic_fetch_add(&n_told[mark], 1);
        mark = bounded_count_put(&marked);
        atomic_fetch_sub(&n_told[mark], 1);
    }
    return NULL;
}

TEST(of_each_change_it_is_certain_whether_it_came_before_a_mark_or_after)
{
    uint32_t n[N_MARKS + 1] = {0}, before;
    pthread_t threads[N_THREADS];

    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, changer_main, NULL) == 0);
    for (uint32_t i = 1; i <= N_MARKS; i++) {
        n[i] = bounded_count_mark(&marked, i, &before);
        CHECK_INT(before, i - 1);
        if (i % N_THREADS == 0)
            sched_yield();
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < N_MARKS; i++)
        CHECK_INT((int64_t)n[i] + atomic_load(&n_told[i]), n[i + 1]);
    CHECK_INT(bounded_count_get(&marked), 0);
}
