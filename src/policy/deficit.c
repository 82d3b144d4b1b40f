/* Turns. The first of the round that can go and has the means goes; one whose means do not suffice
 * has had its turn. */
#include "policy/deficit.h"

void deficit_join(struct deficit *d, struct deficit_flow *f)
{
    f->saved = 0;
    f->has_turn = false;
    list_append(&d->round, &f->node);
}

void deficit_leave(struct deficit_flow *f)
{
    list_remove(&f->node);
}

struct deficit_flow *deficit_next(struct deficit *d, deficit_cost_fn *cost, void *ctx)
{
    bool can_any_go;

    PRE(d->quantum > 0);
    do {
        can_any_go = false;
        LIST_FOREACH (&d->round, node) {
            struct deficit_flow *f = CONTAINER_OF(node, struct deficit_flow, node);
            uint64_t price = cost(f, ctx);

            if (price == 0)
                continue;
            can_any_go = true;
            if (!f->has_turn)
                f->saved += d->quantum;
            f->has_turn = true;
            if (f->saved >= price)
                return f;
            f->has_turn = false;
            list_move(&d->round, node);
        }
    } while (can_any_go);
    return NULL;
}

void deficit_spend(struct deficit_flow *f, uint64_t cost)
{
    PRE(f->saved >= cost);
    f->saved -= cost;
    if (f->saved > 0)
        return;
    f->has_turn = false;
    list_move(f->node.owner, &f->node);
}
