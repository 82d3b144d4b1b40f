/* CORS answers.
 *
 * "*" is never sent where credentials are allowed: browsers would ignore it there, and the origin
 * (method, headers) asked for is echoed instead. The opaque origin "null" is what any sandboxed
 * page sends, so with credentials it is never let in. Every answer that depends on Origin says so
 * in Vary, else a shared cache would hand one site's answer to another.
 *
 * Owner: compiled object in a snapshot's arena; values written into responses borrow from it or
 * from the request. Pure. */
#include "policy/cors.h"

static struct str lower(struct arena *arena, struct str s)
{
    char *text = arena_bytes(arena, s.len);

    str_lower(s, text);
    return str_make(text, s.len);
}

/* Cuts an origin into its parts; the scheme's own port counts as none. */
static bool split_origin(struct str origin, struct cors_origin *ret_origin)
{
    ssize_t mark = str_find(origin, STR("://"));

    *ret_origin = (struct cors_origin){0};
    if (mark <= 0)
        return false;
    ret_origin->scheme = str_slice(origin, 0, (size_t)mark);
    struct str host = str_slice(origin, (size_t)mark + 3, origin.len);
    size_t after_brackets = 0;

    if (host.len > 0 && host.ptr[0] == '[') {
        ssize_t close = str_find_char(host, ']', 0);

        if (close < 0)
            return false;
        after_brackets = (size_t)close;
    }
    ssize_t colon = str_find_char(host, ':', after_brackets);

    if (colon >= 0) {
        ret_origin->port = str_slice(host, (size_t)colon, host.len);
        host = str_slice(host, 0, (size_t)colon);
    }
    if ((str_eq_nocase(ret_origin->scheme, STR("https")) &&
         str_eq(ret_origin->port, STR(":443"))) ||
        (str_eq_nocase(ret_origin->scheme, STR("http")) && str_eq(ret_origin->port, STR(":80"))))
        ret_origin->port = STR("");
    ret_origin->host = host;
    return host.len > 0;
}

static bool compile_origin(struct arena *arena, struct str text, struct cors_origin *ret_origin)
{
    if (!split_origin(lower(arena, text), ret_origin))
        return false;
    if (ret_origin->host.ptr[0] == '*') {
        ret_origin->is_wildcard = true;
        ret_origin->host = str_slice(ret_origin->host, 1, ret_origin->host.len);
    }
    return str_find_char(ret_origin->host, '*', 0) < 0;
}

static bool has_star(const struct str *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(items[i], STR("*")))
            return true;
    }
    return false;
}

static struct str join(struct arena *arena, const struct str *items, size_t n)
{
    size_t n_bytes = 0;
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        n_bytes += items[i].len + 2;
    char *text = arena_bytes(arena, n_bytes);

    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            memcpy(text + at, ", ", 2);
            at += 2;
        }
        if (items[i].len > 0)
            memcpy(text + at, items[i].ptr, items[i].len);
        at += items[i].len;
    }
    return str_make(text, at);
}

int cors_init(struct cors *c, struct arena *arena, const struct cors_policy *policy,
              size_t *ret_bad)
{
    struct cors_origin *origins = ARENA_ARRAY(arena, struct cors_origin, policy->n_origins);

    *c = (struct cors){.origins = origins, .may_credentials = policy->may_credentials};
    for (size_t i = 0; i < policy->n_origins; i++) {
        if (str_eq(policy->origins[i], STR("*"))) {
            c->may_any_origin = true;
        } else if (!compile_origin(arena, policy->origins[i], &origins[c->n_origins++])) {
            *ret_bad = i;
            return CORS_BAD_ORIGIN;
        }
    }
    c->may_any_method = has_star(policy->methods, policy->n_methods);
    c->may_any_header = has_star(policy->headers, policy->n_headers);
    c->methods = c->may_any_method ? STR("*") : join(arena, policy->methods, policy->n_methods);
    c->headers = c->may_any_header ? STR("*") : join(arena, policy->headers, policy->n_headers);
    /* With credentials "*" would be the literal name of a header. */
    if (!has_star(policy->expose, policy->n_expose))
        c->expose = join(arena, policy->expose, policy->n_expose);
    else if (!policy->may_credentials)
        c->expose = STR("*");
    if (policy->max_age_s >= 0)
        c->max_age = arena_printf(arena, "%lld", (long long)policy->max_age_s);
    return 0;
}

bool cors_is_preflight(const struct http_request *request)
{
    return request->method == HTTP_METHOD_OPTIONS &&
           http_headers_find_id(&request->headers, HEADER_ORIGIN) &&
           http_headers_find_id(&request->headers, HEADER_ACCESS_CONTROL_REQUEST_METHOD);
}

static bool is_listed(const struct http_request *preflight, struct str name)
{
    const struct http_headers *h = &preflight->headers;

    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->items[i].value;
        struct str member;

        if (h->items[i].id != HEADER_ACCESS_CONTROL_REQUEST_HEADERS)
            continue;
        while (str_split(&rest, ',', &member)) {
            if (str_eq_nocase(str_trim(member), name))
                return true;
        }
    }
    return false;
}

/* Safelisted (Fetch 2.2.2), or the browser's own. */
static bool is_unlisted(struct str name)
{
    static const char *const names[] = {
        "accept",
        "accept-language",
        "content-language",
        "content-type",
        "range",
        "accept-charset",
        "accept-encoding",
        "connection",
        "content-length",
        "cookie",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    };

    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        if (str_eq_nocase(name, str_of(names[i])))
            return true;
    }
    return str_starts_with_nocase(name, STR("sec-")) || str_starts_with_nocase(name, STR("proxy-"));
}

bool cors_may_bring(const struct http_request *preflight, struct str name)
{
    return is_unlisted(name) || is_listed(preflight, name) ||
           http_headers_find(&preflight->headers, name);
}

static bool is_host_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = str_lower_char(s.ptr[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'))
            return false;
    }
    return s.len > 0;
}

static bool origin_is(const struct cors_origin *allowed, const struct cors_origin *origin)
{
    if (!str_eq_nocase(allowed->scheme, origin->scheme) || !str_eq(allowed->port, origin->port))
        return false;
    if (!allowed->is_wildcard)
        return str_eq_nocase(allowed->host, origin->host);
    return origin->host.len > allowed->host.len &&
           str_ends_with_nocase(origin->host, allowed->host) && is_host_text(origin->host);
}

bool cors_allows_origin(const struct cors *c, struct str origin)
{
    struct cors_origin parts;

    if (origin.len == 0)
        return false;
    /* With credentials the origin is repeated: "*" would be read as any. */
    if (c->may_any_origin)
        return !c->may_credentials || !(str_eq(origin, STR("null")) || str_eq(origin, STR("*")));
    if (!split_origin(origin, &parts))
        return false;
    for (uint32_t i = 0; i < c->n_origins; i++) {
        if (origin_is(&c->origins[i], &parts))
            return true;
    }
    return false;
}

static void add_vary(struct http_headers *response, struct str name)
{
    for (unsigned i = 0; i < response->n; i++) {
        struct str rest = response->items[i].value;
        struct str member;

        if (response->items[i].id != HEADER_VARY)
            continue;
        while (str_split(&rest, ',', &member)) {
            member = str_trim(member);
            if (str_eq_nocase(member, name) || str_eq(member, STR("*")))
                return;
        }
    }
    http_headers_add_id(response, HEADER_VARY, name);
}

static void put(struct http_headers *response, struct str name, struct str value)
{
    if (value.len > 0)
        http_headers_set(response, name, value);
}

/* Origin and credentials: common to both kinds of answer. False when the origin is not allowed. */
static bool write_origin(const struct cors *c, const struct http_request *request,
                         struct http_headers *response)
{
    const struct http_header *origin = http_headers_find_id(&request->headers, HEADER_ORIGIN);
    bool is_constant = c->may_any_origin && !c->may_credentials;

    if (!is_constant)
        add_vary(response, STR("origin"));
    if (!origin || !cors_allows_origin(c, origin->value))
        return false;
    put(response, STR("access-control-allow-origin"), is_constant ? STR("*") : origin->value);
    if (c->may_credentials)
        put(response, STR("access-control-allow-credentials"), STR("true"));
    else
        http_headers_remove(response, STR("access-control-allow-credentials"));
    return true;
}

/* "*", or with credentials what the browser asked for. */
static struct str allowed_list(const struct cors *c, bool may_any, struct str list,
                               const struct http_request *request, enum header_id asked)
{
    if (!may_any || !c->may_credentials)
        return list;
    const struct http_header *header = http_headers_find_id(&request->headers, asked);

    return header ? header->value : STR("");
}

bool cors_write_preflight(const struct cors *c, const struct http_request *request,
                          struct http_headers *response)
{
    add_vary(response, STR("access-control-request-method"));
    add_vary(response, STR("access-control-request-headers"));
    if (!write_origin(c, request, response))
        return false;
    put(response, STR("access-control-allow-methods"),
        allowed_list(c, c->may_any_method, c->methods, request,
                     HEADER_ACCESS_CONTROL_REQUEST_METHOD));
    put(response, STR("access-control-allow-headers"),
        allowed_list(c, c->may_any_header, c->headers, request,
                     HEADER_ACCESS_CONTROL_REQUEST_HEADERS));
    put(response, STR("access-control-max-age"), c->max_age);
    return true;
}

void cors_write_actual(const struct cors *c, const struct http_request *request,
                       struct http_headers *response)
{
    if (write_origin(c, request, response))
        put(response, STR("access-control-expose-headers"), c->expose);
}
