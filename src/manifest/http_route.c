/* Decoding of HTTPRoute: defaults of match types, syntax of paths, and the rules across a rule's
 * parts (Gateway API v1, "HTTPRouteSpec").
 *
 * Owner: the load's arena. Thread: the compile thread. Parents, backends and extension filters are
 * resolved by link; precedence among routes is compile's. */
#include "manifest/http_route.h"

#include "manifest/hostname.h"

static const char *const path_match_names[] = {"Exact", "PathPrefix", "RegularExpression", NULL};
static const struct field http_path_match_fields[] = {
    FIELD_ENUM(http_path_match, type, "type", 0, path_match_names,
               "How the path is compared; PathPrefix unless given."),
    FIELD_STR(http_path_match, value, "value", 0, "The path; \"/\" unless given."),
};

static bool path_is_allowed_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-/._~!$&'()*+,;=:@%", c) != NULL);
}

static bool path_is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Why a literal path is refused, or NULL. The forms refused never occur in the one path that
 * requests are reduced to, so such a match could never be met. */
static const char *path_problem(struct str s)
{
    static const struct str never[] = {{"//", 2}, {"/./", 3}, {"/../", 4}};

    if (s.len == 0 || s.ptr[0] != '/')
        return "a path must begin with \"/\"";
    if (s.len > 1024)
        return "a path has at most 1024 characters";
    for (size_t i = 0; i < s.len; i++) {
        if (!path_is_allowed_char(s.ptr[i]))
            return "a path holds a character that no path has";
        if (s.ptr[i] != '%')
            continue;
        if (i + 2 >= s.len || !path_is_hex(s.ptr[i + 1]) || !path_is_hex(s.ptr[i + 2]))
            return "a \"%\" in a path must be followed by two hexadecimal digits";
        if (s.ptr[i + 1] == '2' && str_lower_char(s.ptr[i + 2]) == 'f')
            return "a path must not hold an encoded slash";
    }
    for (size_t i = 0; i < N_ELEMENTS(never); i++) {
        if (str_find(s, never[i]) >= 0)
            return "a path must not hold \"//\", \"/./\" or \"/../\"";
    }
    if (str_ends_with(s, STR("/.")) || str_ends_with(s, STR("/..")))
        return "a path must not end with \"/.\" or \"/..\"";
    return NULL;
}

static void http_path_match_check(struct decoder *d, const struct node *node, void *object)
{
    struct http_path_match *p = object;
    const struct node *at = node_find(node, "value");
    const char *problem;

    if (p->type < 0)
        p->type = PATH_PREFIX;
    if (!p->value.ptr)
        p->value = STR("/");
    if (p->type == PATH_REGEX) {
        check_regex(d, node, "value", p->value);
        return;
    }
    problem = path_problem(p->value);
    if (problem)
        decode_error(d, DIAG_INVALID_VALUE, at ? at : node, "value", "%s", problem);
}
static const struct table http_path_match_table =
    TABLE_CHECKED(http_path_match, http_path_match_check);

static const char *const value_match_names[] = {"Exact", "RegularExpression", NULL};
static const struct field http_value_match_fields[] = {
    FIELD_ENUM(http_value_match, type, "type", 0, value_match_names,
               "How the value is compared; Exact unless given."),
    FIELD_OTHER(http_value_match, name, "name", FIELD_REQUIRED, decode_header_name, NULL,
                "Name of the header or query parameter."),
    FIELD_STR(http_value_match, value, "value", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "The value, or a pattern for the whole of it."),
};
static void http_value_match_check(struct decoder *d, const struct node *node, void *object)
{
    struct http_value_match *m = object;

    if (m->type < 0)
        m->type = VALUE_EXACT;
    if (m->type == VALUE_REGEX)
        check_regex(d, node, "value", m->value);
}
const struct table http_value_match_table = TABLE_CHECKED(http_value_match, http_value_match_check);

static const struct field http_route_match_fields[] = {
    FIELD_OBJECT(http_route_match, path, "path", 0, http_path_match, "What the path must be."),
    FIELD_LIST(http_route_match, headers, "headers", 0, http_value_match,
               "Headers that must all hold."),
    FIELD_LIST(http_route_match, query_params, "queryParams", 0, http_value_match,
               "Query parameters that must all hold."),
    FIELD_ENUM(http_route_match, method, "method", 0, http_method_names,
               "The method; any unless given."),
};
static void http_route_match_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "headers", 16);
    check_max_items(d, node, "queryParams", 16);
}
static const struct table http_route_match_table =
    TABLE_CHECKED(http_route_match, http_route_match_check);

static const struct field http_backend_ref_fields[] = {
    BACKEND_REF_FIELDS(http_backend_ref, ref.),
    FIELD_LIST(http_backend_ref, filters, "filters", 0, http_filter,
               "Filters for requests to this backend only."),
};
static void http_backend_ref_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http_backend_ref *r = object;

    backend_ref_check(d, node, object);
    http_filters_check(d, node, &r->filters);
}
const struct table http_backend_ref_table = TABLE_CHECKED(http_backend_ref, http_backend_ref_check);

static const struct field http_route_timeouts_fields[] = {
    FIELD_DURATION(http_route_timeouts, request, "request", 0,
                   "Limit from the request's arrival to the end of the answer; 0s: none."),
    FIELD_DURATION(http_route_timeouts, backend_request, "backendRequest", 0,
                   "Limit of one attempt; 0s: none."),
};
static void http_route_timeouts_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http_route_timeouts *t = object;

    if (t->request.is_set && t->request.us > 0 && t->backend_request.us > t->request.us)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "backendRequest"), "backendRequest",
                     "must not be longer than request");
}
static const struct table http_route_timeouts_table =
    TABLE_CHECKED(http_route_timeouts, http_route_timeouts_check);

static const struct int_range status_range = {400, 599};
static const struct int_range attempts_range = {1, 100};
static const struct field http_route_retry_fields[] = {
    FIELD_OTHER(http_route_retry, codes, "codes", 0, decode_int_list, &status_range,
                "Statuses that are tried again."),
    FIELD_INT(http_route_retry, attempts, "attempts", 0, &attempts_range, "How often again."),
    FIELD_DURATION(http_route_retry, backoff, "backoff", 0, "Least pause before another attempt."),
};
static const struct table http_route_retry_table = TABLE(http_route_retry);

static const struct field http_route_rule_fields[] = {
    FIELD_STR(http_route_rule, name, "name", 0, "Name of the rule, unique in the route."),
    FIELD_LIST(http_route_rule, matches, "matches", 0, http_route_match,
               "Any of these must hold; none given: every request."),
    FIELD_LIST(http_route_rule, filters, "filters", 0, http_filter,
               "What happens to requests and answers of this rule."),
    FIELD_LIST(http_route_rule, backend_refs, "backendRefs", 0, http_backend_ref,
               "Where requests go, by weight."),
    FIELD_OBJECT(http_route_rule, timeouts, "timeouts", 0, http_route_timeouts, "Time limits."),
    FIELD_OBJECT(http_route_rule, retry, "retry", 0, http_route_retry,
                 "When a request is tried again."),
    FIELD_UNSUPPORTED("sessionPersistence", "Sticky sessions."),
};

static bool rule_replaces_prefix(const struct http_route_rule *r)
{
    VEC_FOREACH (&r->filters, f) {
        const struct path_modifier *p = f->url_rewrite        ? f->url_rewrite->path
                                        : f->request_redirect ? f->request_redirect->path
                                                              : NULL;

        if (p && p->type == PATH_REPLACE_PREFIX)
            return true;
    }
    return false;
}

static bool rule_redirects(const struct http_route_rule *r)
{
    VEC_FOREACH (&r->filters, f) {
        if (f->type == HTTP_FILTER_REQUEST_REDIRECT)
            return true;
    }
    return false;
}

static bool rule_matches_prefixes_only(const struct http_route_rule *r)
{
    VEC_FOREACH (&r->matches, m) {
        if (m->path && m->path->type != PATH_PREFIX)
            return false;
    }
    return true;
}

static void http_route_rule_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http_route_rule *r = object;

    check_max_items(d, node, "matches", 64);
    check_max_items(d, node, "backendRefs", 16);
    http_filters_check(d, node, &r->filters);
    if (rule_redirects(r) && r->backend_refs.n > 0)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "backendRefs"), "backendRefs",
                     "must not be given together with a RequestRedirect filter");
    /* The specification wants exactly one match; each prefix match has its own prefix to replace,
     * so several are well defined here. Other match types have no prefix at all. */
    if (rule_replaces_prefix(r) && !rule_matches_prefixes_only(r))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "filters"), "filters",
                     "replacePrefixMatch needs PathPrefix matches only");
}
static const struct table http_route_rule_table =
    TABLE_CHECKED(http_route_rule, http_route_rule_check);

static const struct field http_route_spec_fields[] = {
    FIELD_LIST(http_route_spec, parent_refs, "parentRefs", 0, parent_ref,
               "Gateways (or listeners) that the route attaches to."),
    FIELD_OTHER(http_route_spec, hostnames, "hostnames", 0, decode_wildcard_hostname_list, NULL,
                "Hosts that the route serves; those of the listener unless given."),
    FIELD_LIST(http_route_spec, rules, "rules", 0, http_route_rule, "Rules, tried by precedence."),
    FIELD_UNSUPPORTED("useDefaultGateways", "Attachment to default Gateways."),
};

static void rule_names_check(struct decoder *d, const struct http_route_spec *s)
{
    for (size_t i = 0; i < s->rules.n; i++) {
        for (size_t j = 0; j < i; j++) {
            struct node at = {.mark = s->rules.items[i].mark};

            if (str_is_empty(s->rules.items[i].name) ||
                !str_eq(s->rules.items[i].name, s->rules.items[j].name))
                continue;
            decode_error(d, DIAG_CONFLICT, &at, "rules", "two rules are named \"%.*s\"",
                         STR_ARG(s->rules.items[i].name));
            return;
        }
    }
}

static void http_route_spec_check(struct decoder *d, const struct node *node, void *object)
{
    struct http_route_spec *s = object;

    check_max_items(d, node, "hostnames", 16);
    check_max_items(d, node, "parentRefs", 32);
    check_max_items(d, node, "rules", 16);
    if (s->rules.n <= 16)
        rule_names_check(d, s);
    if (!node_find(node, "rules")) {
        struct http_route_rule *rule = VEC_ADD(d->arena, &s->rules);

        rule->mark = node->mark;
    }
}
const struct table http_route_spec_table = TABLE_CHECKED(http_route_spec, http_route_spec_check);
