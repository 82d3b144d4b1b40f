/* Between route_table.c, which compiles single matches, and route_build.c, which sorts and lays
 * them out. Nobody else includes this. */
#pragma once

#include "base/vec.h"
#include "policy/route_layout.h"
#include "policy/route_table.h"

/* One added match with the facts that only ordering needs. */
struct route_draft {
    struct route_match *match;
    size_t path_len; /* of a GRPCRoute: characters of the service */
    size_t n_method; /* of a GRPCRoute, else 0 */
    unsigned n_headers;
    int64_t created_unix_s;
    struct str route_name;
    uint32_t rule_index;
    uint32_t match_index;
    size_t number; /* of adding */
    const struct str *hosts;
    size_t n_hosts;
};

struct route_draft_list {
    struct route_draft *items;
    size_t n;
    size_t cap;
};

/* Sorts the drafts and lays the table out in `arena`; `scratch` holds what only building needs. */
struct route_table *route_layout_build(struct route_draft_list *drafts, struct arena *arena,
                                       struct arena *scratch);
