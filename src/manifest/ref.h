/* References between objects, as many kinds hold them: parents, backends, Secrets, local objects.
 * Decoding fills names and defaults; `target` stays NULL until link resolves it (and where the
 * object stands in no given file). Names borrow from the load's arena. Gateway API,
 * "BackendObjectReference", "SecretObjectReference", "ParentReference".
 *
 * A kind that adds fields to a reference embeds it as its first member and starts its table with
 * the matching *_FIELDS macro: `struct http_backend_ref { struct backend_ref ref; ... }` and
 * `BACKEND_REF_FIELDS(http_backend_ref, ref.), ...`. */
#pragma once

#include "manifest/object.h"

#define GROUP_CORE       STR("")
#define GROUP_GATEWAY    STR("gateway.networking.k8s.io")
#define GROUP_ENVOY      STR("gateway.envoyproxy.io")
#define GROUP_AI_GATEWAY STR("aigateway.envoyproxy.io")

/* What link found behind a reference. */
enum ref_state {
    REF_UNLINKED,      /* not looked at, or the object is of a kind that link does not resolve */
    REF_RESOLVED,      /* `target` points at the object */
    REF_NOT_GIVEN,     /* a core object that stands in no given file (a note): a Service resolves by
                          DNS, anything else is missing */
    REF_NOT_FOUND,     /* dangling: "BackendNotFound" and its kin */
    REF_NOT_PERMITTED, /* another namespace without a ReferenceGrant: "RefNotPermitted" */
    REF_INVALID_KIND,  /* "InvalidKind" */
};

/* An object of the same namespace. */
struct local_object_ref {
    struct mark mark;
    struct str group;
    struct str kind;
    struct str name;
    struct object *target;
    enum ref_state state;
};

/* A Secret, or another keeper of certificates and keys; kind defaults to Secret. */
struct secret_ref {
    struct mark mark;
    struct str group;
    struct str kind;
    struct str namespace; /* empty: that of the object that refers */
    struct str name;
    struct object *target;
    enum ref_state state;
};

/* A Gateway (default) or Service that a route attaches to. */
struct parent_ref {
    struct mark mark;
    struct str group;
    struct str kind;
    struct str namespace; /* empty: that of the route */
    struct str name;
    struct str section_name; /* listener; empty: all */
    struct opt_int port;
    struct object *target;
    enum ref_state state;
};

/* A Service (default), Backend or AIServiceBackend that takes traffic. */
struct backend_ref {
    struct mark mark;
    struct str group;
    struct str kind;
    struct str namespace; /* empty: that of the object that refers */
    struct str name;
    struct opt_int port;      /* required for a Service */
    struct opt_int weight;    /* default 1; is_set false where not given */
    struct opt_bool fallback; /* Envoy Gateway: only used when the others are unhealthy */
    struct object *target;
    enum ref_state state;
};

extern const struct table local_object_ref_table;
extern const struct table secret_ref_table;
extern const struct table parent_ref_table;
extern const struct table backend_ref_table;
extern const struct int_range port_range;   /* 1..65535 */
extern const struct int_range weight_range; /* 0..1000000 */

/* Weight as given, else 1. */
int64_t backend_ref_weight(const struct backend_ref *r);

/* For the `check` of a struct whose first member is a struct backend_ref: default group and kind,
 * port given where a Service is meant. */
void backend_ref_check(struct decoder *d, const struct node *node, void *object);

#define BACKEND_REF_FIELDS(type, at)                                                               \
    FIELD_STR(type, at group, "group", 0, "API group of the backend; empty for a Service."),       \
        FIELD_STR(type, at kind, "kind", 0, "Kind of the backend; Service unless given."),         \
        FIELD_STR(type, at name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,                         \
                  "Name of the backend."),                                                         \
        FIELD_STR(type, at namespace, "namespace", 0,                                              \
                  "Namespace of the backend; another one needs a ReferenceGrant."),                \
        FIELD_INT(type, at port, "port", 0, &port_range, "Port; required for a Service."),         \
        FIELD_INT(type, at weight, "weight", 0, &weight_range,                                     \
                  "Share of the traffic in proportion to the sum of weights; 1 unless given.")
