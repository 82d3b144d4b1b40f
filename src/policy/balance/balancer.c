/* Endpoint choice.
 *
 * Least request: two at random and the less loaded of them: nearly as even as scanning all, at
 * constant cost, and workers that do not talk to each other do not herd onto one endpoint
 * (Mitzenmacher 2001). A draw that finds nothing usable is repeated a few times before the
 * endpoints are scanned: else the one behind an ill one would get the share of both.
 *
 * By weight: of least request both of the two are drawn by it, with the same endpoint twice if so
 * it falls; a round robin goes round until an endpoint is owed a whole request (deficit round
 * robin), so that it is exact, and the same as without where all weights are. Worker-local. */
#include "policy/balance/balancer.h"

#include "base/mem.h"

enum {
    BALANCER_DRAWS = 8,
    BALANCER_DRAWS_BY_WEIGHT = 32, /* where most have a tenth, ten are needed on the average */
    BALANCER_ROUNDS = 16,          /* and here at most */
};

void balancer_init(struct balancer *b, enum balancer_kind kind, uint64_t seed)
{
    *b = (struct balancer){.kind = kind};
    random_init_seed(&b->random, seed);
    /* Workers start their rounds at different endpoints. */
    b->next = (uint32_t)random_u64(&b->random);
}

void balancer_deinit(struct balancer *b)
{
    balancer_forget(b);
}

void balancer_forget(struct balancer *b)
{
    mem_free(b->credits);
    b->credits = NULL;
    b->n_credits = 0;
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

/* ---- by weight ---- */

static uint32_t draw_by_weight(struct balancer *b, const struct balancer_view *v)
{
    for (unsigned i = 0; i < BALANCER_DRAWS_BY_WEIGHT; i++) {
        uint32_t index = random_below(&b->random, v->n);

        if (load_of(v, index) != UINT32_MAX &&
            random_below(&b->random, BALANCER_FULL_WEIGHT) < v->weight(v->context, index))
            return index;
    }
    return balancer_scan(v, random_below(&b->random, v->n));
}

static uint32_t pick_of_two_by_weight(struct balancer *b, const struct balancer_view *v)
{
    uint32_t first = draw_by_weight(b, v);
    uint32_t second = draw_by_weight(b, v);

    if (first == BALANCER_NO_ENDPOINT || second == BALANCER_NO_ENDPOINT)
        return first;
    return v->load(v->context, second) < v->load(v->context, first) ? second : first;
}

static void credits_prepare(struct balancer *b, uint32_t n)
{
    if (b->n_credits == n)
        return;
    balancer_forget(b);
    b->credits = mem_alloc_zero(n * sizeof b->credits[0]);
    b->n_credits = n;
}

static uint32_t pick_in_turn_by_weight(struct balancer *b, const struct balancer_view *v)
{
    credits_prepare(b, v->n);
    for (uint32_t i = 0; i < v->n * BALANCER_ROUNDS; i++) {
        uint32_t index = b->next % v->n;

        b->next = index + 1;
        if (load_of(v, index) == UINT32_MAX)
            continue;
        b->credits[index] += v->weight(v->context, index);
        if (b->credits[index] >= BALANCER_FULL_WEIGHT) {
            b->credits[index] -= BALANCER_FULL_WEIGHT;
            return index;
        }
    }
    return balancer_scan(v, b->next % v->n);
}

uint32_t balancer_pick(struct balancer *b, const struct balancer_view *v)
{
    if (v->n == 0)
        return BALANCER_NO_ENDPOINT;
    if (v->n == 1)
        return balancer_scan(v, 0);
    switch (b->kind) {
    case BALANCER_ROUND_ROBIN:
        return v->weight ? pick_in_turn_by_weight(b, v) : pick_in_turn(b, v);
    case BALANCER_RANDOM:
        return pick_any(b, v);
    case BALANCER_LEAST_REQUEST:
    default:
        return v->weight ? pick_of_two_by_weight(b, v) : pick_of_two(b, v);
    }
}
