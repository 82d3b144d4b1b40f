/* The store of one process: counters by identity, admission and settling through its interface. */
#include "policy/limit_memory.h"

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
