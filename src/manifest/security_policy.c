/* Decoding of SecurityPolicy: CORS, authorization, and what authentication.c decodes.
 *
 * Owner: the load's arena. Thread: compile thread. An error in any of this makes the object broken,
 * and a broken security policy refuses; so does one with a feature that is not enforced yet
 * (security_policy_find_unenforced), which the compile pass asks. */
#include "manifest/security_policy.h"

/* A scheme, "://" and a host with no path behind it. */
static bool origin_is_valid(struct str s)
{
    ssize_t at = str_find(s, STR("://"));

    if (str_eq(s, STR("*")))
        return true;
    return at > 0 && (size_t)at + 3 < s.len &&
           str_find_char(str_slice(s, (size_t)at + 3, s.len), '/', 0) < 0;
}

static void cors_spec_check(struct decoder *d, const struct node *node, void *object)
{
    const struct cors_spec *c = object;

    for (size_t i = 0; i < c->allow_origins.n; i++) {
        if (!origin_is_valid(c->allow_origins.items[i]))
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, "allowOrigins"), "allowOrigins",
                         "expected an origin such as \"https://*.example.com\", found \"%.*s\"",
                         STR_ARG(c->allow_origins.items[i]));
    }
}

static const struct field cors_spec_fields[] = {
    FIELD_STRS(cors_spec, allow_origins, "allowOrigins", 0,
               "Origins whose pages may call: scheme, host (\"*.\" before it for any), port."),
    FIELD_STRS(cors_spec, allow_methods, "allowMethods", 0, "Methods that pages may use."),
    FIELD_STRS(cors_spec, allow_headers, "allowHeaders", 0, "Request headers that pages may set."),
    FIELD_STRS(cors_spec, expose_headers, "exposeHeaders", 0,
               "Response headers that pages may read."),
    FIELD_DURATION(cors_spec, max_age, "maxAge", 0, "Time for which a preflight is remembered."),
    FIELD_BOOL(cors_spec, allow_credentials, "allowCredentials", 0,
               "Whether pages may send cookies and credentials."),
};
static const struct table cors_spec_table = TABLE_CHECKED(cors_spec, cors_spec_check);

static const char *const claim_type_names[] = {"String", "StringArray", NULL};

static void claim_condition_check(struct decoder *d, const struct node *node, void *object)
{
    struct claim_condition *c = object;

    if (c->value_type < 0)
        c->value_type = CLAIM_STRING;
    check_max_items(d, node, "values", 128);
}

static const struct field claim_condition_fields[] = {
    FIELD_STR(claim_condition, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Claim; nested ones by dots."),
    FIELD_ENUM(claim_condition, value_type, "valueType", 0, claim_type_names,
               "Whether the claim is text (String, default) or a list of texts."),
    FIELD_STRS(claim_condition, values, "values", FIELD_REQUIRED | FIELD_NON_EMPTY,
               "Values, any of these."),
};
static const struct table claim_condition_table =
    TABLE_CHECKED(claim_condition, claim_condition_check);

static void jwt_principal_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"claims", "scopes", NULL};

    (void)object;
    check_at_least_one(d, node, keys);
    check_max_items(d, node, "claims", 16);
    check_max_items(d, node, "scopes", 16);
}

static const struct field jwt_principal_fields[] = {
    FIELD_STR(jwt_principal, provider, "provider", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Provider, of this policy's jwt, that verified the token."),
    FIELD_LIST(jwt_principal, claims, "claims", FIELD_NON_EMPTY, claim_condition,
               "Claims, all of them."),
    FIELD_STRS(jwt_principal, scopes, "scopes", FIELD_NON_EMPTY,
               "Scopes that the token must have, all of them."),
};
static const struct table jwt_principal_table = TABLE_CHECKED(jwt_principal, jwt_principal_check);

static void principal_header_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "values", 256);
}

static const struct field principal_header_fields[] = {
    FIELD_OTHER(principal_header, name, "name", FIELD_REQUIRED, decode_header_name, NULL,
                "Header, as authentication leaves it."),
    FIELD_STRS(principal_header, values, "values", FIELD_REQUIRED | FIELD_NON_EMPTY,
               "Values, any of these."),
};
static const struct table principal_header_table =
    TABLE_CHECKED(principal_header, principal_header_check);

static void rule_principal_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"clientCIDRs", "jwt", "headers", "clientIPGeoLocations",
                                       NULL};
    struct rule_principal *p = object;

    check_at_least_one(d, node, keys);
    check_max_items(d, node, "headers", 256);
    p->has_unsupported = !node_is_null(node_find(node, "clientIPGeoLocations"));
}

static const struct field rule_principal_fields[] = {
    FIELD_OTHER(rule_principal, client_cidrs, "clientCIDRs", FIELD_NON_EMPTY, decode_cidr_list,
                NULL, "Ranges of client addresses, any of these."),
    FIELD_OBJECT(rule_principal, jwt, "jwt", 0, jwt_principal, "What the token must say."),
    FIELD_LIST(rule_principal, headers, "headers", FIELD_NON_EMPTY, principal_header,
               "Headers, all of them."),
    FIELD_UNSUPPORTED("clientIPGeoLocations", "Location of the client's address."),
};
static const struct table rule_principal_table =
    TABLE_CHECKED(rule_principal, rule_principal_check);

static void rule_operation_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"methods", "path", NULL};

    (void)object;
    check_at_least_one(d, node, keys);
}

static const struct field rule_operation_fields[] = {
    FIELD_OTHER(rule_operation, methods, "methods", FIELD_NON_EMPTY, decode_word_list,
                http_method_names, "Methods, any of these."),
    FIELD_OBJECT(rule_operation, path, "path", 0, path_condition, "Path."),
};
static const struct table rule_operation_table =
    TABLE_CHECKED(rule_operation, rule_operation_check);

static const char *const rule_action_names[] = {"Allow", "Deny", NULL};

static void authorization_rule_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"principal", "cel", NULL};

    (void)object;
    check_at_least_one(d, node, keys);
}

static const struct field authorization_rule_fields[] = {
    FIELD_STR(authorization_rule, name, "name", FIELD_NON_EMPTY, "Name, for log and explanation."),
    FIELD_ENUM(authorization_rule, action, "action", FIELD_REQUIRED, rule_action_names,
               "What happens where the rule matches."),
    FIELD_OBJECT(authorization_rule, operation, "operation", 0, rule_operation,
                 "What is done; anything unless given."),
    FIELD_OBJECT(authorization_rule, principal, "principal", 0, rule_principal, "Who does it."),
    FIELD_OTHER(authorization_rule, cel, "cel", FIELD_NOT_ENFORCED, decode_marked_text, NULL,
                "Condition as a CEL expression."),
};
static const struct table authorization_rule_table =
    TABLE_CHECKED(authorization_rule, authorization_rule_check);

/* Whether what the rule at `i` does not match may still pass. */
static bool authorization_is_open_after(const struct authorization_spec *a, size_t i)
{
    bool is_open = a->default_action == RULE_ALLOW;

    while (++i < a->rules.n)
        is_open |= a->rules.items[i].action == RULE_ALLOW;
    return is_open;
}

/* The path is judged as the backend gets it. One that reads more into it (`/ADMIN`, `/admin;x`) is
 * reached past a rule that names what may not be, never past one that names what may. */
static void authorization_judge_paths(struct decoder *d, const struct node *node,
                                      const struct authorization_spec *a)
{
    const struct node *rules = node_find(node, "rules");
    size_t above = decode_enter_key(d, "rules");

    for (size_t i = 0; rules && i < MIN(a->rules.n, rules->n); i++) {
        const struct authorization_rule *r = &a->rules.items[i];
        const struct path_condition *path = r->operation ? r->operation->path : NULL;
        bool is_exclusion = path && (r->action == RULE_DENY) != path->invert.value;
        size_t at = decode_enter_index(d, i);

        if (is_exclusion && (r->action == RULE_ALLOW || authorization_is_open_after(a, i)))
            decode_note(d, DIAG_BYPASS, node_find(rules->items[i], "operation"), "operation.path",
                        "excludes a path where others pass: a backend that ignores case, or what "
                        "stands behind a \";\", knows more spellings of it; rules that name what "
                        "is allowed have no such gap");
        decode_leave(d, at);
    }
    decode_leave(d, above);
}

static void authorization_spec_check(struct decoder *d, const struct node *node, void *object)
{
    struct authorization_spec *a = object;

    if (a->default_action < 0)
        a->default_action = RULE_DENY;
    authorization_judge_paths(d, node, a);
}

static const struct field authorization_spec_fields[] = {
    FIELD_ENUM(authorization_spec, default_action, "defaultAction", 0, rule_action_names,
               "What happens where no rule matches; Deny unless given."),
    FIELD_LIST(authorization_spec, rules, "rules", 0, authorization_rule,
               "Rules in order; the first that matches decides."),
};
static const struct table authorization_spec_table =
    TABLE_CHECKED(authorization_spec, authorization_spec_check);

static bool has_provider(const struct jwt_spec *jwt, struct str name)
{
    if (!jwt)
        return false;
    VEC_FOREACH (&jwt->providers, p) {
        if (str_eq(p->name, name))
            return true;
    }
    return false;
}

/* A rule that names a provider which is not there could never match: Deny rules would be lost. */
static void check_rule_providers(struct decoder *d, const struct security_policy_spec *s)
{
    VEC_FOREACH (&s->authorization->rules, r) {
        const struct jwt_principal *p = r->principal ? r->principal->jwt : NULL;
        struct node at = {.mark = p ? p->mark : r->mark};

        if (p && p->provider.len > 0 && !has_provider(s->jwt, p->provider))
            decode_error(d, DIAG_DANGLING_REFERENCE, &at, "authorization.rules",
                         "this policy's jwt has no provider \"%.*s\"", STR_ARG(p->provider));
    }
}

static void security_policy_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const kinds[] = {"Gateway",   "ListenerSet", "HTTPRoute",
                                        "GRPCRoute", "TCPRoute",    NULL};
    const struct target_rule rule = {GROUP_GATEWAY, kinds};
    struct security_policy_spec *s = object;

    policy_targets_check(d, node, &s->targets, &rule, 1);
    policy_merge_check(d, node, &s->targets, s->merge_type);
    s->has_oidc = !node_is_null(node_find(node, "oidc"));
    s->has_csrf = !node_is_null(node_find(node, "csrf"));
    /* A policy that is merged over another may name its parent's providers. */
    if (s->authorization && s->merge_type < 0)
        check_rule_providers(d, s);
}

static const struct field security_policy_spec_fields[] = {
    POLICY_TARGET_FIELDS(security_policy_spec, targets.),
    FIELD_ENUM(security_policy_spec, merge_type, "mergeType", 0, merge_type_names,
               "How a route's policy is merged over its Gateway's; it replaces unless given."),
    FIELD_OBJECT(security_policy_spec, cors, "cors", 0, cors_spec,
                 "Which pages may call from browsers."),
    FIELD_OBJECT(security_policy_spec, jwt, "jwt", 0, jwt_spec, "Authentication by token."),
    FIELD_OBJECT(security_policy_spec, api_key_auth, "apiKeyAuth", 0, api_key_auth,
                 "Authentication by API key."),
    FIELD_OBJECT(security_policy_spec, basic_auth, "basicAuth", 0, basic_auth,
                 "Authentication by user name and password."),
    FIELD_OBJECT(security_policy_spec, ext_auth, "extAuth", 0, ext_auth,
                 "Authorization by a service of its own."),
    FIELD_OBJECT(security_policy_spec, authorization, "authorization", 0, authorization_spec,
                 "Who may do what."),
    FIELD_UNSUPPORTED("oidc", "Login of users by OpenID Connect; its routes refuse."),
    FIELD_UNSUPPORTED("csrf", "Check of the origin of requests; its routes refuse."),
};
const struct table security_policy_spec_table =
    TABLE_CHECKED(security_policy_spec, security_policy_check);

static const char *authorization_find_unenforced(const struct authorization_spec *a)
{
    VEC_FOREACH (&a->rules, r) {
        if (r->cel.text.len > 0)
            return "authorization.rules.cel";
        if (r->principal && r->principal->has_unsupported)
            return "authorization.rules.principal.clientIPGeoLocations";
    }
    return NULL;
}

const char *security_policy_find_unenforced(const struct security_policy_spec *s)
{
    const char *of_ext_auth = s->ext_auth ? ext_auth_find_unenforced(s->ext_auth) : NULL;

    if (of_ext_auth)
        return of_ext_auth;
    if (s->has_oidc)
        return "oidc";
    if (s->has_csrf)
        return "csrf";
    return s->authorization ? authorization_find_unenforced(s->authorization) : NULL;
}
