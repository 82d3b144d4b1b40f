/* Endpoint choice.
 *
 * Least request: two at random and the less loaded of them: nearly as even as scanning all, at
 * constant cost, and workers that do not talk to each other do not herd onto one endpoint
 * (Mitzenmacher 2001). A draw that finds nothing usable is repeated a few times before the
 * endpoints are scanned: else the one behind an ill one would get the share of both. Worker-local.
 */
#include "policy/balance/balancer.h"

enum { BALANCER_DRAWS = 8 };

void balancer_init(struct balancer *b, enum balancer_kind kind, uint64_t seed)
{
    b->kind = kind;
    random_init_seed(&b->random, seed);
    /* Workers start their rounds at different endpoints. */
    b->next = (uint32_t)random_u64(&b->random);
}

static uint32_t load_of(const struct balancer_view *v, uint32_t index)
{
    return index == v->avoid ? UINT32_MAX : v->load(v->context, index);
}

uint32_t balancer_scan(const struct balancer_view *v, uint32_t start)
{
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t index = (uint32_t)(((uint64_t)start + i) % v->n);

        if (load_of(v, index) != UINT32_MAX)
            return index;
    }
    if (v->avoid < v->n && v->load(v->context, v->avoid) != UINT32_MAX)
        return v->avoid;
    return BALANCER_NO_ENDPOINT;
}

static uint32_t pick_of_two(struct balancer *b, const struct balancer_view *v)
{
    for (unsigned i = 0; i < BALANCER_DRAWS; i++) {
        uint32_t first = random_below(&b->random, v->n);
        uint32_t second = random_below(&b->random, v->n - 1);

        second += second >= first;
        uint32_t first_load = load_of(v, first);
        uint32_t second_load = load_of(v, second);

        if (first_load != UINT32_MAX || second_load != UINT32_MAX)
            return second_load < first_load ? second : first;
    }
    return balancer_scan(v, random_below(&b->random, v->n));
}

static uint32_t pick_any(struct balancer *b, const struct balancer_view *v)
{
    for (unsigned i = 0; i < BALANCER_DRAWS; i++) {
        uint32_t index = random_below(&b->random, v->n);

        if (load_of(v, index) != UINT32_MAX)
            return index;
    }
    return balancer_scan(v, random_below(&b->random, v->n));
}

static uint32_t pick_in_turn(struct balancer *b, const struct balancer_view *v)
{
    uint32_t index = balancer_scan(v, b->next % v->n);

    b->next = index + 1; /* behind the one that was taken, not behind one that was passed over */
    return index;
}

uint32_t balancer_pick(struct balancer *b, const struct balancer_view *v)
{
    if (v->n == 0)
        return BALANCER_NO_ENDPOINT;
    if (v->n == 1)
        return balancer_scan(v, 0);
    switch (b->kind) {
    case BALANCER_ROUND_ROBIN:
        return pick_in_turn(b, v);
    case BALANCER_RANDOM:
        return pick_any(b, v);
    case BALANCER_LEAST_REQUEST:
    default:
        return pick_of_two(b, v);
    }
}
