/* Checking one compiled match against a request. Pure; the match is immutable and shared. Leaves
 * host and path lookup to route_cursor, compiling to route_table. */
#include "policy/route_match.h"

#include "base/limits.h"

static enum regex_verdict check_header(const struct route_condition *c,
                                       const struct http_headers *headers)
{
    if (c->regex)
        return field_header_matches(headers, &c->name, c->regex);
    return field_header_is(headers, &c->name, c->value) ? REGEX_HIT : REGEX_MISS;
}

/* Host is not in the header list of a request, but a manifest may still name it. */
static enum regex_verdict check_host(const struct route_condition *c,
                                     const struct http_request *request)
{
    if (request->authority.len == 0)
        return REGEX_MISS;
    if (c->regex)
        return regex_match(c->regex, request->authority);
    return str_eq_nocase(request->authority, c->value) ? REGEX_HIT : REGEX_MISS;
}

static enum regex_verdict check_query(const struct route_condition *c, struct str query)
{
    char room[LIMIT_TARGET_BYTES];

    if (!query.ptr)
        return REGEX_MISS;
    if (query.len > sizeof room)
        return REGEX_LIMIT;
    struct str value = field_query_value(query, c->name.text, room, sizeof room);

    if (!value.ptr)
        return REGEX_MISS;
    if (c->regex)
        return regex_match(c->regex, value);
    return str_eq(value, c->value) ? REGEX_HIT : REGEX_MISS;
}

static bool check_method(const struct route_match *m, const struct http_request *request)
{
    if (!m->has_method)
        return true;
    if (m->method != request->method)
        return false;
    return m->method != HTTP_METHOD_OTHER || str_eq(m->method_text, request->method_text);
}

static enum regex_verdict check_queries(const struct route_match *m, struct str query)
{
    enum regex_verdict verdict = REGEX_HIT;

    for (unsigned i = 0; i < m->n_queries && verdict == REGEX_HIT; i++)
        verdict = check_query(&m->queries[i], query);
    return verdict;
}

static enum regex_verdict check_early(const struct route_condition *c,
                                      const struct http_request *request)
{
    return c->name.id == HEADER_HOST ? check_host(c, request) : check_header(c, &request->headers);
}

enum regex_verdict route_match_bare(const struct route_match *m, const struct http_request *request)
{
    return check_method(m, request) ? check_queries(m, request->query) : REGEX_MISS;
}

enum regex_verdict route_match_early(const struct route_match *m,
                                     const struct http_request *request)
{
    enum regex_verdict verdict = check_method(m, request) ? REGEX_HIT : REGEX_MISS;

    for (unsigned i = 0; i < m->n_early && verdict == REGEX_HIT; i++)
        verdict = check_early(&m->early[i], request);
    /* Last: they cost most, and one at its limit refuses what a header has not excluded. */
    return verdict == REGEX_HIT ? check_queries(m, request->query) : verdict;
}

enum regex_verdict route_match_late(const struct route_match *m, const struct http_headers *headers)
{
    enum regex_verdict verdict = REGEX_HIT;

    for (unsigned i = 0; i < m->n_late && verdict == REGEX_HIT; i++)
        verdict = check_header(&m->late[i], headers);
    return verdict;
}

/* ---- why not ---- */

static struct route_reason reason_of(enum regex_verdict verdict, enum route_criterion missed,
                                     const struct route_condition *c)
{
    return (struct route_reason){verdict == REGEX_HIT     ? ROUTE_MEETS_ALL
                                 : verdict == REGEX_LIMIT ? ROUTE_AT_LIMIT
                                                          : missed,
                                 c};
}

struct route_reason route_match_early_reason(const struct route_match *m,
                                             const struct http_request *request)
{
    struct route_reason reason = {ROUTE_MEETS_ALL, NULL};

    if (!check_method(m, request))
        return (struct route_reason){ROUTE_MISSES_METHOD, NULL};
    for (unsigned i = 0; i < m->n_early && reason.by == ROUTE_MEETS_ALL; i++)
        reason = reason_of(check_early(&m->early[i], request), ROUTE_MISSES_HEADER, &m->early[i]);
    for (unsigned i = 0; i < m->n_queries && reason.by == ROUTE_MEETS_ALL; i++)
        reason = reason_of(check_query(&m->queries[i], request->query), ROUTE_MISSES_QUERY,
                           &m->queries[i]);
    return reason;
}

struct route_reason route_match_late_reason(const struct route_match *m,
                                            const struct http_headers *headers)
{
    struct route_reason reason = {ROUTE_MEETS_ALL, NULL};

    for (unsigned i = 0; i < m->n_late && reason.by == ROUTE_MEETS_ALL; i++)
        reason = reason_of(check_header(&m->late[i], headers), ROUTE_MISSES_LATE, &m->late[i]);
    return reason;
}

bool route_path_has_prefix(struct str path, struct str prefix)
{
    if (!str_starts_with(path, prefix))
        return false;
    /* "" takes every path, but not the "*" of OPTIONS. */
    if (path.len == prefix.len)
        return prefix.len > 0;
    return path.ptr[prefix.len] == '/';
}
