/* The answers that a policy puts in the place of others (BackendTrafficPolicy `responseOverride`).
 * Immutable, in the route's arena. */
#pragma once

#include "policy/answer/answer_match.h"

struct direct_plan;
struct redirect;

struct override_item {
    struct answer_match match;
    bool is_for_local;                /* answers that are made here */
    bool is_for_backends;             /* those of backends */
    const struct direct_plan *direct; /* its status 0: that of the answer it replaces */
    const struct redirect *redirect;  /* where `direct` is NULL */
};

/* The first that matches is the one. */
struct override_plan {
    const struct override_item *items;
    size_t n;
};
