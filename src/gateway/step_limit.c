/* limit: is there budget? Every rule that counts the request must have room, and one that has not
 * leaves all the others as they were. Rules see the headers as claims and the route's own filters
 * leave them. What an answer is expected to cost is reserved until `account` knows better. */
#include "base/assert.h"
#include "gateway/exchange.h"
#include "gateway/rehearsal.h"
#include "gateway/server.h"

enum { BYTES_PER_TOKEN = 4 };

/* ---- what it takes ---- */

/* Cannot overflow: a quarter of 64 bits, and averages are bounded. */
static uint64_t limit_estimate(const struct exchange *x)
{
    const struct limit_estimate *e = &x->estimate;

    if (e->n_rows > 0)
        return e->n_rows + e->n_rows_ahead;
    return e->prompt_bytes / BYTES_PER_TOKEN +
           model_average_expect(&x->worker->server->averages, x->model, e->max_output);
}

static uint64_t limit_take(const struct exchange *x, const struct limit_cost *cost)
{
    uint64_t value;

    switch (cost->source) {
    case LIMIT_COST_NUMBER:
        return cost->number;
    case LIMIT_COST_METADATA:
        /* Envoy counts a request whose metadata is missing as one. */
        return exchange_cost(x, cost->namespace, cost->key, &value) ? value : 1;
    case LIMIT_COST_NONE:
        break;
    }
    return 1;
}

static uint64_t limit_reservation(const struct exchange *x, const struct limit_cost *cost)
{
    if (cost->source == LIMIT_COST_NUMBER)
        return cost->number;
    if (cost->source == LIMIT_COST_METADATA && x->estimate.is_set)
        return limit_estimate(x);
    return 0;
}

static void limit_add_claim(struct exchange *x, uint32_t index, const struct limit_key *key)
{
    const struct limit_plan *plan = x->rule->limits;
    const struct limit_rule_plan *rule = &plan->set->rules[index];
    struct exchange_limits *l = &x->limits;

    l->rules[l->n_claims] = rule;
    l->claims[l->n_claims++] = (struct limit_claim){
        .counter = plan->counters[index],
        .key = key->n > 0 ? arena_str(&x->arena, str_make(key->bytes, key->n)) : STR(""),
        .limit = rule->limit,
        .take = limit_take(x, &rule->request),
        .reserve = limit_reservation(x, &rule->response),
        .is_settled = rule->response.source != LIMIT_COST_NONE,
        .is_shadow = rule->is_shadow,
    };
}

/* False: a pattern reached its limit. */
static bool limit_match_rules(struct exchange *x)
{
    const struct limit_set *set = x->rule->limits->set;
    struct limit_input input = {&x->request, &x->client.address};
    struct limit_key key;

    x->limits.claims = ARENA_ARRAY(&x->arena, struct limit_claim, set->n_rules);
    x->limits.rules = ARENA_ARRAY(&x->arena, const struct limit_rule_plan *, set->n_rules);
    for (uint32_t i = 0; i < set->n_rules; i++) {
        switch (limit_rule_match(&set->rules[i].rule, &input, &key)) {
        case REGEX_HIT:
            limit_add_claim(x, i, &key);
            break;
        case REGEX_LIMIT:
            return false;
        case REGEX_MISS:
            break;
        }
    }
    return true;
}

/* ---- what is told ---- */

/* The rule that leaves least; of those that leave equally little, the one that takes longest. On a
 * refusal only those that refuse count. */
static void limit_choose_told(struct exchange *x, bool is_admitted)
{
    struct exchange_limits *l = &x->limits;

    for (uint32_t i = 0; i < l->n_claims; i++) {
        const struct limit_claim *c = &l->claims[i];

        if (c->is_shadow || !l->rules[i]->has_headers ||
            (!is_admitted && c->room == LIMIT_ROOM_YES))
            continue;
        if (l->is_told && (c->remaining > l->remaining ||
                           (c->remaining == l->remaining && c->reset_s <= l->reset_s)))
            continue;
        l->is_told = true;
        l->limit = c->limit;
        l->remaining = c->remaining;
        l->reset_s = c->reset_s;
    }
}

void limit_write_headers(const struct exchange *x, struct http_headers *headers)
{
    const struct exchange_limits *l = &x->limits;
    struct arena *a = headers->arena;

    if (x->listener->client.omits_limit_headers)
        return;
    http_headers_set(headers, STR("x-ratelimit-limit"), arena_u64(a, l->limit));
    http_headers_set(headers, STR("x-ratelimit-remaining"), arena_u64(a, l->remaining));
    http_headers_set(headers, STR("x-ratelimit-reset"), arena_u64(a, l->reset_s));
}

/* All that stands in the way must have gone; reservations go at any moment. */
static void limit_note_refusal(struct exchange *x)
{
    struct exchange_limits *l = &x->limits;
    struct arena *a = exchange_arena(x);

    x->retry_after_s = 1;
    for (uint32_t i = 0; i < l->n_claims; i++) {
        const struct limit_claim *c = &l->claims[i];

        if (c->room == LIMIT_ROOM_YES || c->is_shadow)
            continue;
        l->is_global |= str_starts_with(l->rules[i]->name, STR("global/"));
        if (c->room != LIMIT_ROOM_RESERVED)
            x->retry_after_s = MAX(x->retry_after_s, c->reset_s);
        metric_add(METRICS_SERIES(x->worker->metrics, METRIC_LIMIT_REFUSALS, l->rules[i]->policy,
                                  l->rules[i]->name),
                   1);
        x->refusal_detail =
            arena_printf(a, "%.*s %.*s%s", STR_ARG(l->rules[i]->policy), STR_ARG(l->rules[i]->name),
                         c->room == LIMIT_ROOM_CROWDED ? ": too many distinct values" : "");
    }
}

enum step_result step_limit(struct exchange *x)
{
    struct exchange_limits *l = &x->limits;
    struct limit_store *store;
    bool is_admitted;

    if (!x->rule->limits)
        return STEP_NEXT;
    if (!limit_match_rules(x))
        return exchange_refuse(x, REFUSAL_MATCH_LIMIT);
    store = x->rule->limits->set->store;
    is_admitted = (UNLIKELY(x->rehearsal) ? store->ops->peek : store->ops->reserve)(
        store, l->claims, l->n_claims, x->worker->loop.now.wall_unix_us);
    limit_choose_told(x, is_admitted);
    l->is_held = is_admitted && !x->rehearsal;
    if (is_admitted)
        return STEP_NEXT;
    limit_note_refusal(x);
    return exchange_refuse(x, REFUSAL_RATE_LIMITED);
}

/* ---- afterwards ---- */

static bool limit_extend(struct exchange *x, uint64_t more)
{
    struct exchange_limits *l = &x->limits;
    bool is_admitted = true;

    for (uint32_t i = 0; l->is_held && more > 0 && i < l->n_claims; i++) {
        struct limit_claim *c = &l->claims[i];
        struct limit_store *store = x->rule->limits->set->store;

        if (c->held && l->rules[i]->response.source == LIMIT_COST_METADATA)
            is_admitted &= store->ops->extend(store, c, more, x->worker->loop.now.wall_unix_us);
    }
    if (!is_admitted) {
        l->is_told = false;
        limit_choose_told(x, false);
        limit_note_refusal(x);
    }
    return is_admitted;
}

bool limit_top_up(struct exchange *x, uint64_t n_bytes)
{
    struct exchange_limits *l = &x->limits;
    uint64_t before = l->n_topped_bytes / BYTES_PER_TOKEN;

    l->n_topped_bytes += n_bytes;
    return limit_extend(x, l->n_topped_bytes / BYTES_PER_TOKEN - before);
}

bool limit_top_up_rows(struct exchange *x, uint64_t n_rows)
{
    return limit_extend(x, n_rows);
}

static uint64_t limit_cost_of(const struct exchange *x, const struct limit_cost *cost)
{
    uint64_t value = 0;

    if (cost->source == LIMIT_COST_NUMBER)
        return cost->number;
    return exchange_cost(x, cost->namespace, cost->key, &value) ? value : 0;
}

void limit_settle(struct exchange *x)
{
    struct exchange_limits *l = &x->limits;
    struct limit_store *store;

    if (!l->is_held)
        return;
    l->is_held = false;
    store = x->rule->limits->set->store;
    for (uint32_t i = 0; i < l->n_claims; i++) {
        if (l->claims[i].held)
            store->ops->settle(store, &l->claims[i], limit_cost_of(x, &l->rules[i]->response),
                               x->worker->loop.now.wall_unix_us);
    }
}

void limit_learn(struct exchange *x, uint64_t n_output_tokens)
{
    model_average_note(&x->worker->server->averages, x->model, n_output_tokens);
}
