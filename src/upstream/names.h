/* Names of clusters, resolved on control's loop and kept fresh by their TTL. The last good answer
 * serves while the name servers are down. Control's thread. */
#pragma once

#include "net/resolver.h"
#include "upstream/cluster.h"

typedef void names_news_fn(void *ctx);

struct names {
    struct loop *loop;
    struct resolver resolver;
    struct cluster_registry *clusters;
    struct list entries; /* struct name_entry */
    names_news_fn *on_news;
    void *ctx;
};

/* 0 or negative. `on_news` is called when some cluster's endpoints changed. */
MUST_USE int names_init(struct names *n, struct loop *l, struct cluster_registry *clusters,
                        names_news_fn *on_news, void *ctx);
void names_deinit(struct names *n);
/* Starts resolving new clusters, forgets those that nothing routes to any more. */
void names_sweep(struct names *n);
