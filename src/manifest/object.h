/* What all Kubernetes objects share: identity, marks, conditions. Every kind's struct begins with a
 * struct object and holds its decoded spec. Compile thread while loading; immutable afterwards. */
#pragma once

#include "tree/decode.h"

struct kind;

enum condition_status { CONDITION_FALSE, CONDITION_TRUE, CONDITION_UNKNOWN };

/* Gateway API / Envoy Gateway condition. */
struct condition {
    const char *type; /* "Accepted", "ResolvedRefs", "Programmed", "Conflicted" */
    enum condition_status status;
    const char *reason; /* "Accepted", "NoMatchingParent", "RefNotPermitted", ... */
    struct str message;
};

/* Conditions of one parent (a route's parentRef, a policy's ancestor) or of one listener. */
struct condition_set {
    struct str about; /* "Gateway/ns/name", "Gateway/ns/name/listener", listener name; empty: the
                         object itself */
    VEC(struct condition) items;
};

struct object {
    struct mark mark; /* of the document */
    const struct kind *kind;
    struct str api_version; /* as written */
    struct str name;
    struct str namespace; /* "default" when absent; empty for cluster-scoped kinds */
    struct str uid;
    int64_t creation_unix_s; /* 0 when absent */
    struct text_pair_vec labels;
    struct text_pair_vec annotations;
    struct str label;          /* "Kind/namespace/name" for diagnostics */
    const struct node *source; /* the whole document */
    bool is_broken;            /* has an error: isolated, its routes refuse with 500 */
    VEC(struct condition_set) conditions;
};

/* Sets (or replaces) a condition of `about` (empty: the object itself). `type` and `reason` are
 * static. */
void object_set_condition(struct object *o, struct arena *a, struct str about, const char *type,
                          enum condition_status status, const char *reason, const char *format, ...)
    PRINTF(7, 8);
/* The older first (one without a creation time is the youngest), then by namespace and name: who
 * comes first does not depend on the order of files. */
int object_compare_age(const struct object *a, const struct object *b);
/* NULL when not set. */
const struct condition *object_find_condition(const struct object *o, struct str about,
                                              const char *type);
