/* Filters of HTTPRoute and GRPCRoute rules and of their backends (gateway.networking.k8s.io,
 * "HTTPRouteFilter"; not to be confused with Envoy Gateway's kind of that name). Immutable after
 * link. */
#pragma once

#include "manifest/common.h"
#include "manifest/ref.h"

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

extern const struct table http_filter_table;

/* For the check of a rule or backend: filters that may not be repeated or combined. `node` is the
 * one that holds `filters`. */
struct http_filter_vec {
    struct http_filter *items;
    size_t n;
    size_t cap;
};
void http_filters_check(struct decoder *d, const struct node *node,
                        const struct http_filter_vec *filters);
