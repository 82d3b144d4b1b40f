/* Deficit round robin (Shreedhar and Varghese, 1995): flows take turns, and each may spend a
 * quantum in its turn; what it cannot spend, since its next item costs more, is added to its next
 * turn. However many items a flow has, it gets its share and no more. Pure; not thread-safe. */
#pragma once

#include "base/list.h"

struct deficit_flow {
    struct list_node node; /* in the round, as long as it has items */
    uint64_t saved;
    bool has_turn;
};

struct deficit {
    struct list round;
    uint64_t quantum;
};

/* What the flow's next item costs; 0: none of its items can go now, which is nobody's turn lost. */
typedef uint64_t deficit_cost_fn(struct deficit_flow *f, void *ctx);

/* It has items: it takes its turn after those that are there. */
void deficit_join(struct deficit *d, struct deficit_flow *f);
/* It has none left: what it saved is gone too. Nothing if it is in no round. */
void deficit_leave(struct deficit_flow *f);
/* Whose item goes next; NULL: nobody's can. The same one, until it spends or costs change. */
struct deficit_flow *deficit_next(struct deficit *d, deficit_cost_fn *cost, void *ctx);
/* Its item has gone. */
void deficit_spend(struct deficit_flow *f, uint64_t cost);
