/* The circuit breaker of a backend: how many connections, requests and retries there are now, of
 * all workers together. The bounds come with each request, from the rule that it took: policies
 * that differ share the counts, and a reload changes bounds (bounds.h) and no count. Shared by all
 * threads.
 *
 * What is not asked about is not counted: requests count once some rule has bounds for the backend,
 * connections always. */
#pragma once

#include "base/bounded_count.h"
#include "base/macro.h"
#include "upstream/breaker/pending.h"
#include "upstream/breaker/places.h"

struct endpoint_state;

/* A policy's circuitBreaker, compiled. Any of them may change at any time (bounds.h): who looks at
 * one twice may see two. */
struct breaker_limits {
    _Atomic uint32_t n_connections;
    _Atomic uint32_t n_endpoint_connections; /* of one endpoint */
    _Atomic uint32_t n_pending;              /* attempts that wait for a connection */
    _Atomic uint32_t n_requests; /* attempts under way, those that wait not among them */
    _Atomic uint32_t n_served;   /* by one connection, which is closed then; 0: any number */
};

static inline uint32_t breaker_limit(const _Atomic uint32_t *of)
{
    return atomic_load_explicit(of, memory_order_acquire);
}
/* One thread at a time. True: some were others before. */
bool breaker_limits_set(struct breaker_limits *l, const struct breaker_limits *to);
/* May as many be under way as there may be connections, or more? As it was at one moment. */
bool breaker_limits_fill_connections(const struct breaker_limits *l);
/* Nobody has a place within these, whoever gives one back. */
bool breaker_limits_are_shut(const struct breaker_limits *l);

/* What was at its bound. Name, word (metrics). */
#define BREAKER_OVERFLOWS(X)                                                                       \
    X(CONNECTIONS, "connections")                                                                  \
    X(PENDING, "pending")                                                                          \
    X(REQUESTS, "requests")                                                                        \
    X(RETRIES, "retries")

enum breaker_overflow {
#define X(name, word) BREAKER_##name,
    BREAKER_OVERFLOWS(X)
#undef X
        BREAKER_OVERFLOWS_,
};

struct breaker {
    _Atomic bool is_watched; /* some rule has bounds; stays so as long as the backend is known */
    struct bounded_count connections;
    struct bounded_count leaving; /* of those: beyond bounds that have become narrower */
    struct bounded_count requests;
    _Atomic bool is_request_wanted; /* by one who waits: who gives a place back looks */
    struct bounded_count retries;
    _Atomic uint64_t n_overflows[BREAKER_OVERFLOWS_];
    struct pending_queue pending;
    struct places *places; /* the registry's; NULL: nobody is told or asked */
    struct str backend;    /* its name; borrowed from its state */
};

void breaker_init(struct breaker *b);
/* It is one of the registry's, whose lock is held. `backend`: its name, which stays. */
void breaker_join(struct breaker *b, struct places *places, struct str backend);
void breaker_deinit(struct breaker *b);

/* "connections" and so on. */
const char *breaker_overflow_word(enum breaker_overflow what);
/* A rule has bounds for the backend. */
void breaker_watch(struct breaker *b);
static inline bool breaker_is_watched(const struct breaker *b)
{
    return atomic_load_explicit(&b->is_watched, memory_order_relaxed);
}
void breaker_count_overflow(struct breaker *b, enum breaker_overflow what);

/* Each of these takes a place, which goes back by its `put`. `l` NULL: no bound. False: none is
 * left. A place for a request that is given back goes to those who wait. */
MUST_USE bool breaker_take_request(struct breaker *b, const struct breaker_limits *l);
void breaker_put_request(struct breaker *b);
/* For those who wait, under their lock: is there a place? If not they are told of the next. */
bool breaker_wants_request(struct breaker *b, const struct breaker_limits *l);
/* `limit` is the caller's to know: it may be a share of what is under way. One that is refused is
 * counted. */
MUST_USE bool breaker_take_retry(struct breaker *b, uint32_t limit);
void breaker_put_retry(struct breaker *b);
/* A connection has a place at its backend and one at its endpoint. One that is refused is not
 * counted: there may be another way. What is given back goes to those who wait; `try` is for them,
 * under their lock, and asks no other process. */
MUST_USE bool breaker_try_connection(struct breaker *b, struct endpoint_state *e,
                                     const struct breaker_limits *l);
MUST_USE bool breaker_take_connection(struct breaker *b, struct endpoint_state *e,
                                      const struct breaker_limits *l);
void breaker_put_connection(struct breaker *b, struct endpoint_state *e);
/* The same under the lock of those who wait: the caller looks for who can have it. */
void breaker_drop_connection(struct breaker *b, struct endpoint_state *e);
/* Another process has counted a connection, or one and a request for it, and said so: whatever the
 * bounds are, and nobody is told. */
void breaker_hold_connection(struct breaker *b, struct endpoint_state *e);
void breaker_hold_both(struct breaker *b, struct endpoint_state *e);
/* Is it another process that judges? */
static inline bool breaker_is_deferred(const struct breaker *b)
{
    return places_are_deferred(b->places);
}
