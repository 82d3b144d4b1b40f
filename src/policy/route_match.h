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
/* PathPrefix by path elements (Gateway API PathMatchPathPrefix): `prefix` without trailing slash,
 * "" matching every path. */
bool route_path_has_prefix(struct str path, struct str prefix);
