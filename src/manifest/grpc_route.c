/* Decoding of GRPCRoute: matches by service and method; filters and backends as in HTTPRoute, of
 * which only the header modifiers, the mirror and the extension are allowed (Gateway API v1).
 *
 * Owner: the load's arena. Thread: the compile thread. References are link's. */
#include "manifest/grpc_route.h"

#include "manifest/hostname.h"

static const char *const value_match_names[] = {"Exact", "RegularExpression", NULL};
static const struct field grpc_method_match_fields[] = {
    FIELD_ENUM(grpc_method_match, type, "type", 0, value_match_names,
               "How service and method are compared; Exact unless given."),
    FIELD_STR(grpc_method_match, service, "service", 0, "Full name of the service; any if absent."),
    FIELD_STR(grpc_method_match, method, "method", 0, "Name of the method; any if absent."),
};

/* A letter or "_" first, then digits too. */
static bool grpc_is_identifier(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = str_lower_char(s.ptr[i]);

        if (!((c >= 'a' && c <= 'z') || c == '_' || (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return s.len > 0;
}

/* Names of packages and the service, divided by dots; one may stand in front of all. */
static bool grpc_is_service(struct str s)
{
    struct str rest = str_slice(s, str_starts_with(s, STR(".")) ? 1 : 0, s.len);
    struct str part;
    bool is_valid = rest.len > 0;

    while (is_valid && str_split(&rest, '.', &part))
        is_valid = grpc_is_identifier(part);
    return is_valid;
}

static void grpc_name_check(struct decoder *d, const struct node *node, const char *key,
                            struct str name, bool is_valid)
{
    if (name.len > 0 && !is_valid)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, key), key,
                     "\"%.*s\" is not a gRPC name", STR_ARG(name));
}

static void grpc_method_match_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const either[] = {"service", "method", NULL};
    struct grpc_method_match *m = object;

    if (m->type < 0)
        m->type = VALUE_EXACT;
    check_at_least_one(d, node, either);
    if (m->service.len == 0 && m->method.len == 0 && (m->service.ptr || m->method.ptr))
        decode_error(d, DIAG_INVALID_VALUE, node, NULL,
                     "service and method must not both be empty");
    if (m->type == VALUE_REGEX) {
        check_regex(d, node, "service", m->service);
        check_regex(d, node, "method", m->method);
    } else {
        grpc_name_check(d, node, "service", m->service, grpc_is_service(m->service));
        grpc_name_check(d, node, "method", m->method, grpc_is_identifier(m->method));
    }
}
static const struct table grpc_method_match_table =
    TABLE_CHECKED(grpc_method_match, grpc_method_match_check);

static const struct field grpc_route_match_fields[] = {
    FIELD_OBJECT(grpc_route_match, method, "method", 0, grpc_method_match,
                 "Service and method; any unless given."),
    FIELD_LIST(grpc_route_match, headers, "headers", 0, http_value_match,
               "Headers that must all hold."),
};
static const struct table grpc_route_match_table = TABLE(grpc_route_match);

static const struct field grpc_route_rule_fields[] = {
    FIELD_STR(grpc_route_rule, name, "name", 0, "Name of the rule, unique in the route."),
    FIELD_LIST(grpc_route_rule, matches, "matches", 0, grpc_route_match,
               "Any of these must hold; none given: every request."),
    FIELD_LIST(grpc_route_rule, filters, "filters", 0, http_filter,
               "What happens to requests and answers of this rule."),
    FIELD_LIST(grpc_route_rule, backend_refs, "backendRefs", 0, http_backend_ref,
               "Where requests go, by weight."),
    FIELD_UNSUPPORTED("sessionPersistence", "Sticky sessions."),
};

static void grpc_route_rule_check(struct decoder *d, const struct node *node, void *object)
{
    const struct grpc_route_rule *r = object;

    check_max_items(d, node, "matches", 64);
    check_max_items(d, node, "backendRefs", 16);
    http_filters_check(d, node, &r->filters);
    VEC_FOREACH (&r->filters, f) {
        struct node at = {.mark = f->mark};

        if (f->type == HTTP_FILTER_REQUEST_REDIRECT || f->type == HTTP_FILTER_URL_REWRITE ||
            f->type == HTTP_FILTER_CORS || f->type == HTTP_FILTER_EXTERNAL_AUTH)
            decode_error(d, DIAG_INVALID_VALUE, &at, "filters",
                         "a filter of this type is not allowed in a GRPCRoute");
    }
}
static const struct table grpc_route_rule_table =
    TABLE_CHECKED(grpc_route_rule, grpc_route_rule_check);

static const struct field grpc_route_spec_fields[] = {
    FIELD_LIST(grpc_route_spec, parent_refs, "parentRefs", 0, parent_ref,
               "Gateways (or listeners) that the route attaches to."),
    FIELD_OTHER(grpc_route_spec, hostnames, "hostnames", 0, decode_wildcard_hostname_list, NULL,
                "Hosts that the route serves; those of the listener unless given."),
    FIELD_LIST(grpc_route_spec, rules, "rules", 0, grpc_route_rule, "Rules, tried by precedence."),
    FIELD_UNSUPPORTED("useDefaultGateways", "Attachment to default Gateways."),
};
static void grpc_route_spec_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "hostnames", 16);
    check_max_items(d, node, "parentRefs", 32);
    check_max_items(d, node, "rules", 16);
}
const struct table grpc_route_spec_table = TABLE_CHECKED(grpc_route_spec, grpc_route_spec_check);
