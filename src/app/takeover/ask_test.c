/* One budget, two processes: the one that is taken over asks, the other judges, and both count. */
#include "app/takeover/ask.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "test/harness/test.h"

/* As much of two servers as their limits need, and the channel between them. */
struct side {
    struct server server;
    struct limit_counter *all;
    struct limit_counter *each;
};

static struct side old, new;
static struct takeover_ask asker;
static pthread_t judge;
static int channel[2];
static int n_judged;

static void on_tell(void *ctx, const struct limit_move *move)
{
    CHECK(
        limit_memory_apply(&((struct side *)ctx)->server.limits, move, clock_read().wall_unix_us));
}

/* Until the other end is closed. */
static void *judge_all(void *arg UNUSED)
{
    char room[LIMIT_TAKEOVER_MESSAGE_BYTES];
    struct buf answer = {0};
    struct wire_message m;
    ssize_t n;

    while ((n = recv(channel[1], room, sizeof room, 0)) > 0) {
        buf_clear(&answer);
        CHECK(wire_parse(str_make(room, (size_t)n), &m) == 0 && m.kind == WIRE_ASK);
        CHECK(takeover_ask_judge(&new.server, m.content, &answer));
        n_judged++;
        CHECK(send(channel[1], answer.ptr, answer.len, 0) == (ssize_t)answer.len);
    }
    buf_deinit(&answer);
    return NULL;
}

static void open_side(struct side *s)
{
    struct limit_store *store = &s->server.limits.store;

    limit_memory_init(&s->server.limits);
    s->all = store->ops->counter(store, STR("all"), 31536000, false);
    s->each = store->ops->counter(store, STR("each"), 31536000, true);
}

static void close_side(struct side *s)
{
    struct limit_store *store = &s->server.limits.store;

    store->ops->release(store, s->all);
    store->ops->release(store, s->each);
    limit_memory_deinit(&s->server.limits);
}

static void hand_over(bool has_judge)
{
    open_side(&old);
    open_side(&new);
    limit_memory_share(&old.server.limits, 1, on_tell, &new);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0);
    if (has_judge)
        CHECK(pthread_create(&judge, NULL, judge_all, NULL) == 0);
    takeover_ask_init(&asker);
    takeover_ask_open(&asker, channel[0]);
    limit_memory_defer(&old.server.limits, takeover_ask_reserve, &asker);
}

static void end(bool has_judge)
{
    takeover_ask_close(&asker);
    if (has_judge)
        pthread_join(judge, NULL);
    close(channel[1]);
    close_side(&old);
    close_side(&new);
}

static bool reserve(struct side *s, struct limit_claim *claims, size_t n)
{
    struct limit_store *store = &s->server.limits.store;

    return store->ops->reserve(store, claims, n, clock_read().wall_unix_us);
}

static void settle(struct side *s, struct limit_claim *c, uint64_t cost)
{
    struct limit_store *store = &s->server.limits.store;

    store->ops->settle(store, c, cost, clock_read().wall_unix_us);
}

static struct limit_claim claim(struct limit_counter *c, uint64_t take, uint64_t kept)
{
    return (struct limit_claim){
        .counter = c, .limit = 100, .take = take, .reserve = kept, .is_settled = kept > 0};
}

static void check_left(struct side *s, uint64_t left)
{
    struct limit_claim c = claim(s->all, 0, 0);

    c.is_shadow = true;
    CHECK(reserve(s, &c, 1));
    CHECK_INT(c.remaining, left);
}

TEST(what_the_new_one_has_admitted_stands_in_the_way_in_the_old_one)
{
    struct limit_claim c;

    hand_over(true);
    c = claim(new.all, 60, 0);
    CHECK(reserve(&new, &c, 1));
    c = claim(old.all, 41, 0);
    CHECK(!reserve(&old, &c, 1));
    CHECK(c.room == LIMIT_ROOM_USED && c.remaining == 40 && c.reset_s > 1 && !c.held);
    c = claim(old.all, 40, 0);
    CHECK(reserve(&old, &c, 1));
    CHECK(c.room == LIMIT_ROOM_YES && c.remaining == 0);
    check_left(&new, 0);
    CHECK_INT(n_judged, 2);
    end(true);
}

TEST(what_is_reserved_by_asking_is_settled_by_telling)
{
    struct limit_claim set[2], c;

    hand_over(true);
    set[0] = claim(old.all, 1, 30);
    set[1] = claim(old.each, 1, 30);
    set[1].key = STR("a");
    CHECK(reserve(&old, set, 2));
    CHECK(set[0].held && set[1].held);
    check_left(&new, 69);
    settle(&old, &set[0], 5);
    settle(&old, &set[1], 7);
    check_left(&new, 94);
    c = claim(new.each, 92, 0);
    c.key = STR("a");
    CHECK(reserve(&new, &c, 1));
    CHECK_INT(c.remaining, 0);
    /* All or none, there as here. */
    set[0] = claim(old.all, 1, 0);
    set[1] = claim(old.each, 1, 0);
    set[1].key = STR("a");
    CHECK(!reserve(&old, set, 2));
    CHECK(set[0].room == LIMIT_ROOM_YES && set[1].room == LIMIT_ROOM_USED);
    check_left(&new, 94);
    end(true);
}

TEST(what_was_reserved_by_asking_goes_with_the_process_that_asked)
{
    struct limit_claim c;

    hand_over(true);
    c = claim(old.all, 1, 30);
    CHECK(reserve(&old, &c, 1));
    limit_memory_disown(&new.server.limits);
    check_left(&new, 99);
    settle(&old, &c, 0);
    check_left(&new, 99);
    end(true);
}

TEST(a_counter_that_the_new_one_has_not_is_in_nobodys_way)
{
    struct limit_store *store = &old.server.limits.store;
    struct limit_claim c;

    hand_over(true);
    limit_memory_unshare(&old.server.limits);
    struct limit_counter *gone = store->ops->counter(store, STR("gone"), 60, false);

    c = claim(gone, 1, 0);
    for (int i = 0; i < 3; i++)
        CHECK(reserve(&old, &c, 1));
    CHECK(c.remaining == 100 && c.room == LIMIT_ROOM_YES);
    CHECK_INT(n_judged, 3);
    store->ops->release(store, gone);
    end(true);
}

TEST(who_cannot_be_asked_is_asked_no_more_and_the_old_one_judges_by_what_it_knows)
{
    struct limit_claim c;

    hand_over(false);
    close(channel[1]);
    channel[1] = -1;
    c = claim(old.all, 60, 0);
    CHECK(reserve(&old, &c, 1));
    CHECK_INT(asker.fd, -1);
    CHECK(!reserve(&old, &c, 1));
    check_left(&new, 40); /* told, as before */
    end(false);
}

TEST(what_is_allowed_when_nobody_waits_for_it_any_more_is_taken_back)
{
    char room[LIMIT_TAKEOVER_MESSAGE_BYTES];
    struct buf answer = {0};
    struct wire_message m;
    struct limit_claim c;
    ssize_t n;

    hand_over(false);
    c = claim(old.all, 1, 30);
    CHECK_MSG(reserve(&old, &c, 1), "after its time it judges by what it knows");
    check_left(&new, 69);
    /* The question is read only now. */
    n = recv(channel[1], room, sizeof room, 0);
    CHECK(n > 0 && wire_parse(str_make(room, (size_t)n), &m) == 0);
    CHECK(takeover_ask_judge(&new.server, m.content, &answer));
    CHECK_INT(send(channel[1], answer.ptr, answer.len, MSG_NOSIGNAL), -1);
    check_left(&new, 38);
    takeover_ask_take_back(&new.server, m.content,
                           str_slice(buf_str(&answer), WIRE_HEAD_BYTES, answer.len));
    settle(&old, &c, 0);
    check_left(&new, 98);
    buf_deinit(&answer);
    end(false);
}

TEST(an_answer_that_is_none_is_as_none)
{
    static const char nonsense[] = "TGTO\3\0\13\0\1\0\0\0\2\0\0\0";
    struct limit_claim c;

    hand_over(false);
    CHECK(send(channel[1], nonsense, sizeof nonsense - 1, 0) > 0);
    c = claim(old.all, 60, 0);
    CHECK(reserve(&old, &c, 1));
    CHECK_INT(asker.fd, -1);
    check_left(&old, 40);
    end(false);
}

TEST(a_question_that_is_malformed_is_not_answered)
{
    struct buf question = {0};
    struct buf answer = {0};
    struct limit_claim set[2];

    open_side(&new);
    set[0] = claim(new.all, 1, 1);
    set[1] = claim(new.each, 1, 1);
    set[1].key = STR("a");
    takeover_ask_put(&question, set, 2);
    struct str content = str_slice(buf_str(&question), WIRE_HEAD_BYTES, question.len);

    for (size_t len = 0; len < content.len; len++)
        CHECK(!takeover_ask_judge(&new.server, str_slice(content, 0, len), &answer));
    CHECK_INT(answer.len, 0);
    CHECK(takeover_ask_judge(&new.server, content, &answer));
    buf_clear(&question);
    set[1] = set[0]; /* one counter twice */
    takeover_ask_put(&question, set, 2);
    CHECK(!takeover_ask_judge(
        &new.server, str_slice(buf_str(&question), WIRE_HEAD_BYTES, question.len), &answer));
    limit_memory_disown(&new.server.limits);
    check_left(&new, 99);
    buf_deinit(&question);
    buf_deinit(&answer);
    close_side(&new);
}

enum { ASKERS = 4, ASKED_EACH = 500 };
static _Atomic int n_admitted;

static void *ask_much(void *arg)
{
    struct side *s = arg;

    for (int i = 0; i < ASKED_EACH; i++) {
        struct limit_claim c = claim(s->all, 1, 1);

        c.limit = ASKERS * ASKED_EACH / 2;
        if (!reserve(s, &c, 1))
            continue;
        n_admitted++;
        settle(s, &c, 0);
    }
    return NULL;
}

TEST(both_together_admit_exactly_what_the_limit_allows)
{
    pthread_t threads[2 * ASKERS];

    hand_over(true);
    for (int i = 0; i < 2 * ASKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, ask_much, i % 2 ? &old : &new) == 0);
    for (int i = 0; i < 2 * ASKERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(n_admitted <= ASKERS * ASKED_EACH / 2);
    CHECK(n_admitted >= ASKERS * ASKED_EACH / 2 - 2 * ASKERS); /* the last ones reserve, too */
    end(true);
}
