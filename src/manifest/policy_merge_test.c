/* Merging of policies: what a route's policy gives is laid over its Gateway's. */
#include "manifest/policy_merge.h"

#include "manifest/backend_traffic_policy.h"
#include "manifest/security_policy.h"
#include "test/harness/test.h"

static struct manifest manifest;

static struct policy_chain load(enum kind_id kind, const char *yaml)
{
    struct manifest_options options = {0};
    struct policy_chain chain = {0};

    CHECK_INT(manifest_load_bytes(&manifest, "sample.yaml", str_of(yaml), &options), 0);
    chain.items[chain.n++] = manifest_get(&manifest, kind, STR("default"), STR("route"));
    chain.items[chain.n++] = manifest_get(&manifest, kind, STR("default"), STR("gateway"));
    CHECK(chain.items[0] && chain.items[1]);
    return chain;
}

#define HEAD(kind_, name_, target_)                                                                \
    "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: " kind_ "\nmetadata: {name: " name_    \
    "}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: " target_ ", name: x}]\n"

TEST(without_merge_type_the_most_specific_policy_holds_as_a_whole)
{
    struct policy_chain chain =
        load(KIND_BACKEND_TRAFFIC_POLICY,
             HEAD("BackendTrafficPolicy", "route",
                  "HTTPRoute") "  timeout: {http: {requestTimeout: "
                               "1s}}\n" HEAD("BackendTrafficPolicy", "gateway",
                                             "Gateway") "  timeout: {tcp: "
                                                        "{connectTimeout: "
                                                        "2s}}\n");
    struct merged_policy p = policy_merge(&manifest.arena, &chain);
    const struct backend_traffic_policy_spec *s = p.spec;

    CHECK_INT(p.n_policies, 1);
    CHECK(s->cluster.timeout->tcp == NULL);
    CHECK_INT(s->cluster.timeout->http->request_timeout.us, 1000000);
    manifest_deinit(&manifest);
}

TEST(merge_type_lays_the_route_over_the_gateway)
{
    struct policy_chain chain =
        load(KIND_BACKEND_TRAFFIC_POLICY,
             HEAD("BackendTrafficPolicy", "route",
                  "HTTPRoute") "  mergeType: StrategicMerge\n"
                               "  timeout: {http: {requestTimeout: 1s}}\n"
                               "  retry: {retryOn: {httpStatusCodes: [503]}}\n"
                               "  circuitBreaker: null\n"
                               "  httpUpgrade: [{type: spdy}, {type: websocket}]\n" HEAD(
                                   "BackendTrafficPolicy", "gateway",
                                   "Gateway") "  timeout: {tcp: {connectTimeout: 2s}, http: "
                                              "{requestTimeout: 9s}}\n"
                                              "  retry: {numRetries: 5, retryOn: {httpStatusCodes: "
                                              "[500, 502]}}\n"
                                              "  circuitBreaker: {maxConnections: 1}\n"
                                              "  httpUpgrade: [{type: websocket}, {type: h2c}]\n");
    struct merged_policy p = policy_merge(&manifest.arena, &chain);
    const struct backend_traffic_policy_spec *s = p.spec;
    const struct backend_traffic_policy *gateway =
        (const struct backend_traffic_policy *)chain.items[1];

    CHECK_INT(p.n_policies, 2);
    CHECK_INT(s->cluster.timeout->tcp->connect_timeout.us, 2000000);
    CHECK_INT(s->cluster.timeout->http->request_timeout.us, 1000000);
    CHECK_INT(s->cluster.retry->num_retries.value, 5);
    CHECK_INT(s->cluster.retry->retry_on->http_status_codes.n, 1);
    CHECK(s->cluster.circuit_breaker == NULL);
    CHECK_INT(s->http_upgrade.n, 3);
    CHECK_STR(s->http_upgrade.items[2].type, "spdy");
    CHECK_STR(s->targets.refs.items[0].kind, "HTTPRoute");
    /* The parent's own object is left as it was. */
    CHECK_INT(gateway->spec.cluster.timeout->http->request_timeout.us, 9000000);
    CHECK_INT(gateway->spec.http_upgrade.n, 2);
    manifest_deinit(&manifest);
}

TEST(a_default_of_the_child_does_not_hide_what_the_parent_says)
{
    struct policy_chain chain =
        load(KIND_SECURITY_POLICY,
             HEAD("SecurityPolicy", "route",
                  "HTTPRoute") "  mergeType: JSONMerge\n"
                               "  authorization: {rules: [{action: Deny, principal: {clientCIDRs: "
                               "[10.0.0.0/8]}}]}\n" HEAD(
                                   "SecurityPolicy", "gateway",
                                   "Gateway") "  csrf: {}\n"
                                              "  cors: {allowOrigins: ['*']}\n"
                                              "  authorization: {defaultAction: Allow}\n");
    struct merged_policy p = policy_merge(&manifest.arena, &chain);
    const struct security_policy_spec *s = p.spec;

    CHECK_INT(s->authorization->default_action, RULE_ALLOW);
    CHECK_INT(s->authorization->rules.n, 1);
    CHECK_INT(s->cors->allow_origins.n, 1);
    CHECK(strcmp(security_policy_find_unenforced(s), "csrf") == 0);
    CHECK_INT(s->merge_type, MERGE_JSON);
    manifest_deinit(&manifest);
}

TEST(an_empty_chain_is_no_policy)
{
    struct policy_chain chain = {0};

    CHECK(policy_merge(&manifest.arena, &chain).spec == NULL);
}

TEST(chains_are_the_same_when_the_same_policies_take_part)
{
    struct policy_chain chain =
        load(KIND_BACKEND_TRAFFIC_POLICY, HEAD("BackendTrafficPolicy", "route", "HTTPRoute")
                                              HEAD("BackendTrafficPolicy", "gateway", "Gateway"));
    struct backend_traffic_policy_spec *route =
        &((struct backend_traffic_policy *)chain.items[0])->spec;
    struct policy_chain alone = {.items = {chain.items[0]}, .n = 1};
    struct policy_chain other = {.items = {chain.items[1]}, .n = 1};
    struct policy_chain none = {0};

    CHECK(policy_chain_is_same(&chain, &alone)); /* the route's holds as a whole */
    CHECK(!policy_chain_is_same(&chain, &other));
    CHECK(!policy_chain_is_same(&none, &alone));
    CHECK(policy_chain_is_same(&none, &none));
    route->merge_type = MERGE_STRATEGIC;
    CHECK(!policy_chain_is_same(&chain, &alone));
    CHECK(policy_chain_is_same(&chain, &chain));
    manifest_deinit(&manifest);
}
