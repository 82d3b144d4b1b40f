/* Limits of one rule (BackendTrafficPolicy rateLimit), compiled, and what one exchange holds of
 * them. The step `limit` reserves, the step `account` settles, whatever the end.
 *
 * What an answer will cost is not known before it comes. Whoever reads AI bodies says before the
 * step what is to be expected (x->estimate) and before `account` what it did cost (gateway/cost.h).
 */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "policy/limit_rule.h"
#include "policy/limit_store.h"
#include "policy/model_average.h"

struct exchange;

enum limit_cost_source { LIMIT_COST_NONE, LIMIT_COST_NUMBER, LIMIT_COST_METADATA };

struct limit_cost {
    enum limit_cost_source source;
    uint64_t number;
    struct str namespace; /* "io.envoy.ai_gateway" */
    struct str key;       /* of llmRequestCosts */
};

struct limit_rule_plan {
    struct limit_rule rule;
    struct str policy;             /* "BackendTrafficPolicy/ns/name" */
    struct str name;               /* "global/3": its place there */
    struct limit_counter *counter; /* of all routes; NULL: each route rule has one of its own */
    struct str identity;           /* of the counter, but for the route rule */
    uint64_t limit;                /* per window; not in the identity: it may change */
    uint32_t window_s;
    bool is_shadow;             /* counts, and never refuses */
    bool has_headers;           /* answers may tell of it */
    struct limit_cost request;  /* taken at admission; Number 0 only asks for room */
    struct limit_cost response; /* settled at the end */
};

/* The rules of one policy. Immutable; refcounted by the rule plans that they hold for. */
struct limit_set {
    _Atomic uint32_t n_refs;
    struct arena arena;
    struct limit_store *store;
    struct limit_rule_plan *rules;
    uint32_t n_rules;
    bool is_broken; /* cannot be had as written: its routes refuse */
};

/* A set as one route rule meets it, with the counters, in the order of the set's rules. */
struct limit_plan {
    struct limit_set *set;
    struct limit_counter **counters;
};

/* plan.c */
struct limit_set *limit_set_new(struct limit_store *store);
/* Any thread; the last one releases the shared counters. NULL is nothing. */
void limit_set_unref(struct limit_set *s);
/* For arena_on_cleanup: lets go of set and own counters. */
void limit_plan_cleanup(void *plan);

/* What the request says about the cost of its answer. Reserved are prompt_bytes / 4 and what
 * model_average_expect says; or the rows. */
struct limit_estimate {
    bool is_set;           /* an AI request; else nothing is reserved for usage values */
    uint64_t prompt_bytes; /* four of them are taken for a token */
    uint64_t max_output;   /* tokens that the request allows; 0: it does not say */
    uint64_t n_rows;       /* of a KServe prediction, whose cost they are; 0: counted in tokens */
    uint64_t n_rows_ahead; /* to be expected beyond those, by the length of the body */
};

/* What an exchange holds, and what its answer tells: of the matching rule that leaves least. */
struct exchange_limits {
    struct limit_claim *claims;
    const struct limit_rule_plan **rules; /* of the claims */
    uint32_t n_claims;
    bool is_held; /* some claim is to be settled */
    bool is_told;
    bool is_global; /* what refused it is a limit of all */
    uint32_t reset_s;
    uint64_t limit;
    uint64_t remaining;
    uint64_t n_topped_bytes;
};

/* step_limit.c */
/* Between `limit` and `account`: that many prompt bytes have passed beyond the estimate. False: the
 * budget is gone meanwhile, and the request is to be aborted (REFUSAL_RATE_LIMITED, of which the
 * exchange knows the rule and when to come again). */
MUST_USE bool limit_top_up(struct exchange *x, uint64_t n_bytes);
/* The same for rows of a prediction beyond those that were expected. */
MUST_USE bool limit_top_up_rows(struct exchange *x, uint64_t n_rows);
/* Settles what is held, to the cost (cost.h) or, where there is none, to nothing. Once; later calls
 * do nothing. */
void limit_settle(struct exchange *x);
/* x-ratelimit-limit, -remaining and -reset, unless the listener's policy disables them. */
void limit_write_headers(const struct exchange *x, struct http_headers *headers);
/* An answer of x->model had that many tokens: the next reservations expect the like. */
void limit_learn(struct exchange *x, uint64_t n_output_tokens);
