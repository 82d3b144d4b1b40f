/* The steps `limit` and `account` on an exchange of which only what they look at is there: what is
 * reserved for an answer, topped up, and settled to its cost. */
#include "gateway/limit.h"

#include "gateway/server.h"
#include "test/harness/test.h"

enum { HOUR = 3600 };

static struct server server;
static struct worker worker;
static struct exchange x;
static struct limit_set *set;
static struct limit_plan plan;
static struct limit_counter *counters[2];
static struct rule_plan rule;
static struct listener_plan listener;

/* A token limit of `limit`, and one of 1000 with a known cost of the answer, 7. */
static void play_init(uint64_t limit)
{
    static const struct limit_cost costs[2] = {
        {LIMIT_COST_METADATA, 0, STR("io.envoy.ai_gateway"), STR("llm_total_token")},
        {LIMIT_COST_NUMBER, 7, STR_NULL, STR_NULL}};
    size_t bad;

    limit_memory_init(&server.limits);
    model_averages_init(&server.averages);
    metrics_init(&server.metrics);
    worker.server = &server;
    worker.metrics = metrics_shard_new(&server.metrics);
    worker.loop.now.wall_unix_us = 1000000;
    set = limit_set_new(&server.limits.store);
    set->rules = ARENA_ARRAY(&set->arena, struct limit_rule_plan, 2);
    for (set->n_rules = 0; set->n_rules < 2; set->n_rules++) {
        struct limit_rule_plan *r = &set->rules[set->n_rules];

        CHECK_INT(limit_rule_init(&r->rule, &set->arena, NULL, 0, &bad), 0);
        r->counter =
            set->store->ops->counter(set->store, set->n_rules ? STR("b") : STR("a"), HOUR, false);
        r->limit = set->n_rules ? 1000 : limit;
        r->has_headers = true;
        r->request = (struct limit_cost){.source = LIMIT_COST_NUMBER};
        r->response = costs[set->n_rules];
        counters[set->n_rules] = r->counter;
    }
    plan = (struct limit_plan){set, counters};
    rule.limits = &plan;
}

static void exchange_begin(struct exchange *e)
{
    *e = (struct exchange){.worker = &worker, .rule = &rule, .listener = &listener};
    arena_init(&e->arena, 4096);
    http_headers_init(&e->request.headers, &e->arena);
    e->model = STR("iris");
}

static void play_end(void)
{
    limit_set_unref(set);
    limit_memory_deinit(&server.limits);
    model_averages_deinit(&server.averages);
    metrics_deinit(&server.metrics);
}

/* How much one more request finds left of the token limit. */
static uint64_t remaining(void)
{
    struct exchange probe;
    uint64_t left;

    exchange_begin(&probe);
    CHECK_INT(step_limit(&probe), STEP_NEXT);
    left = probe.limits.claims[0].remaining;
    limit_settle(&probe);
    arena_deinit(&probe.arena);
    return left;
}

TEST(an_answer_is_reserved_as_estimated_and_settled_as_counted)
{
    static const struct {
        struct limit_estimate estimate;
        uint64_t reserved;
    } cases[] = {
        {{true, 400, 0, 0, 0}, 100 + 1024}, {{true, 400, 32000, 0, 0}, 100 + 1024},
        {{true, 400, 50, 0, 0}, 100 + 50},  {{true, 0, 0, 0, 0}, 1024},
        {{true, 400, 32000, 3, 0}, 3},      {{true, 400, 32000, 3, 4}, 7},
        {{false, 400, 32000, 0, 0}, 0},
    };

    play_init(10000);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        uint64_t before = remaining();

        exchange_begin(&x);
        x.estimate = cases[i].estimate;
        CHECK_INT(step_limit(&x), STEP_NEXT);
        CHECK_MSG(before - x.limits.claims[0].remaining == cases[i].reserved, "row %zu", i);
        VEC_PUSH(&x.arena, &x.costs, ((struct cost_value){STR("llm_input_token"), 5000}));
        VEC_PUSH(&x.arena, &x.costs, ((struct cost_value){STR("llm_total_token"), 11}));
        limit_settle(&x);
        limit_settle(&x); /* does nothing */
        CHECK_INT(before - remaining(), 11);
        arena_deinit(&x.arena);
    }
    play_end();
}

TEST(a_model_that_is_known_reserves_four_of_its_answers)
{
    play_init(10000);
    exchange_begin(&x);
    for (int i = 0; i < MODEL_AVERAGE_MIN_ANSWERS; i++)
        limit_learn(&x, 20);
    x.estimate = (struct limit_estimate){true, 40, 0, 0, 0};
    CHECK_INT(step_limit(&x), STEP_NEXT);
    CHECK_INT(x.limits.claims[0].reserve, 10 + 80);
    limit_settle(&x);
    arena_deinit(&x.arena);
    play_end();
}

TEST(what_has_no_cost_gives_its_reservation_back)
{
    play_init(10000);
    exchange_begin(&x);
    x.estimate = (struct limit_estimate){true, 4000, 0, 0, 0};
    CHECK_INT(step_limit(&x), STEP_NEXT);
    limit_settle(&x);
    CHECK_INT(remaining(), 10000);
    arena_deinit(&x.arena);
    play_end();
}

TEST(a_request_that_allows_more_than_the_budget_passes_alone)
{
    struct exchange other;

    play_init(10000);
    exchange_begin(&x);
    for (int i = 0; i < MODEL_AVERAGE_MIN_ANSWERS; i++)
        limit_learn(&x, 100000);
    x.estimate = (struct limit_estimate){true, 4000, 32000, 0, 0};
    CHECK_INT(step_limit(&x), STEP_NEXT);
    CHECK_INT(x.limits.claims[0].reserve, 33000);
    CHECK_INT(x.limits.remaining, 0);
    exchange_begin(&other);
    other.estimate = x.estimate;
    CHECK_INT(step_limit(&other), STEP_LAST);
    CHECK_INT(other.refusal, REFUSAL_RATE_LIMITED);
    CHECK_INT(other.retry_after_s, 1);
    CHECK(other.limits.is_told && other.limits.limit == 10000);
    limit_settle(&other);
    limit_settle(&x);
    CHECK_INT(remaining(), 10000);
    arena_deinit(&x.arena);
    arena_deinit(&other.arena);
    play_end();
}

TEST(a_body_that_goes_on_tops_its_reservation_up)
{
    struct exchange other;

    play_init(2000);
    exchange_begin(&x);
    x.estimate = (struct limit_estimate){true, 0, 100, 0, 0};
    CHECK_INT(step_limit(&x), STEP_NEXT);
    for (int i = 0; i < 8; i++)
        CHECK(limit_top_up(&x, 3)); /* six tokens, whatever the pieces */
    CHECK_INT(x.limits.claims[0].reserve, 106);
    CHECK_INT(x.limits.claims[1].reserve, 7);
    exchange_begin(&other);
    other.estimate = (struct limit_estimate){true, 0, 2000, 5000, 0};
    CHECK_INT(step_limit(&other), STEP_NEXT);
    CHECK(!limit_top_up(&x, 4));
    limit_settle(&other);
    CHECK(limit_top_up(&x, 4));
    CHECK(limit_top_up_rows(&x, 5));
    CHECK_INT(x.limits.claims[0].reserve, 112);
    limit_settle(&x);
    CHECK(limit_top_up(&x, 4)); /* nothing is held any more */
    CHECK_INT(remaining(), 2000);
    arena_deinit(&x.arena);
    arena_deinit(&other.arena);
    play_end();
}

TEST(a_cost_is_found_by_namespace_and_key)
{
    uint64_t cost = 0;

    exchange_begin(&x);
    CHECK(!exchange_cost(&x, COST_NAMESPACE, STR("k"), &cost));
    VEC_PUSH(&x.arena, &x.costs, ((struct cost_value){STR("k"), 5}));
    CHECK(exchange_cost(&x, COST_NAMESPACE, STR("k"), &cost));
    CHECK_INT(cost, 5);
    CHECK(!exchange_cost(&x, STR("other"), STR("k"), &cost));
    CHECK(!exchange_cost(&x, COST_NAMESPACE, STR("K"), &cost));
    arena_deinit(&x.arena);
}
