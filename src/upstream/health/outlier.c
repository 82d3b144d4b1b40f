/* Counting answers, ejecting, and letting back in. The counts are relaxed: answers that end at the
 * same moment on two workers have no order. Ejecting takes the backend's lock, so that two workers
 * do not eject more endpoints together than may be. */
#include "upstream/health/outlier.h"

#include "base/limits.h"
#include "upstream/attempt.h"

static const uint64_t EJECTION_MAX_US = LIMIT_EJECTION_S * 1000000ULL;

enum outlier_result outlier_result_of_status(uint16_t status)
{
    if (status < 500)
        return OUTLIER_GOOD;
    return status >= 502 && status <= 504 ? OUTLIER_GATEWAY_ERROR : OUTLIER_5XX;
}

/* Endpoints that are well are read and not written: no line moves between processors. */
static void outlier_reset(_Atomic uint32_t *count)
{
    if (atomic_load_explicit(count, memory_order_relaxed) != 0)
        atomic_store_explicit(count, 0, memory_order_relaxed);
}

static bool outlier_add(_Atomic uint32_t *count, const _Atomic uint32_t *threshold)
{
    uint32_t n = atomic_fetch_add_explicit(count, 1, memory_order_relaxed) + 1;
    uint32_t limit = atomic_load_explicit(threshold, memory_order_relaxed);

    if (limit == 0 || n < limit)
        return false;
    outlier_reset(count);
    return true;
}

static void outlier_count_share(struct endpoint_health *e, const struct outlier_rule *r,
                                enum outlier_result result)
{
    if (atomic_load_explicit(&r->failure_percent, memory_order_relaxed) == 0)
        return;
    atomic_fetch_add_explicit(&e->n_answers, 1, memory_order_relaxed);
    if (result != OUTLIER_GOOD)
        atomic_fetch_add_explicit(&e->n_failures, 1, memory_order_relaxed);
}

struct outlier_share outlier_take_share(struct endpoint_health *e)
{
    struct outlier_share s = {0};

    /* Failures first: a request that ends in between adds to neither or to the answers alone. */
    s.n_failures = atomic_exchange_explicit(&e->n_failures, 0, memory_order_relaxed);
    s.n_answers = atomic_exchange_explicit(&e->n_answers, 0, memory_order_relaxed);
    return s;
}

bool outlier_share_is_bad(struct outlier_share s, uint32_t failure_percent)
{
    return s.n_answers >= OUTLIER_ANSWERS_MIN &&
           (uint64_t)s.n_failures * 100 >= (uint64_t)failure_percent * s.n_answers;
}

bool outlier_count(struct endpoint_health *e, const struct outlier_rule *r,
                   enum outlier_result result)
{
    bool is_split = atomic_load_explicit(&r->splits_local, memory_order_relaxed);
    bool is_reached = false;

    outlier_count_share(e, r, result);
    if (result == OUTLIER_LOCAL_FAILURE && is_split)
        return outlier_add(&e->n_local_failures, &r->n_local_failures);
    outlier_reset(&e->n_local_failures);
    /* Unless split, no answer is a 503 or 504 of the gateway's own. */
    if (result == OUTLIER_GATEWAY_ERROR || result == OUTLIER_LOCAL_FAILURE)
        is_reached = outlier_add(&e->n_gateway_errors, &r->n_gateway_errors);
    else
        outlier_reset(&e->n_gateway_errors);
    if (result != OUTLIER_GOOD)
        is_reached |= outlier_add(&e->n_5xx, &r->n_5xx);
    else
        outlier_reset(&e->n_5xx);
    return is_reached;
}

uint64_t outlier_ejection_us(uint64_t base_us, uint32_t n)
{
    uint64_t most = MAX(base_us, EJECTION_MAX_US);

    if (base_us == 0)
        return 0;
    return n >= most / base_us ? most : base_us * n;
}

bool outlier_may_eject(uint32_t n_ejected, uint32_t n, uint32_t percent, bool ejects_one)
{
    if (ejects_one && n_ejected == 0)
        return true;
    return ((uint64_t)n_ejected + 1) * 100 <= (uint64_t)percent * n;
}

static uint32_t outlier_n_ejected(const struct endpoint_set *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++)
        n += (atomic_load_explicit(&s->items[i].state->health.bits, memory_order_relaxed) &
              HEALTH_EJECTED) != 0;
    return n;
}

void outlier_eject(struct endpoint_state *e, const struct endpoint_set *among, uint64_t now_us)
{
    struct backend_state *b = e->backend;
    const struct outlier_rule *r = &b->health.outlier;

    pthread_mutex_lock(&b->lock);
    uint32_t bits = atomic_load_explicit(&e->health.bits, memory_order_relaxed);

    /* The rule may have gone meanwhile, and with it who would let it back in. */
    if (!(bits & HEALTH_EJECTED) && atomic_load(&r->is_on) &&
        outlier_may_eject(outlier_n_ejected(among), among->n, atomic_load(&r->percent),
                          atomic_load(&r->ejects_one))) {
        uint32_t n = atomic_fetch_add(&e->health.n_ejections, 1) + 1;

        atomic_store(&e->health.ejected_until_us,
                     now_us + outlier_ejection_us(atomic_load(&r->base_us), n));
        atomic_fetch_add(&b->health.n_ejections, 1);
        health_set_bit(&b->health, &e->health, HEALTH_EJECTED, true);
    }
    pthread_mutex_unlock(&b->lock);
}

static void outlier_note(const struct attempt *a, enum outlier_result result)
{
    struct endpoint_state *e = a->endpoint->state;
    const struct outlier_rule *r = &e->backend->health.outlier;

    if (outlier_count(&e->health, r, result))
        outlier_eject(e, a->endpoints, a->upstreams->loop->now.mono_us);
}

/* Probes have no endpoint that counts, and most backends no rule. */
static bool outlier_judges(const struct attempt *a)
{
    return a->endpoint && atomic_load_explicit(&a->endpoint->state->backend->health.outlier.is_on,
                                               memory_order_relaxed);
}

void outlier_note_attempt(const struct attempt *a, bool has_failed)
{
    if (!outlier_judges(a))
        return;
    if (a->has_head)
        outlier_note(a, outlier_result_of_status(a->response.status));
    else if (has_failed)
        outlier_note(a, OUTLIER_LOCAL_FAILURE);
}

void outlier_note_timeout(const struct attempt *a)
{
    /* Else the time may have gone by with the client's sending. */
    if (outlier_judges(a) && !a->has_head && a->is_request_done)
        outlier_note(a, OUTLIER_LOCAL_FAILURE);
}

void outlier_switch(struct backend_state *b, bool is_on)
{
    pthread_mutex_lock(&b->lock);
    atomic_store(&b->health.outlier.is_on, is_on);
    pthread_mutex_unlock(&b->lock);
}

void outlier_sweep(struct backend_health *b, struct endpoint_health *e, uint64_t now_us)
{
    uint32_t n = atomic_load(&e->n_ejections);

    if (atomic_load(&e->bits) & HEALTH_EJECTED) {
        if (now_us >= atomic_load(&e->ejected_until_us))
            health_set_bit(b, e, HEALTH_EJECTED, false);
    } else if (n > 0) {
        /* Unless a worker has ejected it this moment. */
        atomic_compare_exchange_strong(&e->n_ejections, &n, n - 1);
    }
}

void outlier_forget(struct backend_health *b, struct endpoint_health *e)
{
    outlier_reset(&e->n_5xx);
    outlier_reset(&e->n_gateway_errors);
    outlier_reset(&e->n_local_failures);
    outlier_reset(&e->n_answers);
    outlier_reset(&e->n_failures);
    outlier_reset(&e->n_ejections);
    health_set_bit(b, e, HEALTH_EJECTED, false);
}
