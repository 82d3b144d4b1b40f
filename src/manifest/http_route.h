/* HTTPRoute (gateway.networking.k8s.io): matches, filters and backends. Immutable after link; what
 * link found stands in the references (state, target) and in the listeners of gateway.h. */
#pragma once

#include "manifest/http_filter.h"

enum path_match_type { PATH_EXACT, PATH_PREFIX, PATH_REGEX };
struct http_path_match {
    struct mark mark;
    int type; /* enum path_match_type; after the check never -1 */
    struct str value;
};
enum value_match_type { VALUE_EXACT, VALUE_REGEX };
/* A header or a query parameter. */
struct http_value_match {
    struct mark mark;
    int type; /* enum value_match_type; after the check never -1 */
    struct str name;
    struct str value;
};
struct http_route_match {
    struct mark mark;
    struct http_path_match *path; /* NULL: prefix "/" */
    VEC(struct http_value_match) headers;
    VEC(struct http_value_match) query_params;
    int method; /* index of http_method_names; -1: any */
};

struct http_backend_ref {
    struct backend_ref ref;
    struct http_filter_vec filters;
};
struct http_route_timeouts {
    struct mark mark;
    struct opt_duration request; /* 0: none */
    struct opt_duration backend_request;
};
struct http_route_retry {
    struct mark mark;
    struct int_vec codes;
    struct opt_int attempts;
    struct opt_duration backoff;
};
struct http_route_rule {
    struct mark mark;
    struct str name;
    VEC(struct http_route_match) matches; /* none: prefix "/" */
    struct http_filter_vec filters;
    VEC(struct http_backend_ref) backend_refs;
    struct http_route_timeouts *timeouts;
    struct http_route_retry *retry;
};
struct http_route_spec {
    struct mark mark;
    VEC(struct parent_ref) parent_refs;
    struct str_vec hostnames;
    VEC(struct http_route_rule) rules; /* none given: one rule that matches everything */
};
struct http_route {
    struct object object;
    struct http_route_spec spec;
};
extern const struct table http_route_spec_table;
extern const struct table http_backend_ref_table;
extern const struct table http_value_match_table;
