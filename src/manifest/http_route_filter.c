/* Decoding of HTTPRouteFilter.
 *
 * Owner: the load's arena. Thread: compile thread. Patterns are tried here and compiled for use
 * with the snapshot. */
#include "manifest/http_route_filter.h"

static void regex_rewrite_check(struct decoder *d, const struct node *node, void *object)
{
    const struct regex_rewrite *r = object;

    if (r->pattern.len > 0)
        check_regex(d, node, "pattern", r->pattern);
    for (size_t i = 0; i < r->substitution.len; i++) {
        char c = r->substitution.ptr[i];

        if (c == '\r' || c == '\n' || c == '\0') {
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, "substitution"), "substitution",
                         "holds no line break and no NUL");
            return;
        }
    }
}

static const struct field regex_rewrite_fields[] = {
    FIELD_STR(regex_rewrite, pattern, "pattern", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Pattern; every place where it matches is replaced."),
    FIELD_STR(regex_rewrite, substitution, "substitution", FIELD_REQUIRED,
              "Replacement; \\1 to \\9 are the pattern's groups."),
};
static const struct table regex_rewrite_table = TABLE_CHECKED(regex_rewrite, regex_rewrite_check);

static const char *const host_rewrite_names[] = {"Header", "Backend", "PathRegex", NULL};

static void host_rewrite_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"header", NULL, "pathRegex"};
    const struct filter_host_rewrite *h = object;

    check_union(d, node, h->type, host_rewrite_names, keys, true);
}

static const struct field filter_host_rewrite_fields[] = {
    FIELD_ENUM(filter_host_rewrite, type, "type", FIELD_REQUIRED, host_rewrite_names,
               "Where the new host comes from: a header, the backend's name, or the path."),
    FIELD_OTHER(filter_host_rewrite, header, "header", 0, decode_header_name, NULL,
                "Header whose value is the host."),
    FIELD_OBJECT(filter_host_rewrite, path_regex, "pathRegex", 0, regex_rewrite,
                 "Pattern on the path that yields the host."),
};
static const struct table filter_host_rewrite_table =
    TABLE_CHECKED(filter_host_rewrite, host_rewrite_check);

static const char *const path_rewrite_names[] = {"ReplaceRegexMatch", NULL};

static void path_rewrite_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"replaceRegexMatch"};
    const struct filter_path_rewrite *p = object;

    check_union(d, node, p->type, path_rewrite_names, keys, false);
}

static const struct field filter_path_rewrite_fields[] = {
    FIELD_ENUM(filter_path_rewrite, type, "type", FIELD_REQUIRED, path_rewrite_names,
               "ReplaceRegexMatch."),
    FIELD_OBJECT(filter_path_rewrite, replace_regex_match, "replaceRegexMatch", 0, regex_rewrite,
                 "Pattern and replacement."),
};
static const struct table filter_path_rewrite_table =
    TABLE_CHECKED(filter_path_rewrite, path_rewrite_check);

static const struct field filter_url_rewrite_fields[] = {
    FIELD_OBJECT(filter_url_rewrite, hostname, "hostname", 0, filter_host_rewrite,
                 "New Host towards the backend."),
    FIELD_OBJECT(filter_url_rewrite, path, "path", 0, filter_path_rewrite,
                 "New path towards the backend."),
    FIELD_BOOL(filter_url_rewrite, append_forwarded_host, "appendXForwardedHost", 0,
               "Whether x-forwarded-host tells the former Host."),
};
static const struct table filter_url_rewrite_table = TABLE(filter_url_rewrite);

static const struct field injected_credential_fields[] = {
    FIELD_OBJECT(injected_credential, value_ref, "valueRef", FIELD_REQUIRED, secret_ref,
                 "Secret whose key credential is the header's value."),
};
static const struct table injected_credential_table = TABLE(injected_credential);

static const struct field credential_injection_fields[] = {
    FIELD_OTHER(credential_injection, header, "header", 0, decode_header_name, NULL,
                "Header that is written; Authorization unless given."),
    FIELD_BOOL(credential_injection, overwrite, "overwrite", 0,
               "Whether one that is there is replaced."),
    FIELD_OBJECT(credential_injection, credential, "credential", FIELD_REQUIRED,
                 injected_credential, "Where the value stands."),
};
static const struct table credential_injection_table = TABLE(credential_injection);

static const char *const cookie_match_names[] = {"Exact", "RegularExpression", NULL};

static void cookie_match_check(struct decoder *d, const struct node *node, void *object)
{
    struct cookie_match *m = object;

    if (m->type < 0)
        m->type = 0;
    if (m->type == 1)
        check_regex(d, node, "value", m->value);
}

static const struct field cookie_match_fields[] = {
    FIELD_ENUM(cookie_match, type, "type", 0, cookie_match_names,
               "Exact (default) or RegularExpression, in full."),
    FIELD_STR(cookie_match, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, "Name of the cookie."),
    FIELD_STR(cookie_match, value, "value", FIELD_REQUIRED | FIELD_NON_EMPTY, "Value or pattern."),
};
static const struct table cookie_match_table = TABLE_CHECKED(cookie_match, cookie_match_check);

static void filter_match_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "cookies", 16);
}

static const struct field filter_match_fields[] = {
    FIELD_LIST(filter_match, cookies, "cookies", FIELD_NON_EMPTY, cookie_match,
               "Cookies, all of them."),
};
static const struct table filter_match_table = TABLE_CHECKED(filter_match, filter_match_check);

static void http_route_filter_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "matches", 8);
}

static const struct field http_route_filter_spec_fields[] = {
    FIELD_OBJECT(http_route_filter_spec, url_rewrite, "urlRewrite", 0, filter_url_rewrite,
                 "New host or path towards the backend."),
    FIELD_OBJECT(http_route_filter_spec, direct_response, "directResponse", 0, custom_response,
                 "Answer that the gateway gives itself."),
    FIELD_OBJECT(http_route_filter_spec, credential_injection, "credentialInjection",
                 FIELD_NOT_ENFORCED, credential_injection,
                 "Credential that the gateway presents to the backend."),
    FIELD_LIST(http_route_filter_spec, matches, "matches", FIELD_NOT_ENFORCED, filter_match,
               "Further conditions of the rule that uses the filter, any of these."),
};
const struct table http_route_filter_spec_table =
    TABLE_CHECKED(http_route_filter_spec, http_route_filter_check);

const char *http_route_filter_find_unenforced(const struct http_route_filter_spec *s)
{
    return s->matches.n > 0 ? "matches" : NULL;
}
