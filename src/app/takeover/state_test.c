/* What one server shares, another one takes: each provider's records, and what is malformed. */
#include "app/takeover/state.h"

#include "app/takeover/ask_place.h"
#include "app/takeover/state_backends.h"
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
    cluster_registry_init(&g->clusters);
    guest_init(&g->guest, &g->clusters, &loop);
    limit_memory_init(&g->limits);
    model_averages_init(&g->averages);
    g->tickets = tls_tickets_new(loop.now.mono_us);
}

static void close_server(struct server *g)
{
    guest_deinit(&g->guest);
    cluster_registry_deinit(&g->clusters);
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
    CHECK(takes("later", STR("anything")));
    CHECK(!state_take(&to, STR("x")));
    CHECK(!takes("limits", STR("")));
    CHECK(!takes("averages", STR("\1\0\0\0m")));
    CHECK(!takes("tickets", STR("")));
    CHECK(!takes("keys", STR("\1\0\0\0k")) && !takes("names", STR("\1\0\0\0n")));
    for (size_t n = 1; n <= 4; n++) {
        size_t len = n * (TLS_TICKET_KEY_BYTES + 8);

        CHECK(takes("tickets", str_make(keys, len)) == (n <= TLS_TICKET_KEYS));
        CHECK(!takes("tickets", str_make(keys, len - 1)));
    }
    close_server(&to);
}

/* "n", asked for no time ago, at one address of so many bytes. */
static bool takes_name(size_t n_bytes)
{
    struct buf record = {0};
    bool is_taken;

    wire_put_text(&record, STR("n"));
    wire_put_u64(&record, 0);
    wire_put_text(&record, str_make("0123456789abcdef0", n_bytes));
    is_taken = takes("names", buf_str(&record));
    buf_deinit(&record);
    return is_taken;
}

TEST(addresses_are_those_of_the_two_families)
{
    open_server(&to);
    to.names.loop = &loop;
    to.names.stale_us = UINT64_MAX;
    for (size_t n = 0; n <= 17; n++)
        CHECK_MSG(takes_name(n) == (n == 4 || n == 16), "%zu bytes", n);
    CHECK_INT(to.names.n_remembered, 1); /* of one name the first */
    names_deinit(&to.names);
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

/* ---- backends ---- */

static struct cluster *cluster_of(struct server *g)
{
    struct cluster_identity identity = {.key = STR("k"), .name = STR("Backend/ns/b")};

    identity.endpoints = endpoint_set_new(1, ENDPOINTS_KNOWN);
    CHECK(endpoint_init_ip(&identity.endpoints->items[0], STR("127.0.0.1"), 80));
    return cluster_registry_get(&g->clusters, &identity);
}

TEST(places_at_backends_are_told_and_asked_by_their_names)
{
    static const struct breaker_limits one = {
        .n_connections = 1, .n_endpoint_connections = 1, .n_requests = 1};
    struct state_sink sink = {.tell = pass_on};
    struct place_claim claim = {.backend = STR("Backend/ns/b"), .kind = PLACE_REQUEST, .limit = 2};
    struct buf question = {0}, answer = {0};
    struct wire_message m;

    open_server(&from);
    open_server(&to);
    struct cluster *counted = cluster_of(&from), *counts_on = cluster_of(&to);
    struct breaker *b = &counted->backend->breaker;
    struct endpoint_state *e = counted->endpoints->items[0].state;

    CHECK(breaker_take_request(b, &one) && breaker_take_connection(b, e, &one));
    places_state_share(&from, 7, &sink);
    CHECK_INT(bounded_count_get(&counts_on->backend->breaker.requests), 1);
    CHECK_INT(bounded_count_get(&counts_on->endpoints->items[0].state->connections), 1);
    breaker_put_connection(b, e);
    CHECK_INT(bounded_count_get(&counts_on->backend->breaker.connections), 0);
    for (uint32_t is_given = 1; is_given <= 1; is_given--) {
        takeover_ask_put_claim(&question, &claim);
        CHECK(wire_parse(buf_str(&question), &m) == 0 && m.kind == WIRE_ASK_PLACE);
        CHECK(takeover_ask_judge_place(&to, m.content, &answer));
        CHECK(wire_parse(buf_str(&answer), &m) == 0 && m.kind == WIRE_ANSWER);
        CHECK_MSG(m.content.ptr[0] == (char)is_given, "%u", is_given);
        buf_clear(&question);
        buf_clear(&answer);
    }
    state_disown(&to);
    CHECK_INT(bounded_count_get(&counts_on->backend->breaker.requests), 0);
    state_unshare(&from);
    breaker_put_request(b);
    buf_deinit(&question);
    buf_deinit(&answer);
    guest_deinit(&to.guest);
    cluster_unref(counted);
    cluster_unref(counts_on);
    close_server(&from);
    close_server(&to);
}

TEST(a_place_whose_answer_came_too_late_is_taken_back)
{
    struct place_claim claims[] = {
        {STR("Backend/ns/b"), PLACE_REQUEST, .limit = 1},
        {STR("Backend/ns/b"), PLACE_RETRY, .limit = 1},
        {STR("Backend/ns/b"), PLACE_PENDING, .limit = 1},
        {STR("Backend/ns/b"), PLACE_CONNECTION, .limit = 1, .endpoint_limit = 1, .n_endpoints = 1},
        {STR("Backend/ns/b"), PLACE_CONNECTION, .limit = 1, .endpoint_limit = 1, .n_endpoints = 1},
    };

    open_server(&to);
    struct cluster *c = cluster_of(&to);

    claims[3].endpoints[0] = claims[4].endpoints[0] = STR("127.0.0.1:80");
    claims[4].is_waiting = true;
    claims[4].request_limit = 1;
    for (size_t i = 0; i < N_ELEMENTS(claims); i++) {
        struct buf question = {0}, yes = {0}, no = {0};
        struct str content;
        uint32_t endpoint;

        takeover_ask_put_claim(&question, &claims[i]);
        content = str_slice(buf_str(&question), WIRE_HEAD_BYTES, question.len);
        CHECK(takeover_ask_judge_place(&to, content, &yes));
        if (!claims[i].is_waiting) { /* else one stands in for it */
            CHECK(takeover_ask_judge_place(&to, content, &no));
            takeover_ask_take_back_place(&to, content,
                                         str_slice(buf_str(&no), WIRE_HEAD_BYTES, no.len));
            CHECK_MSG(!guest_judge(&to.guest, &claims[i], &endpoint), "a no has taken nothing");
        }
        takeover_ask_take_back_place(&to, content,
                                     str_slice(buf_str(&yes), WIRE_HEAD_BYTES, yes.len));
        CHECK_MSG(guest_judge(&to.guest, &claims[i], &endpoint), "free again: %zu", i);
        guest_disown(&to.guest);
        buf_deinit(&question);
        buf_deinit(&yes);
        buf_deinit(&no);
    }
    guest_deinit(&to.guest);
    cluster_unref(c);
    close_server(&to);
}

TEST(a_place_is_read_as_it_was_put_and_none_that_could_not_be)
{
    const struct place_move moves[] = {
        {STR("b"), STR("127.0.0.1:80"), PLACE_CONNECTION, 0, -LIMIT_TAKEOVER_PLACES},
        {STR(""), STR(""), PLACE_PENDING, 0, LIMIT_TAKEOVER_PLACES},
    };
    const struct place_move malformed[] = {
        {STR("b"), STR(""), PLACE_CONNECTION, 0, 1},
        {STR("b"), STR("127.0.0.1:80"), PLACE_RETRY, 0, 1},
        {STR("b"), STR(""), PLACE_KINDS, 0, 1},
        {STR("b"), STR(""), PLACE_REQUEST, 0, LIMIT_TAKEOVER_PLACES + 1},
        {STR("b"), STR(""), PLACE_REQUEST, 0, INT32_MIN},
    };
    struct place_move read;

    for (size_t i = 0; i < N_ELEMENTS(moves); i++) {
        struct buf b = {0};

        state_put_place(&b, &moves[i]);
        CHECK(state_get_place(buf_str(&b), &read));
        CHECK(str_eq(read.backend, moves[i].backend) && str_eq(read.endpoint, moves[i].endpoint));
        CHECK(read.kind == moves[i].kind && read.n == moves[i].n);
        CHECK(!state_get_place(str_slice(buf_str(&b), 0, b.len - 1), &read));
        buf_deinit(&b);
    }
    for (size_t i = 0; i < N_ELEMENTS(malformed); i++) {
        struct buf b = {0};

        state_put_place(&b, &malformed[i]);
        CHECK_MSG(!state_get_place(buf_str(&b), &read), "row %zu", i);
        buf_deinit(&b);
    }
}

TEST(a_question_about_a_place_is_read_as_it_was_put)
{
    struct place_claim claim = {.backend = STR("b"),
                                .kind = PLACE_CONNECTION,
                                .limit = 7,
                                .endpoint_limit = UINT32_MAX,
                                .is_waiting = true,
                                .request_limit = 9,
                                .tenant = STR("t"),
                                .n_endpoints = PLACE_CLAIM_ENDPOINTS};
    struct place_claim read;
    struct buf b = {0};
    struct str content;

    for (uint32_t i = 0; i < PLACE_CLAIM_ENDPOINTS; i++)
        claim.endpoints[i] = STR("127.0.0.1:80");
    takeover_ask_put_claim(&b, &claim);
    content = str_slice(buf_str(&b), WIRE_HEAD_BYTES, b.len);
    CHECK(takeover_ask_get_claim(content, &read));
    CHECK(str_eq(read.backend, claim.backend) && read.kind == claim.kind && read.is_waiting);
    CHECK(read.limit == 7 && read.endpoint_limit == UINT32_MAX && str_eq(read.tenant, STR("t")));
    CHECK_INT(read.request_limit, 9);
    CHECK_INT(read.n_endpoints, PLACE_CLAIM_ENDPOINTS);
    CHECK(str_eq(read.endpoints[PLACE_CLAIM_ENDPOINTS - 1], STR("127.0.0.1:80")));
    for (size_t len = 0; len < content.len; len++)
        CHECK(!takeover_ask_get_claim(str_slice(content, 0, len), &read));
    buf_clear(&b);
    claim.n_endpoints = 0;
    takeover_ask_put_claim(&b, &claim);
    CHECK(!takeover_ask_get_claim(str_slice(buf_str(&b), WIRE_HEAD_BYTES, b.len), &read));
    buf_deinit(&b);
}

TEST(a_verdict_waits_for_who_watches_the_endpoint)
{
    const struct health_verdict v = {.backend = STR("Backend/ns/b"),
                                     .endpoint = STR("127.0.0.1:80"),
                                     .is_probed = true,
                                     .is_ejected = true,
                                     .n_ejections = 3,
                                     .ejected_us = UINT64_MAX};
    struct health_verdict read;
    struct buf b = {0};

    open_server(&to);
    struct cluster *c = cluster_of(&to);
    const struct endpoint_health *h = &c->endpoints->items[0].state->health;

    state_put_verdict(&b, &v);
    CHECK(state_get_verdict(buf_str(&b), &read));
    CHECK(read.is_probed && !read.fails_probes && read.is_ejected && read.n_ejections == 3);
    CHECK(!state_get_verdict(str_slice(buf_str(&b), 0, b.len - 1), &read));
    CHECK(takes("health", buf_str(&b)));
    CHECK(atomic_load(&h->bits) == 0 && h->inherited.is_probed && h->inherited.is_ejected);
    CHECK(h->inherited.n_ejections == 3 && h->inherited.ejected_until_us == UINT64_MAX);
    buf_deinit(&b);
    guest_deinit(&to.guest);
    cluster_unref(c);
    close_server(&to);
}
