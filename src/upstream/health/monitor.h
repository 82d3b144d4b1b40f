/* Who watches the health of backends: one monitor for each backend that a policy asks it of, which
 * is the only one that probes it, whatever the number of workers, rules and clusters; and a target
 * for each of its endpoints. What they find is in the states of backend and endpoint, where workers
 * read it. Control's thread. */
#pragma once

#include "upstream/health/outlier.h"
#include "upstream/health/probe.h"
#include "upstream/health/probe_tally.h"

struct health_target {
    struct health_monitor *monitor;
    struct cluster *cluster;   /* an observing reference: how it is spoken to */
    struct endpoint_set *set;  /* one reference: keeps `endpoint` */
    struct endpoint *endpoint; /* in `set` */
    bool is_wanted;            /* some cluster in use has it */
    struct probe_tally tally;
    struct outlier_share share; /* of the last interval */
    struct probe probe;
    struct timer timer; /* the next probe */
    struct deferred retire;
    struct list_node node;
};

struct health_monitor {
    struct health_registry *registry;
    struct backend_state *backend; /* one reference */
    struct cluster *cluster;       /* an observing reference: one of the current snapshot's */
    struct arena arena;            /* of `plan` */
    struct health_plan plan;
    bool is_wanted; /* the current snapshot asks for it */
    struct list targets;
    struct timer sweep; /* ejected endpoints that may come back */
    uint64_t n_probes[PROBE_RESULT_COUNT];
    struct list_node node;
};

/* An endpoint's probes have turned its health. `why`: the word of the last result. */
typedef void health_news_fn(void *ctx, const struct health_target *t, const char *why);

struct health_registry {
    struct cluster_registry *clusters;
    struct upstreams upstreams; /* of probes alone: no breaker of requests counts them */
    struct random random;
    struct list monitors;
    health_news_fn *on_news;
    void *ctx;
};

/* What a snapshot asks for. */
struct health_wish {
    struct cluster *cluster; /* which the snapshot holds: whose backend, and how it is spoken to */
    const struct health_plan *plan;
};

/* `scratch` and `outboxes` stay the caller's. */
void health_registry_init(struct health_registry *r, struct loop *l,
                          struct cluster_registry *clusters, struct outbox_pool *outboxes,
                          char *scratch, size_t scratch_bytes);
void health_registry_deinit(struct health_registry *r);
/* From now on these, one for a backend, and no others; what is known of endpoints stays. */
void health_registry_adopt(struct health_registry *r, const struct health_wish *wishes, size_t n);
/* Clusters or their endpoints have changed. */
void health_registry_refresh(struct health_registry *r);
bool health_target_is_well(const struct health_target *t);
/* "healthy", "unhealthy", "ejected", or "unknown" before the first probe has ended. */
const char *health_target_text(const struct health_target *t);
