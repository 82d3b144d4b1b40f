/* Decoding of route filters, and the rules across them: each filter holds exactly the part its type
 * names, some may not be repeated, a redirect and a rewrite exclude each other (Gateway API,
 * "HTTPRouteFilter").
 *
 * Owner: the load's arena. Thread: the compile thread. Where a filter's references lead is link's.
 */
#include "manifest/http_filter.h"

#include "manifest/hostname.h"

static const struct field header_modifier_fields[] = {
    FIELD_LIST(header_modifier, set, "set", 0, header_value, "Headers to overwrite."),
    FIELD_LIST(header_modifier, add, "add", 0, header_value, "Headers to append to."),
    FIELD_OTHER(header_modifier, remove, "remove", 0, decode_header_name_list, NULL,
                "Headers to remove."),
};
static void header_modifier_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "set", 16);
    check_max_items(d, node, "add", 16);
    check_max_items(d, node, "remove", 16);
}
static const struct table header_modifier_table =
    TABLE_CHECKED(header_modifier, header_modifier_check);

static const char *const path_modifier_names[] = {"ReplaceFullPath", "ReplacePrefixMatch", NULL};
static const char *const path_modifier_keys[] = {"replaceFullPath", "replacePrefixMatch"};
static const struct field path_modifier_fields[] = {
    FIELD_ENUM(path_modifier, type, "type", FIELD_REQUIRED, path_modifier_names,
               "What of the path is replaced."),
    FIELD_STR(path_modifier, replace_full_path, "replaceFullPath", 0, "The whole new path."),
    FIELD_STR(path_modifier, replace_prefix_match, "replacePrefixMatch", 0,
              "What stands in place of the matched prefix."),
};
static void path_modifier_check(struct decoder *d, const struct node *node, void *object)
{
    const struct path_modifier *p = object;
    struct str value =
        p->type == PATH_REPLACE_FULL ? p->replace_full_path : p->replace_prefix_match;

    check_union(d, node, p->type, path_modifier_names, path_modifier_keys, true);
    if (value.len > 0 && value.ptr[0] != '/') {
        decode_error(d, DIAG_INVALID_VALUE, node, NULL, "a path begins with \"/\"");
        return;
    }
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        /* The new path goes into a request line or a Location as it stands. */
        if (c <= 0x20 || c == 0x7f || c == '#' || c == '\\') {
            decode_error(d, DIAG_INVALID_VALUE, node, NULL,
                         "a path must not hold blanks, control characters, '#' or '\\'");
            return;
        }
    }
}
static const struct table path_modifier_table = TABLE_CHECKED(path_modifier, path_modifier_check);

static const char *const scheme_names[] = {"http", "https", NULL};
static const struct field request_redirect_fields[] = {
    FIELD_ENUM(request_redirect, scheme, "scheme", 0, scheme_names, "Scheme of the new place."),
    FIELD_OTHER(request_redirect, hostname, "hostname", 0, decode_precise_hostname, NULL,
                "Host of the new place; that of the request unless given."),
    FIELD_OBJECT(request_redirect, path, "path", 0, path_modifier, "Path of the new place."),
    FIELD_INT(request_redirect, port, "port", 0, &port_range, "Port of the new place."),
    FIELD_INT(request_redirect, status_code, "statusCode", 0, NULL,
              "301, 302 (default), 303, 307 or 308."),
};
static void request_redirect_check(struct decoder *d, const struct node *node, void *object)
{
    const struct request_redirect *r = object;
    int64_t code = r->status_code.value;

    if (r->status_code.is_set && code != 301 && code != 302 && code != 303 && code != 307 &&
        code != 308)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "statusCode"), "statusCode",
                     "expected one of 301, 302, 303, 307, 308, found %lld", (long long)code);
}
static const struct table request_redirect_table =
    TABLE_CHECKED(request_redirect, request_redirect_check);

static const struct field url_rewrite_fields[] = {
    FIELD_OTHER(url_rewrite, hostname, "hostname", 0, decode_precise_hostname, NULL,
                "Host header towards the backend."),
    FIELD_OBJECT(url_rewrite, path, "path", 0, path_modifier, "Path towards the backend."),
};
static const struct table url_rewrite_table = TABLE(url_rewrite);

static const struct int_range percent_range = {0, 100};
static const struct field request_mirror_fields[] = {
    FIELD_OBJECT(request_mirror, backend_ref, "backendRef", FIELD_REQUIRED, backend_ref,
                 "Where the copies go; their answers are dropped."),
    FIELD_INT(request_mirror, percent, "percent", 0, &percent_range, "Share of requests copied."),
    FIELD_OBJECT(request_mirror, fraction, "fraction", 0, fraction, "Share of requests copied."),
};
static void request_mirror_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const shares[] = {"percent", "fraction", NULL};

    (void)object;
    check_at_most_one(d, node, shares);
}
static const struct table request_mirror_table =
    TABLE_CHECKED(request_mirror, request_mirror_check);

static const struct int_range max_age_range = {1, INT32_MAX};
static const struct field http_cors_fields[] = {
    FIELD_STRS(http_cors, allow_origins, "allowOrigins", 0, "Origins that may read the answers."),
    FIELD_STRS(http_cors, allow_methods, "allowMethods", 0, "Methods that may be used."),
    FIELD_STRS(http_cors, allow_headers, "allowHeaders", 0, "Request headers that may be sent."),
    FIELD_STRS(http_cors, expose_headers, "exposeHeaders", 0, "Headers that scripts may read."),
    FIELD_BOOL(http_cors, allow_credentials, "allowCredentials", 0, "Whether cookies count."),
    FIELD_INT(http_cors, max_age_s, "maxAge", 0, &max_age_range,
              "Seconds that a preflight's answer may be kept; 5 unless given."),
};
static void http_cors_check_star(struct decoder *d, const struct node *node, const char *key,
                                 const struct str_vec *values)
{
    for (size_t i = 0; values->n > 1 && i < values->n; i++) {
        if (str_eq(values->items[i], STR("*")))
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, key), key,
                         "\"*\" must be the only item");
    }
}
static void http_cors_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http_cors *c = object;

    http_cors_check_star(d, node, "allowOrigins", &c->allow_origins);
    http_cors_check_star(d, node, "allowMethods", &c->allow_methods);
    http_cors_check_star(d, node, "allowHeaders", &c->allow_headers);
}
static const struct table http_cors_table = TABLE_CHECKED(http_cors, http_cors_check);

static const char *const filter_names[] = {"RequestHeaderModifier",
                                           "ResponseHeaderModifier",
                                           "RequestMirror",
                                           "RequestRedirect",
                                           "URLRewrite",
                                           "ExtensionRef",
                                           "CORS",
                                           "ExternalAuth",
                                           NULL};
static const char *const filter_keys[] = {"requestHeaderModifier",
                                          "responseHeaderModifier",
                                          "requestMirror",
                                          "requestRedirect",
                                          "urlRewrite",
                                          "extensionRef",
                                          "cors",
                                          "externalAuth"};
static const struct field http_filter_fields[] = {
    FIELD_ENUM(http_filter, type, "type", FIELD_REQUIRED, filter_names, "What the filter does."),
    FIELD_OBJECT(http_filter, request_header_modifier, "requestHeaderModifier", 0, header_modifier,
                 "Edits of the request's headers."),
    FIELD_OBJECT(http_filter, response_header_modifier, "responseHeaderModifier", 0,
                 header_modifier, "Edits of the response's headers."),
    FIELD_OBJECT(http_filter, request_mirror, "requestMirror", 0, request_mirror,
                 "Copies of requests to a further backend."),
    FIELD_OBJECT(http_filter, request_redirect, "requestRedirect", 0, request_redirect,
                 "Answer with another place."),
    FIELD_OBJECT(http_filter, url_rewrite, "urlRewrite", 0, url_rewrite,
                 "Host and path towards the backend."),
    FIELD_OBJECT(http_filter, extension_ref, "extensionRef", 0, local_object_ref,
                 "An HTTPRouteFilter of Envoy Gateway."),
    FIELD_OBJECT(http_filter, cors, "cors", 0, http_cors, "Cross-origin rules."),
    FIELD_RAW(http_filter, external_auth, "externalAuth", FIELD_NOT_ENFORCED,
              "An external authorizer; its rules refuse until it is enforced."),
};
static void http_filter_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http_filter *f = object;

    check_union(d, node, f->type, filter_names, filter_keys, true);
}
const struct table http_filter_table = TABLE_CHECKED(http_filter, http_filter_check);

void http_filters_check(struct decoder *d, const struct node *node,
                        const struct http_filter_vec *filters)
{
    const struct node *list = node_find(node, "filters");
    unsigned counts[N_ELEMENTS(filter_keys)] = {0};

    check_max_items(d, node, "filters", 16);
    VEC_FOREACH (filters, f) {
        if (f->type >= 0)
            counts[f->type]++;
    }
    for (size_t i = 0; i < N_ELEMENTS(counts); i++) {
        if (counts[i] > 1 && i != HTTP_FILTER_REQUEST_MIRROR && i != HTTP_FILTER_EXTENSION_REF)
            decode_error(d, DIAG_INVALID_VALUE, list, "filters", "%s must not be repeated",
                         filter_names[i]);
    }
    if (counts[HTTP_FILTER_REQUEST_REDIRECT] > 0 && counts[HTTP_FILTER_URL_REWRITE] > 0)
        decode_error(d, DIAG_INVALID_VALUE, list, "filters",
                     "RequestRedirect and URLRewrite exclude each other");
}
