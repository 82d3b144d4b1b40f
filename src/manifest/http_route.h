/* HTTPRoute (gateway.networking.k8s.io): matches, filters and backends. Immutable after link; what
 * link found stands in the references (state, target) and in the listeners of gateway.h. */
#pragma once

#include "manifest/common.h"
#include "manifest/ref.h"

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

/* Remove, then set, then add. */
struct header_modifier {
    struct mark mark;
    VEC(struct header_value) set;
    VEC(struct header_value) add;
    struct str_vec remove;
};
enum path_modifier_type { PATH_REPLACE_FULL, PATH_REPLACE_PREFIX };
struct path_modifier {
    struct mark mark;
    int type; /* enum path_modifier_type */
    struct str replace_full_path;
    struct str replace_prefix_match;
};
struct request_redirect {
    struct mark mark;
    int scheme; /* 0 http, 1 https; -1: unchanged */
    struct str hostname;
    struct path_modifier *path;
    struct opt_int port;
    struct opt_int status_code; /* default 302 */
};
struct url_rewrite {
    struct mark mark;
    struct str hostname;
    struct path_modifier *path;
};
struct request_mirror {
    struct mark mark;
    struct backend_ref *backend_ref;
    struct opt_int percent;
    struct fraction *fraction;
};
struct http_cors {
    struct mark mark;
    struct str_vec allow_origins;
    struct str_vec allow_methods;
    struct str_vec allow_headers;
    struct str_vec expose_headers;
    struct opt_bool allow_credentials;
    struct opt_int max_age_s; /* default 5 */
};

enum http_filter_type {
    HTTP_FILTER_REQUEST_HEADER_MODIFIER,
    HTTP_FILTER_RESPONSE_HEADER_MODIFIER,
    HTTP_FILTER_REQUEST_MIRROR,
    HTTP_FILTER_REQUEST_REDIRECT,
    HTTP_FILTER_URL_REWRITE,
    HTTP_FILTER_EXTENSION_REF,
    HTTP_FILTER_CORS,
    HTTP_FILTER_EXTERNAL_AUTH, /* not supported: its rules refuse */
};
struct http_filter {
    struct mark mark;
    int type; /* enum http_filter_type; exactly the member of this type is given */
    struct header_modifier *request_header_modifier;
    struct header_modifier *response_header_modifier;
    struct request_mirror *request_mirror;
    struct request_redirect *request_redirect;
    struct url_rewrite *url_rewrite;
    struct local_object_ref *extension_ref; /* HTTPRouteFilter */
    struct http_cors *cors;
    const struct node *external_auth;
};

struct http_backend_ref {
    struct backend_ref ref;
    VEC(struct http_filter) filters;
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
    VEC(struct http_filter) filters;
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
extern const struct table http_filter_table;
