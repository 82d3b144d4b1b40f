/* Compiling manifests for what it finds, on behalf of a command that serves nothing: no port is
 * opened, nothing connected, no loop turned. */
#pragma once

#include "app/options.h"
#include "gateway/snapshot.h"
#include "policy/limit_memory.h"

struct dry_compile {
    struct cluster_registry clusters;
    struct key_feed_registry feeds;
    struct limit_memory limits;
    struct loop loop;
    struct upstreams upstreams;
    struct outbox_pool outboxes;
    struct snapshot *snapshot; /* owns the manifest; NULL: the caller still does */
};

/* `d` zeroed. Findings and conditions stand in `m` afterwards. 0 or negative. */
MUST_USE int dry_compile_run(struct dry_compile *d, const struct options *o, struct manifest *m);
/* With the snapshot and its manifest, where there is one. */
void dry_compile_deinit(struct dry_compile *d);
