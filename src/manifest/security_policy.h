/* SecurityPolicy (gateway.envoyproxy.io/v1alpha1): CORS, authentication and authorization of a
 * Gateway, a listener, a route or a rule. Immutable after load. */
#pragma once

#include "manifest/part/authentication.h"
#include "manifest/part/policy_target.h"
#include "manifest/part/rate_limit.h" /* struct path_condition */

struct cors_spec {
    struct mark mark;
    struct str_vec allow_origins; /* an origin, one with "*." before the host, or "*" */
    struct str_vec allow_methods;
    struct str_vec allow_headers;
    struct str_vec expose_headers;
    struct opt_duration max_age;
    struct opt_bool allow_credentials;
};

enum rule_action { RULE_ALLOW, RULE_DENY };
enum claim_value_type { CLAIM_STRING, CLAIM_STRING_ARRAY };
struct claim_condition {
    struct mark mark;
    struct str name; /* nested by dots */
    int value_type;  /* enum claim_value_type; default String */
    struct str_vec values;
};
/* All claims and all scopes must hold; one of a claim's values suffices. */
struct jwt_principal {
    struct mark mark;
    struct str provider;
    VEC(struct claim_condition) claims;
    struct str_vec scopes;
};
struct principal_header {
    struct mark mark;
    struct str name;
    struct str_vec values;
};
/* All parts must hold. */
struct rule_principal {
    struct mark mark;
    struct str_vec client_cidrs;
    struct jwt_principal *jwt;
    VEC(struct principal_header) headers;
    bool has_unsupported; /* clientIPGeoLocations is given */
};
struct rule_operation {
    struct mark mark;
    struct str_vec methods;
    struct path_condition *path;
};
struct authorization_rule {
    struct mark mark;
    struct str name;
    int action; /* enum rule_action */
    struct rule_operation *operation;
    struct rule_principal *principal;
    struct marked_text cel; /* not supported */
};
struct authorization_spec {
    struct mark mark;
    int default_action; /* enum rule_action; -1: Deny */
    VEC(struct authorization_rule) rules;
};

struct security_policy_spec {
    struct policy_targets targets;
    int merge_type; /* enum merge_type; -1: not given */
    struct cors_spec *cors;
    struct jwt_spec *jwt;
    struct api_key_auth *api_key_auth;
    struct basic_auth *basic_auth;
    struct ext_auth *ext_auth;
    struct authorization_spec *authorization;
    bool has_oidc; /* given, and not supported */
    bool has_csrf;
};
struct security_policy {
    struct object object;
    struct security_policy_spec spec;
};
extern const struct table security_policy_spec_table;

/* The path (under spec) of the first security feature given here that is not enforced yet, NULL
 * when all are: the policy's routes refuse (500) instead of passing. */
const char *security_policy_find_unenforced(const struct security_policy_spec *s);
