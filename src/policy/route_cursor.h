/* Looking a request up: candidates in precedence order, one at a time. A candidate's host, path,
 * method, query parameters and early headers hold; its conditions on late headers are left to the
 * caller (route_match_late), who knows what the rule's authentication made of them. */
#pragma once

#include "policy/route_table.h"

enum route_step {
    ROUTE_END,       /* no further candidate */
    ROUTE_CANDIDATE, /* *ret_match is one */
    ROUTE_REFUSE,    /* a regular expression reached its limit: refuse the request (500) */
};

/* The value of a late header as `auth_group` leaves it; ptr NULL when absent. Several lines joined
 * with ",". Must stay valid until the next call. */
typedef struct str route_late_fn(void *context, uint32_t auth_group, struct str name);

struct route_run {
    struct route_list list;
    size_t at;
    bool may_skip;   /* shortlist: one candidate per run says enough */
    bool is_indexed; /* one early header condition of each is known to hold */
};

/* Lives on the stack or in the exchange; holds no resources. One thread. */
struct route_cursor {
    const struct route_table *table;
    const struct http_request *request;
    const struct route_vhost *vhost;
    route_late_fn *late_value;
    void *late_context;
    bool is_ai_endpoint;
    bool is_grpc;
    bool is_shortlist;
    bool ignores_headers;
    uint8_t stage;
    uint8_t n_runs;
    size_t prefix_end; /* boundaries at and above this one are done */
    const struct regex *last_regex;
    enum regex_verdict last_verdict;
    struct route_run runs[8];
};

/* Both are borrowed for as long as the cursor is used; request->path must be normalized.
 * `is_ai_endpoint`: rules of AIGatewayRoutes take part. Those of GRPCRoutes do where the request is
 * a call of gRPC (http/grpc/grpc_request.h). */
void route_cursor_init(struct route_cursor *c, const struct route_table *table,
                       const struct http_request *request, bool is_ai_endpoint);
/* From now on candidates whose indexed late header has another value than `fn` reports may be left
 * out (no obligation: still call route_match_late). Without it every one of them is a candidate. */
void route_cursor_set_late(struct route_cursor *c, route_late_fn *fn, void *context);
/* For the shortlist, where only the distinct authentications matter: of matches that differ in the
 * value of one late header under one auth_group, one that holds otherwise is enough. */
void route_cursor_set_shortlist(struct route_cursor *c);
/* For a CORS preflight, which tells the method of the request to come and none of its headers:
 * conditions on headers, late ones too, are taken as met. `request->method` is that method. */
void route_cursor_set_preflight(struct route_cursor *c);
/* Why a match of the table is no candidate: each of the cursor's questions by itself, whatever the
 * index would have spared, and where `late` is not NULL those on late headers too. For
 * explanations; the cursor does not move. */
struct route_reason route_cursor_reason(struct route_cursor *c, const struct route_match *m,
                                        const struct http_headers *late);
/* The host pattern whose matches take part, "" for those of any host; ptr NULL: there are none. */
struct str route_cursor_host(const struct route_cursor *c, struct arena *a);
/* `*ret_match` is set with ROUTE_CANDIDATE. */
enum route_step route_cursor_next(struct route_cursor *c, const struct route_match **ret_match);
