/* Decoding of rate limits.
 *
 * Owner: the load's arena. Thread: compile thread. Which counters a rule has, and when a window
 * begins, is left to compile and to the policy level. */
#include "manifest/part/rate_limit.h"

static const char *const limit_match_names[] = {"Exact", "RegularExpression", "Distinct", NULL};

static void rate_limit_item_check(struct decoder *d, const struct node *node, void *object)
{
    struct rate_limit_item *i = object;

    if (i->type < 0)
        i->type = LIMIT_EXACT;
    if (i->type == LIMIT_DISTINCT) {
        if (i->value.ptr)
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, "value"), "value",
                         "not allowed with type Distinct");
        if (i->invert.value)
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, "invert"), "invert",
                         "not allowed with type Distinct");
    } else if (i->value.ptr == NULL) {
        decode_error(d, DIAG_MISSING_FIELD, node, "value", "required with type %s",
                     limit_match_names[i->type]);
    }
    if (i->type == LIMIT_REGEX && i->value.ptr)
        check_regex(d, node, "value", i->value);
}

static const struct field rate_limit_item_fields[] = {
    FIELD_ENUM(rate_limit_item, type, "type", 0, limit_match_names,
               "Exact (default), RegularExpression (in full), or one counter per Distinct value."),
    FIELD_STR(rate_limit_item, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Name of the header or query parameter."),
    FIELD_STR(rate_limit_item, value, "value", 0, "Value or pattern; none with Distinct."),
    FIELD_BOOL(rate_limit_item, invert, "invert", 0, "Whether the value must not match."),
};
static const struct table rate_limit_item_table =
    TABLE_CHECKED(rate_limit_item, rate_limit_item_check);

static const struct field rate_limit_method_fields[] = {
    FIELD_ENUM(rate_limit_method, value, "value", FIELD_REQUIRED, http_method_names, "Method."),
    FIELD_BOOL(rate_limit_method, invert, "invert", 0, "Whether every other method is meant."),
};
static const struct table rate_limit_method_table = TABLE(rate_limit_method);

static const char *const path_match_names[] = {"Exact", "PathPrefix", "RegularExpression", NULL};

static void path_condition_check(struct decoder *d, const struct node *node, void *object)
{
    struct path_condition *p = object;

    if (p->type < 0)
        p->type = PATH_CONDITION_PREFIX;
    if (p->type == PATH_CONDITION_REGEX)
        check_regex(d, node, "value", p->value);
    else if (p->value.len > 0 && p->value.ptr[0] != '/')
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "value"), "value",
                     "must begin with a slash");
}

static const struct field path_condition_fields[] = {
    FIELD_ENUM(path_condition, type, "type", 0, path_match_names,
               "How the path is compared; PathPrefix unless given."),
    FIELD_STR(path_condition, value, "value", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Path, prefix by whole elements, or pattern that matches in full."),
    FIELD_BOOL(path_condition, invert, "invert", 0, "Whether the path must not match."),
};
const struct table path_condition_table = TABLE_CHECKED(path_condition, path_condition_check);

static const char *const cidr_match_names[] = {"Exact", "Distinct", NULL};

static void rate_limit_cidr_check(struct decoder *d, const struct node *node, void *object)
{
    struct rate_limit_cidr *c = object;

    if (c->type < 0)
        c->type = CIDR_EXACT;
    if (c->type == CIDR_DISTINCT && c->invert.value)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "invert"), "invert",
                     "not allowed with type Distinct");
}

static const struct field rate_limit_cidr_fields[] = {
    FIELD_ENUM(rate_limit_cidr, type, "type", 0, cidr_match_names,
               "One counter for the range (Exact, default) or one per address (Distinct)."),
    FIELD_OTHER(rate_limit_cidr, value, "value", FIELD_REQUIRED, decode_cidr, NULL,
                "Range of client addresses."),
    FIELD_BOOL(rate_limit_cidr, invert, "invert", 0, "Whether clients outside are meant."),
};
static const struct table rate_limit_cidr_table =
    TABLE_CHECKED(rate_limit_cidr, rate_limit_cidr_check);

static void rate_limit_selector_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"headers",    "methods",     "path",
                                       "sourceCIDR", "queryParams", NULL};

    (void)object;
    check_at_least_one(d, node, keys);
    check_max_items(d, node, "headers", 128);
    check_max_items(d, node, "queryParams", 16);
}

static const struct field rate_limit_selector_fields[] = {
    FIELD_LIST(rate_limit_selector, headers, "headers", 0, rate_limit_item,
               "Headers, all of them; with Distinct, an absent one leaves the rule out."),
    FIELD_LIST(rate_limit_selector, query_params, "queryParams", 0, rate_limit_item,
               "Query parameters, all of them."),
    FIELD_LIST(rate_limit_selector, methods, "methods", 0, rate_limit_method,
               "Methods, any of these."),
    FIELD_OBJECT(rate_limit_selector, path, "path", 0, path_condition, "Path."),
    FIELD_OBJECT(rate_limit_selector, source_cidr, "sourceCIDR", 0, rate_limit_cidr,
                 "Address of the client."),
};
static const struct table rate_limit_selector_table =
    TABLE_CHECKED(rate_limit_selector, rate_limit_selector_check);

static const struct field metadata_key_fields[] = {
    FIELD_STR(metadata_key, namespace, "namespace", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Namespace of the value: io.envoy.ai_gateway."),
    FIELD_STR(metadata_key, key, "key", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Key, as an AIGatewayRoute's llmRequestCosts name it."),
};
static const struct table metadata_key_table = TABLE(metadata_key);

static const char *const limit_unit_names[] = {"Second", "Minute", "Hour", "Day",
                                               "Week",   "Month",  "Year", NULL};

static const struct field rate_limit_value_fields[] = {
    FIELD_INT(rate_limit_value, requests, "requests", FIELD_REQUIRED, UINT32_RANGE,
              "Requests, or units of cost, in one window."),
    FIELD_ENUM(
        rate_limit_value, unit, "unit", FIELD_REQUIRED, limit_unit_names,
        "Length of the window; windows begin at its multiples since 1970 (UTC), a Month being 30 "
        "days and a Year 365."),
    FIELD_UNSUPPORTED("fromMetadata", "Limit that a request's metadata names."),
};
static const struct table rate_limit_value_table = TABLE(rate_limit_value);

static const char *const cost_source_names[] = {"Number", "Metadata", NULL};

static void cost_part_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {NULL, "metadata"};
    static const char *const both[] = {"number", "metadata", NULL};
    const struct rate_limit_cost_part *c = object;

    check_union(d, node, c->from, cost_source_names, keys, true);
    check_at_most_one(d, node, both);
}

static const struct field rate_limit_cost_part_fields[] = {
    FIELD_ENUM(rate_limit_cost_part, from, "from", FIELD_REQUIRED, cost_source_names,
               "Whether the cost is a number or a usage value."),
    FIELD_INT(rate_limit_cost_part, number, "number", 0, UINT32_RANGE,
              "Cost as a number; 0 only checks for room. 1 unless given."),
    FIELD_OBJECT(rate_limit_cost_part, metadata, "metadata", 0, metadata_key,
                 "Usage value that is the cost."),
};
static const struct table rate_limit_cost_part_table =
    TABLE_CHECKED(rate_limit_cost_part, cost_part_check);

static const struct field rate_limit_cost_fields[] = {
    FIELD_OBJECT(rate_limit_cost, request, "request", 0, rate_limit_cost_part,
                 "What a request takes when it comes in; 1 unless given."),
    FIELD_OBJECT(rate_limit_cost, response, "response", 0, rate_limit_cost_part,
                 "What a request takes when its answer is complete; nothing unless given."),
};
static const struct table rate_limit_cost_table = TABLE(rate_limit_cost);

static const char *const limit_headers_names[] = {"Off", "DraftVersion03", NULL};

static void rate_limit_rule_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "clientSelectors", 8);
}

static const struct field rate_limit_rule_fields[] = {
    FIELD_LIST(
        rate_limit_rule, client_selectors, "clientSelectors", 0, rate_limit_selector,
        "Requests that the rule counts: all of these must hold; every request unless given."),
    FIELD_OBJECT(rate_limit_rule, limit, "limit", FIELD_REQUIRED, rate_limit_value,
                 "How much is allowed."),
    FIELD_OBJECT(rate_limit_rule, cost, "cost", 0, rate_limit_cost, "What one request takes."),
    FIELD_BOOL(rate_limit_rule, shared, "shared", 0,
               "One counter for all routes of the policy's targets, not one per route rule."),
    FIELD_BOOL(rate_limit_rule, shadow_mode, "shadowMode", 0,
               "Whether the rule only counts and never refuses."),
    FIELD_ENUM(rate_limit_rule, rate_limit_headers, "xRateLimitHeaders", 0, limit_headers_names,
               "Whether answers carry x-ratelimit headers for this rule."),
};
static const struct table rate_limit_rule_table =
    TABLE_CHECKED(rate_limit_rule, rate_limit_rule_check);

static const struct field rate_limit_rules_fields[] = {
    FIELD_LIST(rate_limit_rules, rules, "rules", 0, rate_limit_rule,
               "Rules; each that counts a request must have room for it."),
};
static const struct table rate_limit_rules_table = TABLE(rate_limit_rules);

static const char *const rate_limit_type_names[] = {"Global", "Local", NULL};

static void rate_limit_spec_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"global", "local"};
    const struct rate_limit_spec *r = object;
    const struct node *local = node_find(node, "local");

    check_union(d, node, r->type, rate_limit_type_names, keys, false);
    check_max_items(d, node_find(node, "global"), "rules", 256);
    check_max_items(d, local, "rules", 16);
    if (r->global && node_is_null(node_find(node_find(node, "global"), "rules")))
        decode_error(d, DIAG_MISSING_FIELD, node_find(node, "global"), "global.rules",
                     "required but not given");
    if (!r->local)
        return;
    VEC_FOREACH (&r->local->rules, rule) {
        if (rule->cost && rule->cost->response)
            decode_error(d, DIAG_INVALID_VALUE, local, "local.rules",
                         "a cost of the response is allowed in global rules only");
    }
}

static const struct field rate_limit_spec_fields[] = {
    FIELD_ENUM(rate_limit_spec, type, "type", 0, rate_limit_type_names,
               "Which of the two parts is meant; both are used unless given."),
    FIELD_OBJECT(rate_limit_spec, global, "global", 0, rate_limit_rules,
                 "Limits counted across all gateways (today: across all workers of this one)."),
    FIELD_OBJECT(rate_limit_spec, local, "local", 0, rate_limit_rules,
                 "Limits counted by each gateway for itself."),
};
const struct table rate_limit_spec_table = TABLE_CHECKED(rate_limit_spec, rate_limit_spec_check);
