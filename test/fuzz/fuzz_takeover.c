/* Fuzz target of what another process says at a takeover: a message is refused or is one that could
 * be put again, its questions are answered or refused, and its records leave counts that still
 * hold: what it has reserved goes with it. */
#include "app/takeover/ask_place.h"
#include "app/takeover/state_backends.h"
#include "app/takeover/wire.h"
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_tickets.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { FUZZ_LIMIT = 1000, FUZZ_WINDOW_S = 60 };

static void play_backends(struct str record)
{
    struct health_verdict verdict;
    struct place_move move;
    struct buf again = {0};

    if (state_get_place(record, &move)) {
        state_put_place(&again, &move);
        ASSERT(str_eq(buf_str(&again), record));
    }
    buf_clear(&again);
    if (state_get_verdict(record, &verdict)) {
        state_put_verdict(&again, &verdict);
        ASSERT(str_eq(buf_str(&again), record));
    }
    buf_deinit(&again);
}

/* What is asked for is given within its bounds, and a grant that nobody waits for goes back. */
static void play_places(struct server *g, struct str content, const struct breaker *b)
{
    uint32_t n_before = bounded_count_get(&b->connections);
    struct place_claim claim;
    struct place_grant grant;
    struct buf answer = {0};

    if (takeover_ask_get_claim(content, &claim)) {
        ASSERT(takeover_ask_judge_place(g, content, &answer));
        ASSERT(answer.len == WIRE_HEAD_BYTES + 8);
        if (claim.kind == PLACE_CONNECTION)
            ASSERT(bounded_count_get(&b->connections) <= MAX(n_before, claim.limit));
    } else {
        ASSERT(!takeover_ask_judge_place(g, content, &answer) && answer.len == 0);
    }
    n_before = bounded_count_get(&b->connections);
    if (takeover_get_grant(content, &grant))
        places_grant(&g->clusters, &grant);
    ASSERT(bounded_count_get(&b->connections) == n_before);
    buf_deinit(&answer);
}

static struct cluster *open_cluster(struct server *g)
{
    struct cluster_identity identity = {.key = STR("k"), .name = STR("b")};

    identity.endpoints = endpoint_set_new(1, ENDPOINTS_KNOWN);
    if (!endpoint_init_ip(&identity.endpoints->items[0], STR("127.0.0.1"), 80))
        UNREACHABLE();
    return cluster_registry_get(&g->clusters, &identity);
}

static void play_move(struct str record)
{
    struct limit_move move;
    struct buf again = {0};

    if (state_get_move(record, &move)) {
        state_put_move(&again, &move);
        ASSERT(str_eq(buf_str(&again), record));
    }
    buf_deinit(&again);
}

/* A request asks, and asks again when nobody else has anything reserved: never less is left then.
 */
static void play_counter(struct server *g, struct limit_counter *c, struct str key)
{
    const struct limit_store_ops *ops = g->limits.store.ops;
    struct limit_claim claims[2];

    for (int i = 0; i < 2; i++) {
        claims[i] = (struct limit_claim){.counter = c,
                                         .key = key,
                                         .limit = FUZZ_LIMIT,
                                         .take = 1,
                                         .is_settled = true,
                                         .is_shadow = i == 0};
        if (ops->reserve(&g->limits.store, &claims[i], 1, g->loop->now.wall_unix_us)) {
            ASSERT(claims[i].remaining < FUZZ_LIMIT);
            if (claims[i].held)
                ops->settle(&g->limits.store, &claims[i], 0, g->loop->now.wall_unix_us);
        }
        if (i == 0)
            state_disown(g);
        else
            ASSERT(claims[1].room != LIMIT_ROOM_RESERVED);
    }
}

/* Whatever is answered is an answer to a question of as many claims. */
static void play_question(struct server *g, struct str content)
{
    struct limit_claim claims[BUCKET_CLAIMS_MAX] = {0};
    struct wire_reader r = {.rest = content};
    uint32_t n = wire_get_u32(&r);
    struct buf answer = {0};
    struct wire_message m;
    bool is_admitted;

    if (takeover_ask_judge(g, content, &answer)) {
        ASSERT(n <= BUCKET_CLAIMS_MAX);
        ASSERT(wire_parse(buf_str(&answer), &m) == 0 && m.kind == WIRE_ANSWER);
        ASSERT(takeover_ask_get(m.content, claims, n, &is_admitted));
    } else {
        ASSERT(answer.len == 0);
    }
    if (takeover_ask_get(content, claims, 3, &is_admitted)) {
        for (size_t i = 0; i < 3; i++)
            ASSERT(claims[i].room <= LIMIT_ROOM_CROWDED && claims[i].remaining == 0);
    }
    buf_deinit(&answer);
}

static void play_records(struct str records)
{
    static struct loop loop = {.now = {1000000, INT64_C(1700000000) * 1000000}};
    struct server *g = MEM_NEW(struct server);
    struct limit_store *store = &g->limits.store;

    g->loop = &loop;
    cluster_registry_init(&g->clusters);
    guest_init(&g->guest, &g->clusters, &loop);
    limit_memory_init(&g->limits);
    model_averages_init(&g->averages);
    g->tickets = tls_tickets_new(loop.now.mono_us);
    g->names.loop = &loop;
    g->names.stale_us = UINT64_MAX;
    struct cluster *cluster = open_cluster(g);
    const struct breaker *breaker = &cluster->backend->breaker;
    struct limit_counter *all = store->ops->counter(store, STR("all"), FUZZ_WINDOW_S, false);
    struct limit_counter *each = store->ops->counter(store, STR("each"), FUZZ_WINDOW_S, true);

    bool is_taken = state_take(g, records);
    struct wire_reader r = {.rest = records};

    while (r.rest.len > 0) {
        struct str record;

        wire_get_text(&r);
        record = wire_get_text(&r);
        play_move(record);
        play_backends(record);
    }
    ASSERT(!is_taken || wire_is_done(&r));
    ASSERT(g->names.n_remembered <= LIMIT_TAKEOVER_ENDPOINTS);
    names_deinit(&g->names);
    play_question(g, records);
    play_places(g, records, breaker);
    play_counter(g, all, STR(""));
    play_counter(g, each, STR("key"));
    store->ops->release(store, all);
    store->ops->release(store, each);
    guest_deinit(&g->guest);
    ASSERT(bounded_count_get(&breaker->connections) == 0 && !pending_is_any(&breaker->pending));
    ASSERT(bounded_count_get(&breaker->requests) == 0 && breaker->pending.n_elsewhere == 0);
    cluster_unref(cluster);
    cluster_registry_deinit(&g->clusters);
    limit_memory_deinit(&g->limits);
    model_averages_deinit(&g->averages);
    tls_tickets_unref(g->tickets);
    mem_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str message = str_make(bytes, size);
    struct buf again = {0};
    struct wire_message m;
    int code = wire_parse(message, &m);

    ASSERT(code >= 0 && code <= WIRE_OTHER_VERSION);
    if (code == 0) {
        wire_put_head(&again, m.kind);
        buf_append_str(&again, m.content);
        ASSERT(str_eq(buf_str(&again), message));
    }
    buf_deinit(&again);
    play_records(code == 0 ? m.content : message);
    return 0;
}
