/* Endpoint choice.
 *
 * Two at random and the less loaded of them: nearly as even as scanning all, at constant cost, and
 * workers that do not talk to each other do not herd onto one endpoint (Mitzenmacher 2001). When
 * the draw finds nothing usable the endpoints are scanned once from a random start. Worker-local.
 */
#include "policy/balance/balancer.h"

void balancer_init(struct balancer *b, enum balancer_kind kind, uint64_t seed)
{
    b->kind = kind;
    random_init_seed(&b->random, seed);
    /* Workers start their rounds at different endpoints. */
    b->next = (uint32_t)random_u64(&b->random);
}

/* The first usable endpoint from `start` on, around. */
static uint32_t scan(uint32_t n, uint32_t start, uint32_t avoid, balancer_load_fn *load,
                     const void *context)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = (uint32_t)(((uint64_t)start + i) % n);

        if (index != avoid && load(context, index) != UINT32_MAX)
            return index;
    }
    if (avoid < n && load(context, avoid) != UINT32_MAX)
        return avoid;
    return BALANCER_NO_ENDPOINT;
}

static uint32_t pick_of_two(struct balancer *b, uint32_t n, uint32_t avoid, balancer_load_fn *load,
                            const void *context)
{
    uint32_t first = random_below(&b->random, n);
    uint32_t second = random_below(&b->random, n - 1);

    second += second >= first;
    uint32_t first_load = first == avoid ? UINT32_MAX : load(context, first);
    uint32_t second_load = second == avoid ? UINT32_MAX : load(context, second);

    if (first_load == UINT32_MAX && second_load == UINT32_MAX)
        return scan(n, first, avoid, load, context);
    return second_load < first_load ? second : first;
}

uint32_t balancer_pick(struct balancer *b, uint32_t n, uint32_t avoid, balancer_load_fn *load,
                       const void *context)
{
    if (n == 0)
        return BALANCER_NO_ENDPOINT;
    if (n == 1)
        return scan(n, 0, avoid, load, context);
    switch (b->kind) {
    case BALANCER_ROUND_ROBIN:
        return scan(n, b->next++ % n, avoid, load, context);
    case BALANCER_RANDOM:
        return scan(n, random_below(&b->random, n), avoid, load, context);
    case BALANCER_LEAST_REQUEST:
    default:
        return pick_of_two(b, n, avoid, load, context);
    }
}
