/* The routing table of one listener: every match of every rule, ordered by the precedence of the
 * Gateway API (HTTPRouteMatch; GEP-718 for route names) and indexed so that a lookup costs the same
 * with ten routes and with thousands. Built by one thread, immutable afterwards, read by all.
 *
 * Order of candidates for one request: most specific host pattern only (no falling through) > Exact
 * path > RegularExpression path, longer pattern first (as Envoy Gateway ranks them) > longest
 * PathPrefix > has a method > more headers > more query parameters > oldest creation > rule of an
 * AIGatewayRoute > "namespace/name" > order of rules > order of matches > order of adding.
 *
 * A GRPCRoute's match has the path "/service/method" of its call: both names make an Exact path,
 * the service alone a PathPrefix, the method alone a suffix under the prefix "/". Where paths are
 * equal or patterns, more characters of the service come first, then of the method (GRPCRouteRule).
 */
#pragma once

#include "policy/route_match.h"

struct route_table;
struct route_table_builder;

/* Conditions of route_table_builder_add. */
enum route_condition_code {
    ROUTE_BAD_REGEX = 1, /* *ret_error says where and why */
    ROUTE_TOO_MANY = 2,  /* more than LIMIT_ROUTE_CONDITIONS conditions in one match */
};

struct route_field_spec {
    struct str name; /* headers: any case */
    struct str value;
    bool is_regex;
};

/* One match of one rule, as configured. Everything is copied. */
struct route_spec {
    const struct str *hosts; /* lower-case patterns; none: any host */
    size_t n_hosts;
    enum route_path_kind path_kind;
    struct str path;        /* "" counts as "/"; in the normalized form of http/path.h */
    struct str path_suffix; /* with ROUTE_PATH_PREFIX: how the path must end too; "": anyhow */
    struct str method;      /* "": any */
    const struct route_field_spec *headers;
    size_t n_headers;
    const struct route_field_spec *queries;
    size_t n_queries;
    int64_t created_unix_s; /* 0: unknown, ranks behind every known one */
    bool is_ai;             /* rule of an AIGatewayRoute: candidates only for AI endpoints */
    bool is_grpc;           /* rule of a GRPCRoute: candidates only for calls of gRPC */
    size_t n_service;       /* of a GRPCRoute: characters of the service that it names */
    size_t n_method;        /* and of the method */
    struct str route_name;  /* "namespace/name" */
    uint32_t rule_index;
    uint32_t match_index;
    uint32_t auth_group; /* which authentication leaves the late headers; equal ids, equal values */
    void *rule;          /* handed back in the match */
};

/* `arena` gets the table; `late` are the listener's late headers, copied by reference. */
struct route_table_builder *route_table_builder_new(struct arena *arena,
                                                    const struct name_set *late);
/* 0 or a route_condition_code (nothing added then). `ret_error` may be NULL. */
MUST_USE int route_table_builder_add(struct route_table_builder *b, const struct route_spec *spec,
                                     struct regex_error *ret_error);
/* The finished table; frees the builder. */
const struct route_table *route_table_build(struct route_table_builder *b);
/* Frees a builder that shall not be built; NULL is nothing. */
void route_table_builder_free(struct route_table_builder *b);
/* Matches in the table, each counted once whatever its number of hosts. */
size_t route_table_n_matches(const struct route_table *t);
/* The one of that rank. */
const struct route_match *route_table_at(const struct route_table *t, size_t rank);
