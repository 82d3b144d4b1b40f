/* What a chain of policies (manifest_policy_chain) amounts to: without mergeType the most specific
 * policy holds as a whole; with it, the policy is laid over its parent, field by field where it
 * gives one. Lists are replaced, but for the few with a merge key (compressor and httpUpgrade by
 * type, contextExtensions by name; not with JSONMerge). A field given as null takes the parent's
 * away. Envoy Gateway, "MergeType". Compile thread; after link, so that references keep their
 * targets. */
#pragma once

#include "manifest/manifest.h"

struct merged_policy {
    const void *spec;      /* struct X_spec of the chain's kind; NULL: no policy */
    struct object *object; /* the most specific one, for names and messages */
    size_t n_policies;     /* of the chain, how many took part */
    bool is_broken; /* one of them has an error; spec is then the first alone, not to be used */
};

/* For SecurityPolicy and BackendTrafficPolicy. What is merged lives in `a`; what is not is shared
 * with the objects. */
struct merged_policy policy_merge(struct arena *a, const struct policy_chain *chain);
/* Do both chains amount to the same, because the same policies take part? */
bool policy_chain_is_same(const struct policy_chain *a, const struct policy_chain *b);
