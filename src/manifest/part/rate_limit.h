/* Request and token limits of a BackendTrafficPolicy: whom a rule meets (selectors), how much it
 * allows (limit) and what one request takes (cost). Immutable after load; windows and counters are
 * the policy level's. Source: Envoy Gateway API, "RateLimitSpec". */
#pragma once

#include "manifest/common.h"

enum limit_match_type { LIMIT_EXACT, LIMIT_REGEX, LIMIT_DISTINCT };
/* A header or query parameter. */
struct rate_limit_item {
    struct mark mark;
    int type; /* enum limit_match_type; default Exact */
    struct str name;
    struct str value; /* not for Distinct */
    struct opt_bool invert;
};
struct rate_limit_method {
    struct mark mark;
    int value; /* index of http_method_names */
    struct opt_bool invert;
};
enum path_condition_type { PATH_CONDITION_EXACT, PATH_CONDITION_PREFIX, PATH_CONDITION_REGEX };
/* Also the path of an authorization rule. */
struct path_condition {
    struct mark mark;
    int type; /* enum path_condition_type; default PathPrefix */
    struct str value;
    struct opt_bool invert;
};
extern const struct table path_condition_table;

enum cidr_match_type { CIDR_EXACT, CIDR_DISTINCT };
struct rate_limit_cidr {
    struct mark mark;
    int type; /* enum cidr_match_type; default Exact */
    struct str value;
    struct opt_bool invert;
};
/* All parts of one selector must hold. */
struct rate_limit_selector {
    struct mark mark;
    VEC(struct rate_limit_item) headers;
    VEC(struct rate_limit_item) query_params;
    VEC(struct rate_limit_method) methods;
    struct path_condition *path;
    struct rate_limit_cidr *source_cidr;
};

struct metadata_key {
    struct mark mark;
    struct str namespace;
    struct str key;
};
enum limit_unit {
    LIMIT_SECOND,
    LIMIT_MINUTE,
    LIMIT_HOUR,
    LIMIT_DAY,
    LIMIT_WEEK,
    LIMIT_MONTH,
    LIMIT_YEAR
};
struct rate_limit_value {
    struct mark mark;
    struct opt_int requests;
    int unit; /* enum limit_unit */
};
enum cost_source { COST_NUMBER, COST_METADATA };
struct rate_limit_cost_part {
    struct mark mark;
    int from; /* enum cost_source */
    struct opt_int number;
    struct metadata_key *metadata;
};
struct rate_limit_cost {
    struct mark mark;
    struct rate_limit_cost_part *request;  /* NULL: 1 */
    struct rate_limit_cost_part *response; /* NULL: nothing */
};
enum limit_headers { LIMIT_HEADERS_OFF, LIMIT_HEADERS_DRAFT_03 };
struct rate_limit_rule {
    struct mark mark;
    VEC(struct rate_limit_selector) client_selectors; /* all of these; none: every request */
    struct rate_limit_value *limit;
    struct rate_limit_cost *cost;
    struct opt_bool shared;
    struct opt_bool shadow_mode;
    int rate_limit_headers; /* enum limit_headers; -1: not given */
};
struct rate_limit_rules {
    struct mark mark;
    VEC(struct rate_limit_rule) rules;
};
enum rate_limit_type { RATE_LIMIT_GLOBAL, RATE_LIMIT_LOCAL };
struct rate_limit_spec {
    struct mark mark;
    int type; /* older form; -1: not given, both parts may stand */
    struct rate_limit_rules *global;
    struct rate_limit_rules *local;
};
extern const struct table rate_limit_spec_table;
