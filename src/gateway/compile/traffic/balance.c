/* compile: loadBalancer. Without one, and by types that are not supported (said when it was read),
 * LeastRequest. A rule that sticks to endpoints by a key has tables built for them, and what has no
 * key goes anywhere, as Envoy's. */
#include "gateway/compile/traffic/balance.h"

#include "gateway/compile/rule.h"
#include "gateway/traffic/affinity_plan.h"
#include "manifest/part/load_balancer.h"
#include "policy/balance/stable_hash.h"
#include "upstream/balance/pick.h"
#include "upstream/balance/table.h"

enum { TABLE_SIZE_DEFAULT = 65537, SECOND_US = 1000000 };

/* ---- what is hashed ---- */

static struct str *balance_names(struct arena *a, const struct named_item *items, size_t n,
                                 bool is_header)
{
    struct str *names = ARENA_ARRAY(a, struct str, n + 1);

    for (size_t i = 0; i < n; i++)
        names[i] = is_header ? arena_lower(a, items[i].name) : arena_str(a, items[i].name);
    return names;
}

/* As Envoy's: HttpOnly always; 0s makes it one of the session. */
static void balance_cookie(struct arena *a, const struct hash_cookie *c, struct affinity_plan *plan)
{
    struct str rest = STR("; HttpOnly");

    plan->makes_cookie = c->ttl.is_set;
    VEC_FOREACH (&c->attributes, pair) {
        if (!str_eq_nocase(pair->key, STR("HttpOnly")))
            rest = arena_printf(a, pair->value.len ? "; %.*s=%.*s%.*s" : "; %.*s%.*s%.*s",
                                STR_ARG(pair->key), STR_ARG(pair->value), STR_ARG(rest));
    }
    if (c->ttl.is_set && c->ttl.us > 0)
        rest = arena_printf(a, "; Max-Age=%llu%.*s",
                            (unsigned long long)((c->ttl.us + SECOND_US - 1) / SECOND_US),
                            STR_ARG(rest));
    plan->cookie_rest = rest;
}

static void balance_source(struct arena *a, const struct consistent_hash *h,
                           struct affinity_plan *plan)
{
    static const enum affinity_source sources[] = {
        [HASH_SOURCE_IP] = AFFINITY_ADDRESS,   [HASH_HEADER] = AFFINITY_HEADERS,
        [HASH_HEADERS] = AFFINITY_HEADERS,     [HASH_COOKIE] = AFFINITY_COOKIE,
        [HASH_QUERY_PARAMS] = AFFINITY_PARAMS,
    };

    plan->source = sources[h->type];
    plan->n_names = 1;
    switch ((enum hash_source)h->type) {
    case HASH_SOURCE_IP:
        plan->n_names = 0;
        break;
    case HASH_HEADER:
        plan->names = balance_names(a, h->header, 1, true);
        break;
    case HASH_HEADERS:
        plan->n_names = (uint32_t)h->headers.n;
        plan->names = balance_names(a, h->headers.items, h->headers.n, true);
        break;
    case HASH_COOKIE:
        plan->names = ARENA_NEW(a, struct str);
        *(struct str *)(uintptr_t)plan->names = arena_str(a, h->cookie->name);
        balance_cookie(a, h->cookie, plan);
        break;
    case HASH_QUERY_PARAMS:
        plan->n_names = (uint32_t)h->query_params.n;
        plan->names = balance_names(a, h->query_params.items, h->query_params.n, false);
        break;
    }
}

/* ---- backends ---- */

static bool backend_is_same(const struct backend_plan *a, const struct backend_plan *b)
{
    return str_eq(a->name, b->name) && str_eq(a->host, b->host);
}

/* By what a backend is called, not by where it stands: others that come or go before it move none
 * of its keys. */
static const uint64_t *balance_seeds(struct arena *a, const struct rule_plan *rule)
{
    uint64_t *seeds = ARENA_ARRAY(a, uint64_t, rule->n_backends + 1);

    for (uint32_t i = 0; i < rule->n_backends; i++) {
        const struct backend_plan *b = &rule->backends[i];
        uint64_t n_before = 0;

        for (uint32_t k = 0; k < i; k++)
            n_before += backend_is_same(b, &rule->backends[k]);
        seeds[i] =
            stable_hash_nth(stable_hash_join(stable_hash(b->name), stable_hash(b->host)), n_before);
    }
    return seeds;
}

static void balance_unwant_table(void *table)
{
    table_unwant(table);
}

static void balance_tables(struct compile_place *at, uint32_t size)
{
    for (uint32_t i = 0; i < at->rule->n_backends; i++) {
        struct cluster *c = at->rule->backends[i].cluster;

        if (c) /* which goes after what is cleaned up here */
            arena_on_cleanup(&at->plan->arena, balance_unwant_table, cluster_want_table(c, size));
    }
}

/* ---- the rule ---- */

static void balance_by_key(struct compile_place *at, const struct consistent_hash *h,
                           struct pick_rule *pick)
{
    struct arena *a = &at->plan->arena;
    struct affinity_plan *plan = ARENA_NEW(a, struct affinity_plan);

    pick->kind = BALANCER_RANDOM;
    pick->table_size =
        h->table_size.is_set ? (uint32_t)h->table_size.value : (uint32_t)TABLE_SIZE_DEFAULT;
    balance_source(a, h, plan);
    plan->seeds = balance_seeds(a, at->rule);
    at->rule->affinity = plan;
    balance_tables(at, pick->table_size);
}

void compile_balance(struct compile_place *at, const struct cluster_load_balancer *spec)
{
    struct pick_rule *pick;

    if (!spec)
        return;
    pick = ARENA_NEW(&at->plan->arena, struct pick_rule);
    switch ((enum load_balancer_type)spec->type) {
    case LOAD_BALANCER_CONSISTENT_HASH:
        balance_by_key(at, spec->consistent_hash, pick);
        break;
    case LOAD_BALANCER_RANDOM:
        pick->kind = BALANCER_RANDOM;
        break;
    case LOAD_BALANCER_ROUND_ROBIN:
        pick->kind = BALANCER_ROUND_ROBIN;
        break;
    case LOAD_BALANCER_LEAST_REQUEST:
    case LOAD_BALANCER_BACKEND_UTILIZATION:
    case LOAD_BALANCER_DYNAMIC_MODULE:
        pick->kind = BALANCER_LEAST_REQUEST;
        break;
    }
    if (spec->slow_start)
        pick->slow_start_us = duration_or(spec->slow_start->window, 0);
    at->rule->pick = pick;
}
