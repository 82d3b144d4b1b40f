/* Further tries of one request, where its rule has a policy for them (retry_plan.h). The step
 * `upstream` asks after each try, and makes the next one when the pause is over.
 *
 *   (try) --a failure that is tried again--> WAITING --pause over--> (try)
 *       \--an answer that is taken, or no more tries--> (closed)
 *
 * A retry counts at its backend (breaker.retries) from the beginning of its pause until the
 * head of its answer, or its failure. An answer that is given up is read on during the pause, so
 * that its connection can serve again. In the exchange's arena; worker-local. */
#pragma once

#include "base/macro.h"
#include "gateway/traffic/replay.h"
#include "gateway/traffic/retry_plan.h"

struct backend_plan;
struct exchange;

/* Why there is no further try though the rule names what failed. Name, word (metrics). */
#define RETRY_DENIALS(X)                                                                           \
    X(NONE, "")                                                                                    \
    X(EXHAUSTED, "exhausted")       /* numRetries */                                               \
    X(UNREPLAYABLE, "unreplayable") /* what was sent is not at hand any more */                    \
    X(OVERFLOW, "overflow")         /* too many to that backend are under way */

enum retry_denial {
#define X(name, word) RETRY_DENIED_##name,
    RETRY_DENIALS(X)
#undef X
};

struct retry {
    struct replay replay;
    bool is_waiting;          /* the pause runs */
    bool is_judged;           /* the end, or the head, of the try under way has been looked at */
    bool was_sent;            /* of a try that ran out of time: it had a connection */
    bool is_to_next_priority; /* the one that waits */
    enum retry_denial denial; /* of what the last try came to */
    uint32_t n_begun;
    uint64_t n_discarded;      /* bytes of an answer that was given up */
    enum retry_failure reason; /* of the one that waits or is under way; NONE: there is none */
    const struct backend_plan *next; /* where it goes, and counts */
};

/* Before the first try: x->retry, where the rule has a plan. */
void retry_open(struct exchange *x);
/* A try begins: it gets what was sent before, and is to be judged anew. */
void retry_on_try(struct exchange *x);
/* Does the rule name what has just failed, be it that nothing is done about it? */
bool retry_is_named(const struct exchange *x);
/* May the request be processed twice (RFC 9110 9.2.2)? TRACE has no business at a backend. */
bool retry_is_idempotent(const struct exchange *x);
/* Can the request be sent once more: was nothing of its content sent, or is all of it at hand? */
bool retry_has_content(const struct exchange *x);
/* A try has failed (x->failure), or the head of its answer is there (ATTEMPT_OK). True: x->wait is
 * set, the step runs again when the pause is over. */
MUST_USE bool retry_wait(struct exchange *x);
/* The pause is over. */
bool retry_is_due(const struct exchange *x);
/* An answer is taken, or the exchange ends: nothing is held or counted any more. Repeatable. */
void retry_close(struct exchange *x);
/* From the pumps: is what comes of an answer that was given up? */
bool retry_discards(struct exchange *x, size_t n_bytes);
