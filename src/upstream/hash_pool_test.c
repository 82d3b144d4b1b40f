/* The pool of slow hashes on a real loop and real threads: verdicts come back, callers share a job,
 * a cancelled one is never told, and a full queue refuses. */
#include "upstream/hash_pool.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/loop.h"
#include "test/harness/memory.h"
#include "test/harness/test.h"

/* Cost 4: a millisecond or two; cost 10: long enough to hold a thread while others queue. */
#define QUICK "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SLOW  "$2y$10$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"

static struct loop loop;
static struct hash_pool pool;
static struct hash_desk desk;
static unsigned n_told;

static void on_done(struct hash_wait *w)
{
    CHECK(w->verdict != HASH_PENDING);
    n_told++;
}

static void begin(uint32_t n_threads)
{
    CHECK_INT(loop_init(&loop), 0);
    hash_pool_init(&pool, n_threads);
    hash_desk_init(&desk, &pool, &loop);
    n_told = 0;
}

static void finish(void)
{
    hash_desk_deinit(&desk);
    hash_pool_deinit(&pool);
    CHECK_INT(loop_turn(&loop, 0), 0);
    loop_deinit(&loop);
}

static uint64_t source;

static int ask(struct hash_wait *w, const char *hash, const char *password, bool is_known)
{
    struct hash_question q = {str_of(hash), str_of(password), {{0}}, source, is_known};
    const struct str parts[] = {q.hash, q.password};

    credential_digest_make(&q.digest, parts, 2);
    w->on_done = on_done;
    return hash_desk_ask(&desk, &q, w);
}

static void turn_until(unsigned n)
{
    while (n_told < n)
        CHECK_INT(loop_turn(&loop, -1), 0);
}

TEST(verdicts_come_back_through_the_loop)
{
    struct hash_wait right = {0}, wrong = {0}, unknown = {0};

    begin(2);
    CHECK_INT(ask(&right, QUICK, "secret", true), 0);
    CHECK_INT(ask(&wrong, QUICK, "Secret", true), 0);
    CHECK_INT(right.verdict, HASH_PENDING);
    turn_until(2);
    CHECK_INT(right.verdict, HASH_RIGHT);
    CHECK_INT(wrong.verdict, HASH_WRONG);
    CHECK_INT(ask(&unknown, QUICK, "secret", false), 0);
    turn_until(3);
    CHECK_INT(unknown.verdict, HASH_WRONG);
    finish();
}

TEST(equal_questions_share_one_job)
{
    struct hash_wait waits[8] = {0};

    begin(1);
    for (size_t i = 0; i < N_ELEMENTS(waits); i++)
        CHECK_INT(ask(&waits[i], QUICK, "secret", true), 0);
    CHECK_INT(desk.jobs.n_nodes, 1);
    turn_until(8);
    for (size_t i = 0; i < N_ELEMENTS(waits); i++)
        CHECK_INT(waits[i].verdict, HASH_RIGHT);
    CHECK_INT(desk.jobs.n_nodes, 0);
    finish();
}

TEST(a_cancelled_wait_is_not_told_and_leaves_the_queue)
{
    struct hash_wait first = {0}, second = {0}, third = {0};

    begin(1);
    CHECK_INT(ask(&first, SLOW, "one", true), 0);
    CHECK_INT(ask(&second, SLOW, "two", true), 0);
    CHECK_INT(ask(&third, QUICK, "secret", true), 0);
    hash_desk_cancel(&desk, &second);
    hash_desk_cancel(&desk, &first);
    hash_desk_cancel(&desk, &first);
    turn_until(1);
    CHECK_INT(third.verdict, HASH_RIGHT);
    CHECK_INT(second.verdict, HASH_PENDING);
    finish();
    CHECK_INT(n_told, 1);
}

TEST(a_full_queue_refuses_and_has_room_again)
{
    static struct hash_wait waits[LIMIT_PASSWORD_QUEUE + 8];
    struct hash_wait late = {0};
    unsigned n = 0;
    char room[24];

    begin(1);
    for (;;) {
        CHECK(n < N_ELEMENTS(waits));
        snprintf(room, sizeof room, "guess %u", n);
        source = n;
        if (ask(&waits[n], SLOW, room, true) != 0)
            break;
        n++;
    }
    CHECK(n >= LIMIT_PASSWORD_QUEUE);
    CHECK_INT(ask(&late, QUICK, "secret", true), HASH_POOL_FULL);
    for (unsigned i = 0; i < n; i++)
        hash_desk_cancel(&desk, &waits[i]);
    CHECK_INT(ask(&late, QUICK, "secret", true), 0);
    turn_until(1);
    CHECK_INT(late.verdict, HASH_RIGHT);
    finish();
}

TEST(one_source_cannot_keep_the_others_out)
{
    static struct hash_wait waits[LIMIT_PASSWORD_QUEUE];
    struct hash_wait other = {0};
    unsigned n = 0;
    char room[24];

    begin(1);
    for (source = 1; n < N_ELEMENTS(waits); n++) {
        snprintf(room, sizeof room, "guess %u", n);
        if (ask(&waits[n], SLOW, room, true) != 0)
            break;
    }
    CHECK(n >= LIMIT_PASSWORD_QUEUE_PER_SOURCE && n < LIMIT_PASSWORD_QUEUE / 2);
    source = 2;
    CHECK_INT(ask(&other, QUICK, "secret", true), 0);
    for (unsigned i = 0; i < n; i++)
        hash_desk_cancel(&desk, &waits[i]);
    turn_until(1);
    CHECK_INT(other.verdict, HASH_RIGHT);
    finish();
}

TEST(a_desk_that_closes_waits_for_its_threads)
{
    struct hash_wait waits[4] = {0};

    begin(2);
    for (size_t i = 0; i < N_ELEMENTS(waits); i++) {
        char room[8] = {(char)('a' + i)};

        CHECK_INT(ask(&waits[i], SLOW, room, true), 0);
    }
    for (size_t i = 0; i < N_ELEMENTS(waits); i++)
        hash_desk_cancel(&desk, &waits[i]);
    finish();
    CHECK_INT(n_told, 0);
}

/* Those that were computed, those that nobody waited for any more, and those of a desk that closed.
 */
TEST(passwords_are_wiped_with_their_jobs)
{
    enum { PASSWORD_BYTES = 60 };
    struct hash_wait done = {0}, busy[32] = {0}, cancelled = {0}, closed = {0};
    char password[PASSWORD_BYTES + 1] = "";

    if (!test_memory_begin())
        return;
    test_secret_write(password, PASSWORD_BYTES);
    begin(1);
    CHECK_INT(ask(&done, QUICK, password, true), 0);
    pthread_mutex_lock(&pool.lock);
    while (desk.done.n_nodes == 0)
        pthread_cond_wait(&pool.idle, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    CHECK_INT(test_secret_count(PASSWORD_BYTES), 0); /* before anybody is told */
    turn_until(1);
    for (source = 1; source <= N_ELEMENTS(busy); source++) {
        char other[8] = {(char)('a' + source)};

        CHECK_INT(ask(&busy[source - 1], SLOW, other, true), 0);
    }
    CHECK_INT(ask(&cancelled, SLOW, password, true), 0);
    CHECK_INT(ask(&closed, QUICK, password, true), 0);
    CHECK_INT(test_secret_count(PASSWORD_BYTES), 2);
    hash_desk_cancel(&desk, &cancelled);
    CHECK_INT(test_secret_count(PASSWORD_BYTES), 1);
    finish();
    CHECK_INT(test_secret_count(PASSWORD_BYTES), 0);
}
