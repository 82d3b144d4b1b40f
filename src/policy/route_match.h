/* One match of one rule, compiled: the conditions that remain to be checked once host and path have
 * been looked up. Immutable, read by all threads. */
#pragma once

#include "http/message.h"
#include "policy/field_value.h"
#include "policy/name_set.h"

enum route_path_kind {
    ROUTE_PATH_PREFIX,
    ROUTE_PATH_REGEX,
    ROUTE_PATH_EXACT,
};

/* A condition on a header or a query parameter: Exact, or RegularExpression when `regex` is set. */
struct route_condition {
    struct field_name name;
    struct str value;
    const struct regex *regex;
};

/* By what one match comes before another that holds as well, in this order: name, words. */
#define ROUTE_PRECEDENCES(X)                                                                       \
    X(PATH_KIND, "an exact path goes before a pattern, and that before a prefix")                  \
    X(PATH_LENGTH, "the longer path, pattern or service goes first")                               \
    X(CALL_LENGTH, "the longer gRPC method goes first")                                            \
    X(METHOD, "a rule that names the method goes first")                                           \
    X(HEADERS, "more header conditions go first")                                                  \
    X(QUERIES, "more query conditions go first")                                                   \
    X(AGE, "the older route goes first")                                                           \
    X(AI, "a rule of an AIGatewayRoute goes first")                                                \
    X(NAME, "the route whose namespace/name sorts first goes first")                               \
    X(RULE, "of one route the earlier rule goes first")                                            \
    X(MATCH, "of one rule the earlier match goes first")                                           \
    X(ADDING, "what was attached first goes first")

enum route_precedence {
#define X(name, words) ROUTE_PRECEDENCE_##name,
    ROUTE_PRECEDENCES(X)
#undef X
        ROUTE_PRECEDENCES_,
};

/* What most requests need comes first, in one cache line. */
struct route_match {
    uint32_t rank;       /* place in the precedence order of its table, 0 first */
    uint32_t auth_group; /* as given to the builder */
    void *rule;          /* as given to the builder */
    uint16_t n_early;    /* header conditions that the request head alone decides */
    uint16_t n_late;     /* header conditions on late headers: left to route_match_late */
    uint16_t n_queries;
    enum route_path_kind path_kind : 8;
    bool has_method : 1;
    bool is_ai : 1;
    bool is_grpc : 1;
    /* By what the match of the next lower rank comes before it. What a match of any lower rank is
     * before it by is the least of all between them. */
    enum route_precedence behind_by : 4;
    struct str path; /* as configured, a prefix without its trailing slash ("" for "/") */
    const struct regex *path_regex;
    enum http_method method; /* with method_text when it is HTTP_METHOD_OTHER */
    const struct route_condition *early;
    const struct route_condition *late;
    const struct route_condition *queries;
    struct str method_text;
    struct str path_suffix; /* empty: the path may end anyhow */
};

/* A list of matches by rank. */
struct route_list {
    const struct route_match *const *items;
    size_t n;
};

/* The first of its criteria that a match does not meet. */
enum route_criterion {
    ROUTE_MEETS_ALL,
    ROUTE_MISSES_HOST, /* it is for other host names, or less specific ones */
    ROUTE_MISSES_PATH,
    ROUTE_MISSES_ENDPOINT, /* an AIGatewayRoute's: this is no AI endpoint */
    ROUTE_MISSES_CALL,     /* a GRPCRoute's: this is no call of gRPC */
    ROUTE_MISSES_METHOD,
    ROUTE_MISSES_HEADER, /* `condition` */
    ROUTE_MISSES_QUERY,  /* `condition` */
    ROUTE_MISSES_LATE,   /* `condition`, on a header that authentication or the model writes */
    ROUTE_AT_LIMIT,      /* a pattern of it took too long */
};
struct route_reason {
    enum route_criterion by;
    const struct route_condition *condition;
};

/* Do method, early headers and query parameters hold? (Host and path: the table's work.) */
enum regex_verdict route_match_early(const struct route_match *m,
                                     const struct http_request *request);
/* The same without the headers. */
enum regex_verdict route_match_bare(const struct route_match *m,
                                    const struct http_request *request);
/* Do the conditions on late headers hold, for these headers as the rule's own authentication leaves
 * them? REGEX_HIT when there are none. */
enum regex_verdict route_match_late(const struct route_match *m,
                                    const struct http_headers *headers);
/* Why route_match_early, route_match_late do not hold: the same questions, one by one. */
struct route_reason route_match_early_reason(const struct route_match *m,
                                             const struct http_request *request);
struct route_reason route_match_late_reason(const struct route_match *m,
                                            const struct http_headers *headers);
/* PathPrefix by path elements (Gateway API PathMatchPathPrefix): `prefix` without trailing slash,
 * "" matching every path. */
bool route_path_has_prefix(struct str path, struct str prefix);
