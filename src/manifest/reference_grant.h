/* ReferenceGrant (gateway.networking.k8s.io): who in another namespace may refer to objects of this
 * one. Immutable after load. */
#pragma once

#include "manifest/ref.h"

struct grant_from {
    struct mark mark;
    struct str group;
    struct str kind;
    struct str namespace;
};
struct grant_to {
    struct mark mark;
    struct str group;
    struct str kind;
    struct str name; /* empty: any */
};
struct reference_grant_spec {
    struct mark mark;
    VEC(struct grant_from) from;
    VEC(struct grant_to) to;
};
struct reference_grant {
    struct object object;
    struct reference_grant_spec spec;
};
extern const struct table reference_grant_spec_table;
