/* What one server shares, another one takes: each provider's records, and what is malformed. */
#include "app/takeover/state.h"

#include "app/takeover/wire.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_tickets.h"
#include "test/harness/test.h"

/* As much of a server as its state needs. */
static struct loop loop;
static struct server from, to;

static void open_server(struct server *g)
{
    loop.now = clock_read();
    *g = (struct server){.loop = &loop};
    limit_memory_init(&g->limits);
    model_averages_init(&g->averages);
    g->tickets = tls_tickets_new(loop.now.mono_us);
}

static void close_server(struct server *g)
{
    limit_memory_deinit(&g->limits);
    model_averages_deinit(&g->averages);
    tls_tickets_unref(g->tickets);
}

/* Each record goes to the other server at once, as a message of its own. */
static uint32_t n_told;

static void pass_on(struct state_sink *sink UNUSED, const char *name, uint32_t session,
                    struct str record)
{
    struct buf records = {0};

    CHECK_INT(session, 7);
    wire_put_text(&records, str_of(name));
    wire_put_text(&records, record);
    CHECK_MSG(state_take(&to, buf_str(&records)), "%s", name);
    buf_deinit(&records);
    n_told++;
}

static struct limit_counter *count_of(struct server *g)
{
    return g->limits.store.ops->counter(&g->limits.store, STR("rule"), 31536000, true);
}

static struct limit_claim claim_of(struct limit_counter *c)
{
    return (struct limit_claim){
        .counter = c, .key = STR("a"), .limit = 100, .take = 1, .reserve = 10, .is_settled = true};
}

TEST(all_that_a_server_shares_is_known_to_the_other)
{
    struct state_sink sink = {.tell = pass_on};
    struct tls_ticket_key old_keys[TLS_TICKET_KEYS], new_keys[TLS_TICKET_KEYS];
    struct limit_claim c, d;
    uint64_t tokens = 0;

    open_server(&from);
    open_server(&to);
    struct limit_counter *counted = count_of(&from);
    struct limit_counter *counts_on = count_of(&to);
    const struct limit_store_ops *ops = from.limits.store.ops;
    int64_t now_us = loop.now.wall_unix_us;

    for (int i = 0; i < MODEL_AVERAGE_MIN_ANSWERS; i++)
        model_average_note(&from.averages, STR("iris"), 70);
    c = claim_of(counted);
    CHECK(ops->reserve(&from.limits.store, &c, 1, now_us));
    state_share(&from, 7, &sink);
    CHECK_INT(n_told, 3);
    CHECK_INT(tls_tickets_export(from.tickets, 0, old_keys), 1);
    CHECK_INT(tls_tickets_export(to.tickets, 0, new_keys), 1);
    CHECK(memcmp(old_keys[0].bytes, new_keys[0].bytes, TLS_TICKET_KEY_BYTES) == 0);
    CHECK(model_average_find(&to.averages, STR("iris"), &tokens) && tokens == 70);
    ops->settle(&from.limits.store, &c, 5, now_us);
    CHECK_INT(n_told, 4);
    d = claim_of(counts_on);
    CHECK(ops->reserve(&to.limits.store, &d, 1, now_us));
    CHECK_INT(d.remaining, 100 - 1 - 5 - 1 - 10);
    ops->settle(&to.limits.store, &d, 0, now_us);
    /* One that is lost with the other process. */
    c = claim_of(counted);
    CHECK(ops->reserve(&from.limits.store, &c, 1, now_us));
    state_disown(&to);
    d = claim_of(counts_on);
    CHECK(ops->reserve(&to.limits.store, &d, 1, now_us));
    CHECK_INT(d.remaining, 100 - 1 - 5 - 1 - 1 - 1 - 10);
    ops->settle(&to.limits.store, &d, 0, now_us);
    state_unshare(&from);
    n_told = 0;
    ops->settle(&from.limits.store, &c, 0, now_us);
    CHECK_INT(n_told, 0);
    ops->release(&from.limits.store, counted);
    ops->release(&to.limits.store, counts_on);
    close_server(&from);
    close_server(&to);
}

static bool takes(const char *name, struct str record)
{
    struct buf records = {0};
    bool is_taken;

    wire_put_text(&records, str_of(name));
    wire_put_text(&records, record);
    is_taken = state_take(&to, buf_str(&records));
    buf_deinit(&records);
    return is_taken;
}

TEST(a_record_of_an_unknown_name_is_left_out_and_one_that_is_malformed_is_a_fault)
{
    char keys[4 * (TLS_TICKET_KEY_BYTES + 8)] = {0};

    open_server(&to);
    CHECK(state_take(&to, STR("")));
    CHECK(takes("breakers", STR("anything")));
    CHECK(!state_take(&to, STR("x")));
    CHECK(!takes("limits", STR("")));
    CHECK(!takes("averages", STR("\1\0\0\0m")));
    CHECK(!takes("tickets", STR("")));
    for (size_t n = 1; n <= 4; n++) {
        size_t len = n * (TLS_TICKET_KEY_BYTES + 8);

        CHECK(takes("tickets", str_make(keys, len)) == (n <= TLS_TICKET_KEYS));
        CHECK(!takes("tickets", str_make(keys, len - 1)));
    }
    close_server(&to);
}

TEST(a_move_is_read_as_it_was_put)
{
    const struct limit_move moves[] = {
        {STR("id"), STR("key"), 60, true, {0, 5, 1, 2, 3}},
        {STR(""), STR(""), UINT32_MAX, false, {0, 1 << 30, UINT64_MAX, UINT64_MAX, UINT64_MAX}},
    };
    struct limit_move read;

    for (size_t i = 0; i < N_ELEMENTS(moves); i++) {
        const struct limit_move *m = &moves[i];
        struct buf b = {0};

        state_put_move(&b, m);
        CHECK(state_get_move(buf_str(&b), &read));
        CHECK(str_eq(read.identity, m->identity) && str_eq(read.key, m->key));
        CHECK(read.window_s == m->window_s && read.is_distinct == m->is_distinct);
        CHECK(read.count.window == m->count.window && read.count.used == m->count.used);
        CHECK(read.count.reserved == m->count.reserved && read.count.released == m->count.released);
        CHECK(!state_get_move(str_slice(buf_str(&b), 0, b.len - 1), &read));
        buf_deinit(&b);
    }
}

TEST(a_move_that_no_counter_could_have_told_is_malformed)
{
    const struct limit_move moves[] = {
        {STR("id"), STR("key"), 0, true, {0}},
        {STR("id"), STR("key"), 60, false, {0}},
        {STR("id"), STR("key"), 60, true, {.window = -1}},
        {STR("id"), STR("key"), 60, true, {.window = INT64_MAX / 60}},
    };
    struct limit_move read;

    for (size_t i = 0; i < N_ELEMENTS(moves); i++) {
        struct buf b = {0};

        state_put_move(&b, &moves[i]);
        CHECK_MSG(!state_get_move(buf_str(&b), &read), "row %zu", i);
        buf_deinit(&b);
    }
}
