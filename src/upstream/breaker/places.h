/* Places at backends, as they are told to another process while that one takes over, or asked of
 * it. From `places_share` on each change of a count is told, so that what this process holds counts
 * there until it gives it back; from `places_defer` on it is the other who says whether a place
 * within bounds may be taken, since it takes some itself. Who waits for a connection here is stood
 * for there (guest.h), and granted what it gets there. Shared by all threads. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/bounded_count.h"
#include "base/macro.h"
#include "base/str.h"

struct breaker;
struct cluster_registry;

enum place_kind { PLACE_REQUEST, PLACE_RETRY, PLACE_PENDING, PLACE_CONNECTION, PLACE_KINDS };

/* A change of one count. Texts are borrowed. */
struct place_move {
    struct str backend;
    struct str endpoint; /* of a connection; else empty */
    enum place_kind kind;
    uint32_t session;
    int32_t n;
};

enum { PLACE_CLAIM_ENDPOINTS = 32 };

/* What is asked for: one place, within these bounds. Texts are borrowed. */
struct place_claim {
    struct str backend;
    enum place_kind kind;
    uint32_t limit;
    uint32_t endpoint_limit; /* of a connection; so the rest */
    bool is_waiting;         /* who asks waits until one is granted, and with it one among the */
    uint32_t request_limit;  /* requests, within this bound */
    struct str tenant;       /* whose turn it is then */
    uint32_t n_endpoints;    /* at any of these */
    struct str endpoints[PLACE_CLAIM_ENDPOINTS];
};

enum place_verdict {
    PLACE_UNKNOWN, /* nobody was asked, or could be */
    PLACE_GIVEN,
    PLACE_DENIED,
};

/* Both are called by any thread, must be quick and call nobody back; `ask` may be called under
 * locks. */
typedef void place_tell_fn(void *ctx, const struct place_move *move);
typedef enum place_verdict place_ask_fn(void *ctx, const struct place_claim *claim,
                                        uint32_t *ret_endpoint);

/* Part of the registry of clusters. */
struct places {
    _Atomic uint32_t session; /* 0: nothing is told */
    place_tell_fn *tell;
    void *tell_ctx;
    pthread_mutex_t telling;   /* what there is is told before what is given back of it */
    place_ask_fn *_Atomic ask; /* NULL: nobody is asked */
    void *ask_ctx;
};

void places_init(struct places *p);
void places_deinit(struct places *p);

/* Control. As limit_memory_share: all that there is, then each change. */
void places_share(struct cluster_registry *r, uint32_t session, place_tell_fn *tell, void *ctx);
void places_unshare(struct cluster_registry *r);
/* Control. `ask` NULL: it is this process's to judge again, also for those who wait. */
void places_defer(struct cluster_registry *r, place_ask_fn *ask, void *ctx);
/* A connection for one who waits, and a place among the requests, within these bounds. Texts are
 * borrowed. */
struct place_grant {
    struct str backend;
    struct str endpoint;
    uint32_t limit;
    uint32_t endpoint_limit;
    uint32_t request_limit;
};

/* Control. The other has granted it: one who waits within such bounds gets it, or back it goes. */
void places_grant(struct cluster_registry *r, const struct place_grant *grant);

/* ---- for the breaker ---- */

static inline uint32_t places_session(const struct places *p)
{
    return p ? atomic_load_explicit(&p->session, memory_order_acquire) : 0;
}
static inline bool places_are_deferred(const struct places *p)
{
    return p && atomic_load_explicit(&p->ask, memory_order_acquire);
}
/* `claim` but for its backend, which is `b`'s. */
enum place_verdict places_ask(const struct breaker *b, struct place_claim *claim,
                              uint32_t *ret_endpoint);
/* `n` more, in a session that is not 0. */
void places_tell(const struct breaker *b, enum place_kind kind, struct str endpoint,
                 uint32_t session, int32_t n);
