/* What another process, which this one has taken over from, holds of our backends: its places count
 * here until it gives them back or ends, and it is told whether it may take more. As long as it has
 * somebody who waits for a connection, one waiter of ours stands in for all of those at that
 * backend: it takes its turn among ours, and what it gets is granted to the other. Control's
 * thread. */
#pragma once

#include "net/loop.h"
#include "net/wake.h"
#include "upstream/cluster.h"

struct guest_backend;

/* False: it cannot be told now; guest_retry is due when it can. */
typedef bool guest_grant_fn(void *ctx, const struct place_grant *grant);

struct guest {
    struct cluster_registry *clusters;
    struct loop *loop;
    struct map backends; /* struct guest_backend by name */
    uint32_t n_endpoints;
    struct wake news;    /* some stand-in was told */
    struct timer forget; /* the other has ended: what is known of endpoints by it has its users */
    guest_grant_fn *on_grant;
    void *ctx;
};

void guest_init(struct guest *g, struct cluster_registry *clusters, struct loop *l);
/* Whatever it holds goes. Safe on zeroed memory. */
void guest_deinit(struct guest *g);
/* What the other has told; a backend that is none of ours is nobody's. What it gives back and was
 * not known to have is not given. */
void guest_apply(struct guest *g, const struct place_move *move);
/* What the other asks. True: the place is taken on its behalf, of a connection at
 * claim->endpoints[*ret_endpoint]. A backend that is none of ours has no bounds here. */
MUST_USE bool guest_judge(struct guest *g, const struct place_claim *claim, uint32_t *ret_endpoint);
/* The other hears again: who was granted a place in vain stands again. */
void guest_retry(struct guest *g);
/* The other has ended: its places are free, and nobody stands in for it any more. */
void guest_disown(struct guest *g);
/* The state of an endpoint that the other knows: here as long as that one is, and a while longer,
 * whether or not a name has led to its address yet. Borrowed. NULL: none of ours. */
struct endpoint_state *guest_endpoint_state(struct guest *g, struct str backend,
                                            struct str endpoint);
