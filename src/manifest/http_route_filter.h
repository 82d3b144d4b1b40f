/* HTTPRouteFilter (gateway.envoyproxy.io/v1alpha1): what an HTTPRoute rule's ExtensionRef filter
 * does: rewrite by pattern or header, answer directly, inject a credential. Immutable after load.
 */
#pragma once

#include "manifest/common.h"

struct regex_rewrite {
    struct mark mark;
    struct str pattern;
    struct str substitution; /* \1..\9 are groups of the pattern */
};
enum filter_host_type { FILTER_HOST_HEADER, FILTER_HOST_BACKEND, FILTER_HOST_PATH_REGEX };
struct filter_host_rewrite {
    struct mark mark;
    int type; /* enum filter_host_type */
    struct str header;
    struct regex_rewrite *path_regex;
};
struct filter_path_rewrite {
    struct mark mark;
    int type; /* 0: ReplaceRegexMatch */
    struct regex_rewrite *replace_regex_match;
};
struct filter_url_rewrite {
    struct mark mark;
    struct filter_host_rewrite *hostname;
    struct filter_path_rewrite *path;
    struct opt_bool append_forwarded_host;
};
struct injected_credential {
    struct mark mark;
    struct secret_ref *value_ref; /* Secret, key credential */
};
struct credential_injection {
    struct mark mark;
    struct str header; /* default authorization */
    struct opt_bool overwrite;
    struct injected_credential *credential;
};
struct cookie_match {
    struct mark mark;
    int type; /* 0 Exact (default), 1 RegularExpression */
    struct str name;
    struct str value;
};
struct filter_match {
    struct mark mark;
    VEC(struct cookie_match) cookies;
};

struct http_route_filter_spec {
    struct mark mark;
    struct filter_url_rewrite *url_rewrite;
    struct custom_response *direct_response;
    struct credential_injection *credential_injection;
    VEC(struct filter_match) matches; /* further conditions of the rule that uses the filter */
};
struct http_route_filter {
    struct object object;
    struct http_route_filter_spec spec;
};
extern const struct table http_route_filter_spec_table;

/* The key of the first part given here whose absence would let more through than asked (matches),
 * not enforced yet; NULL when none: the rules that use the filter refuse. */
const char *http_route_filter_find_unenforced(const struct http_route_filter_spec *s);
