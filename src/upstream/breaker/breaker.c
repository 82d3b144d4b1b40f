/* Counting for the breaker. Every bound is kept by one compare-and-swap of its count, so that two
 * workers never take the last place both. */
#include "upstream/breaker/breaker.h"

const char *breaker_overflow_word(enum breaker_overflow what)
{
    static const char *const words[] = {
#define X(name, word) word,
        BREAKER_OVERFLOWS(X)
#undef X
    };

    return words[what];
}

void breaker_init(struct breaker *b)
{
    *b = (struct breaker){0};
    pending_init(&b->pending);
}

void breaker_deinit(struct breaker *b)
{
    pending_deinit(&b->pending);
}

void breaker_watch(struct breaker *b)
{
    atomic_store_explicit(&b->is_watched, true, memory_order_relaxed);
}

void breaker_count_overflow(struct breaker *b, enum breaker_overflow what)
{
    atomic_fetch_add_explicit(&b->n_overflows[what], 1, memory_order_relaxed);
}

bool breaker_take_request(struct breaker *b, const struct breaker_limits *l)
{
    return bounded_count_take(&b->requests, l ? l->n_requests : BOUNDED_COUNT_MAX);
}

/* No wake is lost: who wants a place says so first and looks second, who gives one back does so
 * first and looks for that word second; both change it, so that one of them sees the other. */
void breaker_put_request(struct breaker *b)
{
    bounded_count_put(&b->requests);
    if (UNLIKELY(atomic_exchange_explicit(&b->is_request_wanted, false, memory_order_acq_rel)))
        pending_on_place(b);
}

bool breaker_wants_request(struct breaker *b, const struct breaker_limits *l)
{
    if (bounded_count_get(&b->requests) < l->n_requests)
        return true;
    atomic_exchange_explicit(&b->is_request_wanted, true, memory_order_acq_rel);
    return bounded_count_get(&b->requests) < l->n_requests;
}

bool breaker_take_retry(struct breaker *b, uint32_t limit)
{
    if (bounded_count_take(&b->retries, MIN(limit, (uint32_t)BOUNDED_COUNT_MAX)))
        return true;
    breaker_count_overflow(b, BREAKER_RETRIES);
    return false;
}

void breaker_put_retry(struct breaker *b)
{
    bounded_count_put(&b->retries);
}

bool breaker_try_connection(struct breaker *b, struct bounded_count *of_endpoint,
                            const struct breaker_limits *l)
{
    if (!bounded_count_take(of_endpoint, l ? l->n_endpoint_connections : BOUNDED_COUNT_MAX))
        return false;
    if (bounded_count_take(&b->connections, l ? l->n_connections : BOUNDED_COUNT_MAX))
        return true;
    bounded_count_put(of_endpoint);
    return false;
}

/* Who has looked meanwhile has seen a place of the endpoint taken that was not. */
bool breaker_take_connection(struct breaker *b, struct bounded_count *of_endpoint,
                             const struct breaker_limits *l)
{
    if (l && bounded_count_get(&b->connections) >= l->n_connections)
        return false; /* as a rule: nothing was touched */
    if (breaker_try_connection(b, of_endpoint, l))
        return true;
    if (pending_is_any_now(&b->pending))
        pending_on_place(b);
    return false;
}

void breaker_put_connection(struct breaker *b, struct bounded_count *of_endpoint)
{
    bounded_count_put(of_endpoint);
    bounded_count_put(&b->connections);
    if (pending_is_any_now(&b->pending))
        pending_on_place(b);
}
