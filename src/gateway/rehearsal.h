/* A request that nobody sends, and that is explained: its exchange goes the journey of all others,
 * by the same steps, and whoever explains looks on. x->rehearsal is NULL in every other exchange.
 * Where a step would change or ask anything outside its own worker it does this instead:
 *
 *   identify   asks nobody for keys; where there are none, `read_token` may stand in
 *   authorize  asks no authorizer: each is taken to agree; a slow hash only where `may_hash`
 *   limit      looks at the counts (limit_store_ops.peek) and takes nothing
 *   upstream   a fault falls on it only if on all requests; copies are not made; what would be sent
 *              is kept in `sent`, and the step waits for ever
 *   log        writes no line and counts nothing
 *
 * Decision 25. The worker is one apart (worker_init_apart). */
#pragma once

#include "gateway/journey.h"
#include "policy/authorize.h"

struct http_request;
struct rehearsal;

struct rehearsal_ops {
    /* x->step has run, `log` left out, and left this. */
    void (*on_step)(struct rehearsal *r, struct exchange *x, enum step_result result);
    /* A policy's rules have decided, about the request as it is now. */
    void (*on_rules)(struct rehearsal *r, const struct authorization *a,
                     const struct authorize_input *input, const struct authorize_result *result);
};

/* jwt_read_unverified, and nothing else. */
typedef int rehearsal_read_fn(struct str token, const struct jwt_provider *p, int64_t now_s,
                              struct jwt_claims **ret_claims);

struct rehearsal {
    const struct rehearsal_ops *ops;
    rehearsal_read_fn
        *read_token;       /* where keys are not at hand; NULL: it is refused for want of them */
    bool has_believed;     /* a token was read by it */
    bool may_hash;         /* whoever runs the exchange can wait for it */
    bool has_skipped_hash; /* a password was taken for right */
    const struct http_request *sent; /* to x->backend; NULL: nothing is */
};
