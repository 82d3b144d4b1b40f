/* What a policy is attached to: `targetRefs` (and the older single `targetRef`) by name,
 * `targetSelectors` by label. Gateway API GEP-713, "LocalPolicyTargetReferenceWithSectionName";
 * Envoy Gateway "PolicyTargetReferences". A policy's spec embeds struct policy_targets as its first
 * member. `target` is filled by link. */
#pragma once

#include "manifest/common.h"

struct policy_target {
    struct mark mark;
    struct str group;
    struct str kind;
    struct str name;
    struct str section_name; /* a listener, or a route rule; empty: the whole object */
    struct object *target;
};
extern const struct table policy_target_table;

struct label_requirement {
    struct mark mark;
    struct str key;
    int op; /* enum label_operator */
    struct str_vec values;
};
enum label_operator { LABEL_IN, LABEL_NOT_IN, LABEL_EXISTS, LABEL_DOES_NOT_EXIST };
extern const struct table label_requirement_table;

struct label_selector {
    struct mark mark;
    struct text_pair_vec match_labels;
    VEC(struct label_requirement) match_expressions;
};
extern const struct table label_selector_table;

enum target_namespaces_from {
    TARGET_NAMESPACES_SAME,
    TARGET_NAMESPACES_ALL,
    TARGET_NAMESPACES_SELECTOR
};
struct target_namespaces {
    struct mark mark;
    int from; /* enum target_namespaces_from */
    struct label_selector *selector;
};

struct target_selector {
    struct label_selector labels; /* matchLabels, matchExpressions */
    struct str group;
    struct str kind;
    struct target_namespaces *namespaces; /* NULL: the policy's own */
};
extern const struct table target_selector_table;

/* After the check, the older `targetRef` stands in refs and `single` is NULL. */
struct policy_targets {
    struct mark mark;
    struct policy_target *single;
    VEC(struct policy_target) refs;
    VEC(struct target_selector) selectors;
};

/* What a policy kind accepts as target; `kinds` ends with NULL. */
struct target_rule {
    struct str group;
    const char *const *kinds;
};

/* For a policy's check: folds `targetRef` into refs; at least one target; group and kind as `rules`
 * (`n_rules` of them) allow, with the sentence of what is allowed. */
void policy_targets_check(struct decoder *d, const struct node *node, struct policy_targets *t,
                          const struct target_rule *rules, size_t n_rules);

/* Whether a set of labels (an object's metadata.labels) satisfies the selector. An empty selector
 * selects everything. */
bool label_selector_matches(const struct label_selector *s, const struct text_pair_vec *labels);

enum merge_type { MERGE_STRATEGIC, MERGE_JSON, MERGE_REPLACE };
extern const char *const merge_type_names[];
/* mergeType may be given only where every target is a route, and is never Replace in a policy. */
void policy_merge_check(struct decoder *d, const struct node *node, const struct policy_targets *t,
                        int merge_type);

#define POLICY_TARGET_FIELDS(type, at)                                                             \
    FIELD_OBJECT(type, at single, "targetRef", FIELD_DEPRECATED, policy_target,                    \
                 "The one object that this policy applies to; older form of targetRefs."),         \
        FIELD_LIST(type, at refs, "targetRefs", 0, policy_target,                                  \
                   "Objects that this policy applies to, in its own namespace."),                  \
        FIELD_LIST(type, at selectors, "targetSelectors", 0, target_selector,                      \
                   "Objects that this policy applies to, by label.")
