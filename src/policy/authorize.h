/* Authorization of one route (Envoy Gateway SecurityPolicy.authorization): rules in order, the
 * first that matches decides, default Deny. All parts given in one rule must hold. Compiled once,
 * immutable; deciding is pure and allocates nothing. */
#pragma once

#include "auth/jwt.h"
#include "policy/cidr.h"
#include "policy/field_value.h"
#include "policy/route_match.h"

/* A claim (nested by dots) or a header with the values of which one must be there. */
struct authorize_values {
    struct str name; /* headers: any case */
    const struct str *values;
    size_t n_values;
    bool is_array; /* claims: valueType StringArray */
};

/* One rule as configured. Counts of 0 mean "not given". */
struct authorize_rule_spec {
    struct str name;
    bool is_allow;
    bool has_jwt;
    struct str provider; /* with has_jwt */
    const struct authorize_values *claims;
    size_t n_claims;
    const struct str *scopes;
    size_t n_scopes;
    const struct str *cidrs;
    size_t n_cidrs;
    const struct authorize_values *headers;
    size_t n_headers;
    const struct str *methods;
    size_t n_methods;
    bool has_path;
    bool is_path_inverted; /* every path but these */
    unsigned path_reading; /* of requests: enum path_reading, as flags */
    enum route_path_kind path_kind;
    struct str path;
};

struct authorize_rule {
    struct str name; /* for logs; empty: unnamed */
    uint32_t index;
    bool is_allow;
    bool has_jwt;
    bool has_cidrs;
    bool has_path;
    bool is_path_inverted;
    struct str provider;
    const struct authorize_values *claims;
    uint32_t n_claims;
    uint32_t n_scopes;
    const struct str *scopes;
    struct cidr_list cidrs;
    const struct authorize_values *headers; /* names lower-case */
    const struct field_name *header_names;
    uint32_t n_headers;
    uint32_t n_methods;
    const struct str *methods;
    enum route_path_kind path_kind;
    struct str path; /* a prefix without its trailing slash */
    const struct regex *path_regex;
};

struct authorization {
    const struct authorize_rule *rules;
    uint32_t n_rules;
    bool is_default_allow;
};

struct authorize_input {
    const struct http_request *request; /* headers with the late ones written */
    const struct ip_address *client;
    struct str provider;             /* that verified the token */
    const struct jwt_claims *claims; /* NULL: no token */
};

enum authorize_verdict {
    AUTHORIZE_DENY,
    AUTHORIZE_ALLOW,
    AUTHORIZE_LIMIT, /* a regular expression reached its limit: refuse (500) */
};

struct authorize_result {
    enum authorize_verdict verdict;
    const struct authorize_rule *rule; /* NULL: the default action */
};
/* The first part of a rule that does not hold, in the order in which they are asked. */
enum authorize_part {
    AUTHORIZE_PART_NONE, /* all hold: the rule matches */
    AUTHORIZE_PART_METHOD,
    AUTHORIZE_PART_ADDRESS,
    AUTHORIZE_PART_HEADER, /* `index` of the rule's, here and below */
    AUTHORIZE_PART_TOKEN,  /* there is none of its provider */
    AUTHORIZE_PART_CLAIM,
    AUTHORIZE_PART_SCOPE,
    AUTHORIZE_PART_PATH,
    AUTHORIZE_PART_LIMIT, /* a pattern reached its limit */
};
struct authorize_miss {
    enum authorize_part part;
    uint32_t index;
};
/* Conditions of authorization_init. */
enum authorize_condition {
    AUTHORIZE_BAD_CIDR = 1,
    AUTHORIZE_BAD_REGEX = 2,
    AUTHORIZE_BAD_PATH,   /* no request has it */
    AUTHORIZE_EMPTY_RULE, /* neither principal nor operation: would match everything */
};

/* Copies into `arena`. On a condition `*ret_bad` is the index of the rule. */
MUST_USE int authorization_init(struct authorization *a, struct arena *arena,
                                const struct authorize_rule_spec *rules, size_t n_rules,
                                bool is_default_allow, size_t *ret_bad);
struct authorize_miss authorize_rule_miss(const struct authorize_rule *r,
                                          const struct authorize_input *in);
struct authorize_result authorization_decide(const struct authorization *a,
                                             const struct authorize_input *input);
