/* Which listeners are opened where: those that link found good, by address, port and host. Only
 * here are addresses known and TLS set up, so that what fails by them is judged here too; a
 * listener falls alone.
 *
 * Gateways that share an address share its ports, and listeners of one port and host are one
 * (Gateway API, "GatewaySpec": merged when they are compatible). Compatible are those with the same
 * settings for clients, logs and TLS; of others the older Gateway's is opened. The routes of those
 * that are one are settled as those of a single one are (link_merged_conflicts). Compile thread. */
#pragma once

#include "gateway/compile/compile.h"

struct port_draft {
    struct port_plan plan;
    VEC(struct listener_draft) listeners;
};

struct port_draft_vec {
    struct port_draft *items;
    size_t n;
    size_t cap;
};

/* Every draft has a listener, and every listener a member. In c->scratch. */
void compile_gather(struct compile *c, struct port_draft_vec *ports);
