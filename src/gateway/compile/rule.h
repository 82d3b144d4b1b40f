/* Between the files of compile/ that make rules: route.c (HTTPRoutes, and what all rules have),
 * ai_route.c (AIGatewayRoutes), grpc_route.c (GRPCRoutes), cluster.c (their backends). Compile
 * thread. */
#pragma once

#include "gateway/compile/compile.h"

/* One backendRef becomes one or more weighted entries. */
struct backend_draft {
    struct backend_plan plan;
    uint64_t weight;
    uint64_t priority; /* 0 is tried first */
};
/* Divisible by 1..10: names of one Backend share its weight evenly. */
enum { COMPILE_WEIGHT_SCALE = 2520 };
struct backend_draft_vec {
    struct backend_draft *items;
    size_t n;
    size_t cap;
};

struct route_table_builder;
struct route_spec;

/* One attached route while its rules are compiled. */
struct compile_rules {
    struct compile *c;
    struct compile_place at;
    const struct attached_route *attached;
    struct listener_plan *listener;
    struct route_table_builder *builder;
};

/* The row of the listener's table for one match of r->at.rule; host, route and rule are filled in
 * here. */
void compile_add_match(struct compile_rules *r, struct route_spec *spec, struct mark mark);
/* Rule `index` of the route is at hand, with its names, and with what connections to its backends
 * have from policies. `kind` for the log, "httproute". */
void compile_rule_begin(struct compile_rules *r, struct str name, const char *kind, uint32_t index);
/* Conditions on headers or query parameters as the table wants them, in `a`. */
struct route_field_spec;
struct route_field_spec *compile_values(struct arena *a, const struct http_value_match *items,
                                        size_t n);
/* compile_path for requests that a listener reads by `reading` (client_path_reading). */
bool compile_path_as(struct compile *c, struct object *o, struct mark mark, struct str path,
                     unsigned reading, struct str *ret);
/* The backendRefs of an HTTPRoute's or a GRPCRoute's rule, with their filters. */
void compile_route_backends(struct compile_rules *r, const struct http_backend_ref *refs, size_t n);
/* What a rule has from policies: timeouts, security. After its filters and backends. */
void compile_rule_done(struct compile_rules *r);
/* The drafts become the rule's backends, in order of priority. */
void compile_backends(struct compile_rules *r, struct backend_draft_vec *drafts);
static inline uint64_t duration_or(struct opt_duration d, uint64_t otherwise)
{
    return d.is_set ? d.us : otherwise;
}

/* As struct attempt has it: 0s is no limit. */
static inline uint64_t compile_idle_time(struct opt_duration d)
{
    return !d.is_set ? 0 : d.us ? d.us : UINT64_MAX;
}

/* The rules of an AIGatewayRoute, of a GRPCRoute. */
void compile_ai_route(struct compile_rules *r);
void compile_grpc_route(struct compile_rules *r);
