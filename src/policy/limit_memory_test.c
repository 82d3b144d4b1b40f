/* The store of one process: counters by identity, admission and settling through its interface. */
#include "policy/limit_memory.h"

#include <pthread.h>

#include "base/limits.h"
#include "test/harness/test.h"

#define S(seconds) ((int64_t)(seconds)*1000000)

static struct limit_memory memory;

static struct limit_counter *counter(const char *identity, bool is_distinct)
{
    return memory.store.ops->counter(&memory.store, str_of(identity), 60, is_distinct);
}

static void release(struct limit_counter *c)
{
    memory.store.ops->release(&memory.store, c);
}

static bool reserve(struct limit_claim *claims, size_t n, int64_t now)
{
    return memory.store.ops->reserve(&memory.store, claims, n, now);
}

TEST(a_counter_keeps_its_count_while_somebody_holds_it)
{
    struct limit_counter *first, *again;
    struct limit_claim c;

    limit_memory_init(&memory);
    first = counter("rule", false);
    c = (struct limit_claim){.counter = first, .limit = 1, .take = 1};
    CHECK(reserve(&c, 1, S(1)));
    CHECK(c.held == NULL);
    again = counter("rule", false);
    CHECK(again == first);
    release(first);
    c = (struct limit_claim){.counter = again, .limit = 1, .take = 1};
    CHECK(!reserve(&c, 1, S(1)));
    release(again);
    again = counter("rule", false);
    c = (struct limit_claim){.counter = again, .limit = 1, .take = 1};
    CHECK(reserve(&c, 1, S(1)));
    release(again);
    release(NULL);
    limit_memory_deinit(&memory);
}

TEST(what_is_reserved_is_settled_once)
{
    struct limit_claim c, other;

    limit_memory_init(&memory);
    struct limit_counter *counted = counter("tokens", true);

    c = (struct limit_claim){
        .counter = counted, .key = STR("a"), .limit = 10, .reserve = 20, .is_settled = true};
    CHECK(reserve(&c, 1, S(1)));
    CHECK(c.held != NULL);
    other = (struct limit_claim){
        .counter = counted, .key = STR("a"), .limit = 10, .reserve = 20, .is_settled = true};
    CHECK(!reserve(&other, 1, S(1)));
    CHECK(other.held == NULL);
    CHECK_INT(other.room, LIMIT_ROOM_RESERVED);
    CHECK(memory.store.ops->extend(&memory.store, &c, 5, S(1)));
    CHECK_INT(c.reserve, 25);
    memory.store.ops->settle(&memory.store, &c, 4, S(2));
    CHECK(c.held == NULL);
    CHECK(reserve(&other, 1, S(3)));
    memory.store.ops->settle(&memory.store, &other, 0, S(3));
    release(counted);
    limit_memory_deinit(&memory);
}

static bool peek(struct limit_claim *c, int64_t now)
{
    return memory.store.ops->peek(&memory.store, c, 1, now);
}

TEST(who_only_looks_takes_nothing_and_makes_nothing)
{
    struct limit_claim look, c;

    limit_memory_init(&memory);
    struct limit_counter *counted = counter("tokens", true);

    look = (struct limit_claim){.counter = counted, .key = STR("a"), .limit = 10, .take = 4};
    for (int i = 0; i < 5; i++) {
        CHECK(peek(&look, S(1)));
        CHECK_INT(look.remaining, 10);
        CHECK_INT(look.reset_s, 59);
    }
    c = (struct limit_claim){.counter = counted,
                             .key = STR("a"),
                             .limit = 10,
                             .take = 3,
                             .reserve = 5,
                             .is_settled = true};
    CHECK(reserve(&c, 1, S(1)));
    CHECK(!peek(&look, S(1)));
    CHECK_INT(look.room, LIMIT_ROOM_RESERVED);
    CHECK_INT(look.remaining, 2);
    CHECK(look.held == NULL);
    look.key = STR("b");
    CHECK(peek(&look, S(1)));
    look.key = STR("a");
    look.is_shadow = true;
    CHECK(peek(&look, S(1)));
    CHECK_INT(look.room, LIMIT_ROOM_RESERVED);
    look.is_shadow = false;
    /* A look into the next window leaves the bucket in this one. */
    CHECK(peek(&look, S(61)));
    CHECK_INT(look.remaining, 5);
    memory.store.ops->settle(&memory.store, &c, 4, S(2));
    CHECK(peek(&look, S(2)) == false);
    CHECK_INT(look.room, LIMIT_ROOM_USED);
    CHECK_INT(look.remaining, 3);
    release(counted);
    limit_memory_deinit(&memory);
}

TEST(who_looks_at_a_crowded_rule_is_told_so)
{
    struct limit_claim c, look;
    char name[16];

    limit_memory_init(&memory);
    struct limit_counter *counted = counter("tokens", true);

    for (int i = 0; i < LIMIT_DISTINCT_VALUES; i++) {
        snprintf(name, sizeof name, "k%d", i);
        c = (struct limit_claim){.counter = counted, .key = str_of(name), .limit = 10, .take = 1};
        CHECK(reserve(&c, 1, S(1)));
    }
    look = (struct limit_claim){.counter = counted, .key = STR("new"), .limit = 10, .take = 1};
    CHECK(!peek(&look, S(1)));
    CHECK_INT(look.room, LIMIT_ROOM_CROWDED);
    look.key = STR("k1");
    CHECK(peek(&look, S(1)));
    CHECK_INT(look.remaining, 9);
    look.key = STR("new");
    CHECK(peek(&look, S(61)));
    release(counted);
    limit_memory_deinit(&memory);
}

TEST(a_crowded_rule_refuses_the_whole_request)
{
    struct limit_claim set[2];
    char room[16];

    limit_memory_init(&memory);
    struct limit_counter *all = counter("all", false);
    struct limit_counter *each = counter("each", true);

    for (unsigned i = 0; i <= LIMIT_DISTINCT_VALUES; i++) {
        int n = snprintf(room, sizeof room, "%u", i);

        set[0] = (struct limit_claim){.counter = all, .limit = UINT32_MAX, .take = 1};
        set[1] = (struct limit_claim){
            .counter = each, .key = str_make(room, (size_t)n), .limit = 1, .take = 1};
        CHECK_INT(reserve(set, 2, S(1)), i < LIMIT_DISTINCT_VALUES);
    }
    CHECK_INT(set[0].room, LIMIT_ROOM_YES);
    CHECK_INT(set[1].room, LIMIT_ROOM_CROWDED);
    CHECK_INT(set[1].reset_s, 59);
    set[0] = (struct limit_claim){.counter = all, .limit = LIMIT_DISTINCT_VALUES + 1, .take = 1};
    CHECK(reserve(set, 1, S(1)));
    CHECK_INT(set[0].remaining, 0);
    release(all);
    release(each);
    limit_memory_deinit(&memory);
}

TEST(a_crowded_rule_in_shadow_refuses_nobody)
{
    struct limit_claim set[3], last;
    char room[16];

    limit_memory_init(&memory);
    struct limit_counter *each = counter("each", true);
    struct limit_counter *all = counter("all", false);
    struct limit_counter *tokens = counter("tokens", false);

    for (unsigned i = 0; i < LIMIT_DISTINCT_VALUES; i++) {
        int n = snprintf(room, sizeof room, "%u", i);

        last = (struct limit_claim){.counter = each,
                                    .key = str_make(room, (size_t)n),
                                    .limit = 1,
                                    .take = 1,
                                    .is_shadow = true};
        CHECK(reserve(&last, 1, S(1)));
    }
    CHECK(reserve(&last, 1, S(1)));
    CHECK_INT(last.room, LIMIT_ROOM_USED);
    for (unsigned i = 0; i < 3; i++) {
        set[0] = (struct limit_claim){.counter = each,
                                      .key = STR("one too many"),
                                      .limit = 1,
                                      .take = 1,
                                      .is_settled = true,
                                      .is_shadow = true};
        set[1] = (struct limit_claim){
            .counter = tokens, .limit = 100, .reserve = 10, .is_settled = true};
        set[2] = (struct limit_claim){.counter = all, .limit = 2, .take = 1};
        /* What limits in earnest beside it does so still. */
        CHECK_INT(reserve(set, 3, S(1)), i < 2);
        CHECK_INT(set[0].room, LIMIT_ROOM_CROWDED);
        CHECK(set[0].held == NULL);
        CHECK((set[1].held != NULL) == (i < 2));
        if (set[1].held)
            memory.store.ops->settle(&memory.store, &set[1], 10, S(1));
        CHECK_INT(set[2].room, i < 2 ? LIMIT_ROOM_YES : LIMIT_ROOM_USED);
    }
    release(each);
    release(all);
    release(tokens);
    limit_memory_deinit(&memory);
}

/* ---- between processes ---- */

enum { CHAIN = 3, HAND_THREADS = 4, HAND_ROUNDS = 4000, HAND_KEYS = 5 };

/* Processes that take over from each other; each tells the next one. */
struct hand {
    struct limit_memory memory;
    pthread_mutex_t lock; /* of what is told */
    struct limit_counter *all;
    struct limit_counter *each;
    struct hand *next;
    uint32_t session; /* told under another one: late, not counted */
};

static struct hand chain[CHAIN];

static void hand_on_tell(void *ctx, const struct limit_move *move)
{
    struct hand *h = ctx;

    pthread_mutex_lock(&h->lock);
    if (move->count.session == h->session)
        CHECK(limit_memory_apply(&h->next->memory, move, S(1)));
    pthread_mutex_unlock(&h->lock);
}

static void hand_open(struct hand *h, struct hand *next)
{
    limit_memory_init(&h->memory);
    pthread_mutex_init(&h->lock, NULL);
    h->all = h->memory.store.ops->counter(&h->memory.store, STR("all"), 60, false);
    h->each = h->memory.store.ops->counter(&h->memory.store, STR("each"), 60, true);
    h->next = next;
}

static void hand_over(struct hand *h)
{
    limit_memory_share(&h->memory, ++h->session, hand_on_tell, h);
}

static void hand_close(struct hand *h)
{
    h->memory.store.ops->release(&h->memory.store, h->all);
    h->memory.store.ops->release(&h->memory.store, h->each);
    limit_memory_deinit(&h->memory);
    pthread_mutex_destroy(&h->lock);
}

static bool hand_reserve(struct hand *h, struct limit_claim *c, uint64_t take, uint64_t reserve)
{
    c->limit = 1000000000;
    c->take = take;
    c->reserve = reserve;
    c->is_settled = true;
    return h->memory.store.ops->reserve(&h->memory.store, c, 1, S(1));
}

static void hand_settle(struct hand *h, struct limit_claim *c, uint64_t cost)
{
    h->memory.store.ops->settle(&h->memory.store, c, cost, S(1));
}

/* What is used and reserved there, seen by a request that costs nothing. */
static uint64_t hand_total(struct hand *h, struct limit_counter *counter, struct str key)
{
    struct limit_claim c = {.counter = counter, .key = key};

    CHECK(hand_reserve(h, &c, 0, 0));
    hand_settle(h, &c, 0);
    return c.limit - c.remaining;
}

#define CHECK_TOTALS(h, n_all, n_a)                                                                \
    do {                                                                                           \
        CHECK_INT(hand_total((h), (h)->all, STR("")), (n_all));                                    \
        CHECK_INT(hand_total((h), (h)->each, STR("a")), (n_a));                                    \
    } while (0)

TEST(what_is_counted_and_reserved_is_known_to_the_process_that_takes_over)
{
    struct hand *old = &chain[0], *new = &chain[1];
    struct limit_claim before, after;

    hand_open(old, new);
    hand_open(new, NULL);
    before = (struct limit_claim){.counter = old->each, .key = STR("a")};
    CHECK(hand_reserve(old, &before, 3, 20));
    hand_over(old);
    CHECK_TOTALS(new, 0, 23);
    /* What the old one does from now on: admits, extends, settles. */
    after = (struct limit_claim){.counter = old->all};
    CHECK(hand_reserve(old, &after, 1, 10));
    CHECK_TOTALS(new, 11, 23);
    CHECK(old->memory.store.ops->extend(&old->memory.store, &after, 5, S(1)));
    CHECK_TOTALS(new, 16, 23);
    hand_settle(old, &after, 2);
    hand_settle(old, &before, 4);
    CHECK_TOTALS(new, 3, 7);
    /* A value that nobody had used. */
    before = (struct limit_claim){.counter = old->each, .key = STR("b")};
    CHECK(hand_reserve(old, &before, 1, 0));
    CHECK_INT(hand_total(new, new->each, STR("b")), 1);
    hand_settle(old, &before, 0);
    hand_close(old);
    hand_close(new);
}

TEST(what_a_process_that_has_ended_still_had_reserved_goes_and_nothing_else)
{
    struct hand *old = &chain[0], *new = &chain[1];
    struct limit_claim lost, own;

    hand_open(old, new);
    hand_open(new, NULL);
    lost = (struct limit_claim){.counter = old->each, .key = STR("a")};
    CHECK(hand_reserve(old, &lost, 3, 20));
    hand_over(old);
    own = (struct limit_claim){.counter = new->each, .key = STR("a")};
    CHECK(hand_reserve(new, &own, 1, 7));
    CHECK_TOTALS(new, 0, 31);
    limit_memory_disown(&new->memory);
    CHECK_TOTALS(new, 0, 11);
    limit_memory_disown(&new->memory);
    hand_settle(old, &lost, 5); /* told after its end: used, and nothing to release */
    CHECK_TOTALS(new, 0, 16);
    hand_settle(new, &own, 0);
    CHECK_TOTALS(new, 0, 9);
    hand_close(old);
    hand_close(new);
}

TEST(a_process_that_has_handed_over_itself_passes_on_what_it_is_told)
{
    struct limit_claim first, lost;

    for (int i = 0; i < CHAIN; i++)
        hand_open(&chain[i], i + 1 < CHAIN ? &chain[i + 1] : NULL);
    first = (struct limit_claim){.counter = chain[0].each, .key = STR("a")};
    lost = (struct limit_claim){.counter = chain[0].all};
    CHECK(hand_reserve(&chain[0], &first, 1, 10));
    CHECK(hand_reserve(&chain[0], &lost, 2, 30));
    limit_memory_share(&chain[1].memory, ++chain[1].session, hand_on_tell, &chain[1]);
    limit_memory_unshare(&chain[1].memory); /* nobody took over: told no more */
    hand_over(&chain[0]);
    CHECK_TOTALS(&chain[1], 32, 11);
    CHECK_TOTALS(&chain[2], 0, 0);
    hand_over(&chain[1]);
    CHECK_TOTALS(&chain[2], 32, 11);
    hand_settle(&chain[0], &first, 6);
    CHECK_TOTALS(&chain[2], 32, 7);
    limit_memory_disown(&chain[1].memory); /* the first has died */
    CHECK_TOTALS(&chain[2], 2, 7);
    hand_settle(&chain[0], &lost, 0);
    for (int i = 0; i < CHAIN; i++)
        hand_close(&chain[i]);
}

TEST(what_is_told_of_another_configuration_or_another_window_counts_nothing)
{
    struct hand *h = &chain[0];
    struct limit_move move = {.identity = STR("each"),
                              .key = STR("a"),
                              .window_s = 60,
                              .is_distinct = true,
                              .count = {.window = 5, .used = 3}};

    hand_open(h, NULL);
    CHECK(limit_memory_apply(&h->memory, &move, S(301)));
    move.count = (struct bucket_move){.window = 4, .used = 100, .reserved = 1, .released = 1};
    CHECK(limit_memory_apply(&h->memory, &move, S(301))); /* spent in the window before */
    struct limit_claim c = {
        .counter = h->each, .key = STR("a"), .limit = 10, .take = 1, .is_settled = true};

    CHECK(h->memory.store.ops->reserve(&h->memory.store, &c, 1, S(301)));
    CHECK_INT(c.remaining, 6);
    h->memory.store.ops->settle(&h->memory.store, &c, 0, S(301));
    move.window_s = 3600;
    CHECK(!limit_memory_apply(&h->memory, &move, S(301)));
    move.window_s = 60;
    move.is_distinct = false;
    CHECK(!limit_memory_apply(&h->memory, &move, S(301)));
    move.identity = STR("gone");
    CHECK(!limit_memory_apply(&h->memory, &move, S(301)));
    hand_close(h);
}

static _Atomic unsigned n_hand_rounds;

static void *hand_work(void *arg)
{
    struct hand *h = arg;
    static const char *const keys[HAND_KEYS] = {"a", "b", "c", "d", "e"};

    for (unsigned i = 0; i < HAND_ROUNDS; i++) {
        struct limit_claim set[2] = {
            {.counter = h->all, .limit = 1000000000, .take = 1, .reserve = 9, .is_settled = true},
            {.counter = h->each,
             .key = str_of(keys[i % HAND_KEYS]),
             .limit = 1000000000,
             .reserve = 2,
             .is_settled = true}};

        CHECK(h->memory.store.ops->reserve(&h->memory.store, set, 2, S(1)));
        for (int k = 0; k < 2; k++)
            h->memory.store.ops->settle(&h->memory.store, &set[k], 1, S(1));
        n_hand_rounds++;
    }
    return NULL;
}

TEST(counts_agree_though_threads_go_on_while_they_are_handed_over)
{
    struct hand *old = &chain[0], *new = &chain[1];
    pthread_t threads[HAND_THREADS];

    hand_open(old, new);
    hand_open(new, NULL);
    for (int i = 0; i < HAND_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, hand_work, old) == 0);
    while (n_hand_rounds < HAND_ROUNDS)
        sched_yield();
    hand_over(old);
    for (int i = 0; i < HAND_THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_INT(hand_total(new, new->all, STR("")), 2 * HAND_THREADS * HAND_ROUNDS);
    CHECK_INT(hand_total(new, new->each, STR("c")), HAND_THREADS * HAND_ROUNDS / HAND_KEYS);
    CHECK_INT(hand_total(old, old->all, STR("")), 2 * HAND_THREADS * HAND_ROUNDS);
    hand_close(old);
    hand_close(new);
}
