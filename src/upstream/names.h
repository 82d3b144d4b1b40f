/* Names of clusters, resolved on control's loop and kept fresh by their TTL. The last good answer
 * serves while the name servers fail, whatever their failure is called, for LIMIT_NAME_STALE_S (RFC
 * 8767 does so for caches): a backend that has left does not answer, and that is seen soon enough;
 * a name server that errs must not take away one that has not. Control's thread. */
#pragma once

#include "base/random.h"
#include "net/resolver.h"
#include "upstream/cluster.h"

typedef void names_news_fn(void *ctx);

struct names {
    struct loop *loop;
    struct resolver resolver;
    struct cluster_registry *clusters;
    struct list entries;  /* struct name_entry */
    struct list memories; /* struct name_memory */
    size_t n_remembered;  /* addresses in them */
    struct random random;
    uint64_t stale_us;             /* LIMIT_NAME_STALE_S */
    struct metrics_shard *metrics; /* of control */
    names_news_fn *on_news;
    void *ctx;
};

/* 0 or negative. `on_news` is called when some cluster's endpoints changed. */
MUST_USE int names_init(struct names *n, struct loop *l, struct cluster_registry *clusters,
                        struct metrics_shard *metrics, names_news_fn *on_news, void *ctx);
void names_deinit(struct names *n);
/* Starts resolving new clusters, forgets those that nothing routes to any more. */
void names_sweep(struct names *n);

/* A good answer, as one process tells it to another. Borrowed. */
struct name_answer {
    struct str host;
    uint64_t age_us;
    struct resolve_address *addresses;
    size_t n_addresses; /* at most LIMIT_NAME_ADDRESSES */
};
typedef void name_answer_fn(void *ctx, const struct name_answer *answer);

/* All that serve. */
void names_export(struct names *n, name_answer_fn *fn, void *ctx);
/* Serves clusters that are new at the next sweep, until there is an answer of their own. */
void names_import(struct names *n, const struct name_answer *answer);
