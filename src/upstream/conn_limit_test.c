/* Places for connections: never more than there are, given back whole, asked of who has some to
 * spare, and nobody who waits is left out. */
#include "upstream/conn_limit.h"

#include "net/loop.h"
#include "test/harness/test.h"

enum { N_MAX = 3, N_THREADS = 4, N_ROUNDS = 20000 };

struct side {
    struct conn_limit_member member;
    struct loop *loop;
    int n_wakes;
};

static void side_on_wake(struct wake *w)
{
    CONTAINER_OF(CONTAINER_OF(w, struct conn_limit_member, wake), struct side, member)->n_wakes++;
}

static void side_init(struct side *s, struct conn_limit *l, struct loop *loop)
{
    *s = (struct side){.loop = loop};
    wake_init(&s->member.wake, loop, side_on_wake);
    conn_limit_add_member(l, &s->member);
}

static int side_n_wakes(struct side *s)
{
    int before = s->n_wakes;

    CHECK(loop_turn(s->loop, 0) >= 0);
    return s->n_wakes - before;
}

TEST(there_are_so_many_places_and_no_more)
{
    struct conn_limit l;
    struct conn_limit_member free_one = {0};
    struct loop loop;
    struct side a;

    CHECK_INT(loop_init(&loop), 0);
    conn_limit_init(&l, N_MAX);
    side_init(&a, &l, &loop);
    for (int i = 0; i < N_MAX; i++)
        CHECK(conn_limit_take(&a.member));
    CHECK(!conn_limit_take(&a.member));
    CHECK_MSG(conn_limit_take(&free_one), "who is no member is not bounded");
    conn_limit_begin_closing(&free_one);
    conn_limit_put(&free_one);
    conn_limit_begin_closing(&a.member);
    conn_limit_put(&a.member);
    CHECK(conn_limit_take(&a.member) && !conn_limit_take(&a.member));
    conn_limit_put_unused(&a.member);
    CHECK(conn_limit_take(&a.member) && !conn_limit_take(&a.member));
    CHECK_INT(side_n_wakes(&a), 0);
    conn_limit_remove_member(&a.member);
    conn_limit_deinit(&l);
    loop_deinit(&loop);
}

TEST(those_with_unused_connections_are_asked_once)
{
    struct conn_limit l;
    struct loop loop;
    struct side a, b, c;

    CHECK_INT(loop_init(&loop), 0);
    conn_limit_init(&l, N_MAX);
    side_init(&a, &l, &loop);
    side_init(&b, &l, &loop);
    side_init(&c, &l, &loop);
    conn_limit_note_unused(&a.member, true);
    CHECK_MSG(!conn_limit_ask(&a.member), "nobody else has any");
    conn_limit_note_unused(&b.member, true);
    conn_limit_note_unused(&b.member, true);
    conn_limit_note_unused(&b.member, false);
    CHECK(conn_limit_ask(&a.member) && conn_limit_ask(&a.member));
    CHECK_INT(side_n_wakes(&b), 1);
    CHECK(conn_limit_is_asked(&b.member) && !conn_limit_is_asked(&b.member));
    CHECK(a.n_wakes + c.n_wakes == 0 && !conn_limit_is_asked(&a.member) &&
          !conn_limit_is_asked(&c.member));
    conn_limit_note_unused(&b.member, false);
    CHECK(!conn_limit_ask(&a.member));
    conn_limit_remove_member(&b.member);
    conn_limit_note_unused(&b.member, true);
    CHECK_MSG(!conn_limit_ask(&a.member), "it has gone");
    conn_limit_remove_member(&a.member);
    conn_limit_remove_member(&c.member);
    conn_limit_deinit(&l);
    loop_deinit(&loop);
}

TEST(a_connection_that_closes_is_seen_as_one_until_its_place_is_free)
{
    struct conn_limit l;
    struct loop loop;
    struct side a, b;

    CHECK_INT(loop_init(&loop), 0);
    conn_limit_init(&l, 1);
    side_init(&a, &l, &loop);
    side_init(&b, &l, &loop);
    CHECK(conn_limit_take(&b.member));
    conn_limit_note_unused(&b.member, true);
    CHECK(!conn_limit_take(&a.member));
    CHECK_MSG(!conn_limit_gets_room(&a.member), "nothing has happened");
    conn_limit_begin_closing(&b.member);
    conn_limit_note_unused(&b.member, false);
    CHECK(!conn_limit_ask(&a.member) && conn_limit_gets_room(&a.member));
    CHECK(!conn_limit_take(&a.member));
    conn_limit_put(&b.member);
    CHECK_MSG(conn_limit_gets_room(&a.member), "it has come since");
    CHECK(conn_limit_take(&a.member) && !conn_limit_gets_room(&a.member));
    conn_limit_put_unused(&a.member);
    CHECK_MSG(!conn_limit_gets_room(&a.member), "there was no descriptor, and is none");
    conn_limit_remove_member(&a.member);
    conn_limit_remove_member(&b.member);
    conn_limit_deinit(&l);
    loop_deinit(&loop);
}

TEST(who_waits_is_told_of_a_place_by_whoever_gives_it_back)
{
    struct conn_limit l;
    struct loop loop;
    struct side a, b;

    CHECK_INT(loop_init(&loop), 0);
    conn_limit_init(&l, N_MAX);
    side_init(&a, &l, &loop);
    side_init(&b, &l, &loop);
    for (int i = 0; i < N_MAX; i++)
        CHECK(conn_limit_take(&b.member));
    conn_limit_join(&a.member);
    conn_limit_put_unused(&b.member);
    CHECK_MSG(side_n_wakes(&a) == 0, "there was no descriptor: it would try for ever");
    CHECK(conn_limit_take(&b.member));
    conn_limit_begin_closing(&b.member);
    conn_limit_put(&b.member);
    CHECK_INT(side_n_wakes(&a), 1);
    conn_limit_leave(&a.member);
    conn_limit_begin_closing(&b.member);
    conn_limit_put(&b.member);
    CHECK_INT(side_n_wakes(&a), 0);
    conn_limit_remove_member(&a.member);
    conn_limit_remove_member(&b.member);
    conn_limit_deinit(&l);
    loop_deinit(&loop);
}

/* ---- many threads ---- */

struct crowd {
    struct conn_limit limit;
    _Atomic int n_open, most;
    _Atomic int n_served;
};

static struct crowd crowd;

static void crowd_note(int n)
{
    int most = atomic_load(&crowd.most);

    while (n > most && !atomic_compare_exchange_weak(&crowd.most, &most, n)) {
    }
}

/* Takes a place, or waits for one without looking again until it is told: one wake that is lost
 * would be the end. */
static void *crowd_main(void *arg)
{
    struct loop loop;
    struct side s;
    int n_told = 0;

    CHECK_INT(loop_init(&loop), 0);
    side_init(&s, arg, &loop);
    for (int i = 0; i < N_ROUNDS; i++) {
        bool is_waiting = false;

        while (!conn_limit_take(&s.member)) {
            if (is_waiting) {
                while (s.n_wakes == n_told)
                    CHECK(loop_turn(&loop, -1) >= 0);
                n_told = s.n_wakes;
                continue;
            }
            conn_limit_join(&s.member);
            is_waiting = true;
        }
        if (is_waiting)
            conn_limit_leave(&s.member);
        crowd_note(atomic_fetch_add(&crowd.n_open, 1) + 1);
        atomic_fetch_sub(&crowd.n_open, 1);
        conn_limit_begin_closing(&s.member);
        conn_limit_put(&s.member);
        atomic_fetch_add(&crowd.n_served, 1);
    }
    conn_limit_remove_member(&s.member);
    CHECK(loop_turn(&loop, 0) >= 0);
    loop_deinit(&loop);
    return NULL;
}

TEST(no_more_than_the_bound_at_once_and_no_wake_is_lost)
{
    pthread_t threads[N_THREADS];

    conn_limit_init(&crowd.limit, 2);
    for (int i = 0; i < N_THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, crowd_main, &crowd.limit), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(crowd.n_served, N_THREADS * N_ROUNDS);
    CHECK(crowd.most >= 1 && crowd.most <= 2);
    CHECK_INT(bounded_count_get(&crowd.limit.open), 0);
    CHECK_INT(crowd.limit.n_crowded, 0);
    CHECK_INT(crowd.limit.n_closing, 0);
    conn_limit_deinit(&crowd.limit);
}
