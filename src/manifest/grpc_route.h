/* GRPCRoute (gateway.networking.k8s.io): matches by gRPC service and method. Filters and backends
 * have the shape of an HTTPRoute's. Immutable after link. */
#pragma once

#include "manifest/http_route.h"

struct grpc_method_match {
    struct mark mark;
    int type;           /* enum value_match_type; after the check never -1 */
    struct str service; /* at least one of the two is given */
    struct str method;
};
struct grpc_route_match {
    struct mark mark;
    struct grpc_method_match *method; /* NULL: any */
    VEC(struct http_value_match) headers;
};
struct grpc_route_rule {
    struct mark mark;
    struct str name;
    VEC(struct grpc_route_match) matches;
    struct http_filter_vec filters; /* header modifiers, mirror, extension */
    VEC(struct http_backend_ref) backend_refs;
};
struct grpc_route_spec {
    struct mark mark;
    VEC(struct parent_ref) parent_refs;
    struct str_vec hostnames;
    VEC(struct grpc_route_rule) rules;
};
struct grpc_route {
    struct object object;
    struct grpc_route_spec spec;
};
extern const struct table grpc_route_spec_table;
