/* The bounds that hold for the requests of one rule, in one place for all snapshots: their plans
 * refer to it, and it changes when a snapshot is adopted. So those who wait, or go on, go by what
 * holds for those who come, and not by what held when they came: by narrower bounds than others
 * they would wait for as long as those keep all places in use. Any thread, but for `adopt`. */
#pragma once

#include "base/str.h"
#include "upstream/breaker/breaker.h"

struct cluster_registry;

/* Shared by plans. Its life is the registry's lock's. */
struct bounds {
    struct breaker_limits now;
    uint32_t n_refs;
    struct cluster_registry *registry;
    struct str key; /* owned */
};

/* What a snapshot asks for. */
struct bounds_wish {
    struct bounds *bounds; /* one reference */
    struct breaker_limits limits;
};

/* That of the key with one more reference, made with `first` if there is none. */
struct bounds *bounds_get(struct cluster_registry *r, struct str key,
                          const struct breaker_limits *first);
/* That of the key with one more reference; NULL: no plan has it. */
struct bounds *bounds_find(struct cluster_registry *r, struct str key);
struct bounds *bounds_ref(struct bounds *b);
void bounds_unref(struct bounds *b);
/* Control, before requests come that the snapshot is for: from now on they hold, and whoever waits
 * is looked at again. */
void bounds_adopt(struct cluster_registry *r, const struct bounds_wish *wishes, uint32_t n);
