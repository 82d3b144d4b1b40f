/* compile: what the BackendTrafficPolicies of a rule's chain say of it. A part of the policy that
 * is more than a few lines has a file of its own, called from here. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"
#include "manifest/backend_traffic_policy.h"
#include "manifest/policy_merge.h"

/* The policies of one rule as they apply to it. */
struct compile_traffic {
    struct policy_chain chain;
    struct merged_policy merged;
    /* Of `merged`; NULL: no policy, or one with an error, of which nothing may be used. */
    const struct backend_traffic_policy_spec *spec;
    const struct cluster_http2 *http2; /* of connections to the rule's backends; NULL: defaults */
    struct cluster_lookup lookup;      /* of their names */
    bool follows_client;               /* backends are spoken to in the client's protocol */
    const struct cluster_transport *transport; /* NULL: defaults */
};

/* In the scratch arena; NULL: defaults. */
const struct cluster_http2 *compile_http2(struct compile *c, const struct http2_settings *s);
struct cluster_lookup compile_lookup(const struct cluster_dns *dns);
/* Before the backends of at->rule are compiled: at->traffic. */
void compile_traffic_begin(struct compile *c, struct compile_place *at);
/* After that: the rule's own part, into at->rule. */
void compile_traffic_rule(struct compile *c, struct compile_place *at);
