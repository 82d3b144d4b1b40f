/* The bounds of rules from one snapshot to the next: which of them are one, and what a snapshot
 * asks of those that there were. */
#include <stdio.h>

#include "base/mem.h"
#include "gateway/compile/compile_api.h"
#include "test/harness/test.h"

static const char head[] =
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: GatewayClass\n"
    "metadata: {name: c}\n"
    "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: Gateway\n"
    "metadata: {name: front}\n"
    "spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: HTTP}]}\n"
    "---\n"
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"
    "kind: Backend\n"
    "metadata: {name: a}\n"
    "spec: {endpoints: [{ip: {address: 127.0.0.1, port: 80}}]}\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: HTTPRoute\n"
    "metadata: {name: r}\n"
    "spec: {parentRefs: [{name: front}], rules: [\n"
    "  {backendRefs: [{name: a, kind: Backend, group: gateway.envoyproxy.io}]},\n"
    "  {matches: [{path: {value: /b}}],\n"
    "   backendRefs: [{name: a, kind: Backend, group: gateway.envoyproxy.io}]},\n"
    "  {name: own, matches: [{path: {value: /c}}],\n"
    "   backendRefs: [{name: a, kind: Backend, group: gateway.envoyproxy.io}]}]}\n";

static const char policy[] =
    "---\n"
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"
    "kind: BackendTrafficPolicy\n"
    "metadata: {name: %s}\n"
    "spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: %s}], circuitBreaker: {%s}}\n";

static struct loop loop;
static struct server server;

static void begin(void)
{
    static const struct server_options options = {.n_workers = 1,
                                                  .cluster_domain = {"cluster.local", 13}};

    CHECK_INT(loop_init(&loop), 0);
    CHECK_INT(server_init(&server, &loop, &options), 0);
}

static void finish(void)
{
    CHECK_INT(server.clusters.bounds.n_items, 0);
    server_deinit(&server);
    loop_deinit(&loop);
}

/* `name` NULL: no policy. */
static struct snapshot *compile(const char *name, const char *at, const char *breaker)
{
    struct manifest *m = MEM_NEW(struct manifest);
    struct snapshot *s = NULL;
    char text[sizeof head + sizeof policy + 256];
    int n = snprintf(text, sizeof text, "%s", head);

    if (name)
        n += snprintf(text + n, sizeof text - (size_t)n, policy, name, at, breaker);
    CHECK_INT(manifest_load_bytes(m, "test.yaml", str_make(text, (size_t)n), NULL), 0);
    CHECK_INT(compile_for_server(&server, m, &s), 0);
    return s;
}

static const struct breaker_limits *of_rule(const struct snapshot *s, uint32_t i)
{
    const struct route_plan *route = s->ports[0].listeners[0]->route_plans[0];

    CHECK(i < route->n_rules);
    return route->rules[i].breaker;
}

static void adopt(const struct snapshot *s)
{
    bounds_adopt(&server.clusters, s->bounds, s->n_bounds);
}

TEST(bounds_of_rules_are_those_of_the_last_snapshot_wherever_they_come_from)
{
    struct snapshot *old, *next;

    begin();
    old = compile("p", "Gateway, name: front", "maxConnections: 1, maxParallelRequests: 7");
    adopt(old);
    const struct breaker_limits *l = of_rule(old, 0);

    CHECK(l && l == of_rule(old, 1) && of_rule(old, 2) && l != of_rule(old, 2));
    next = compile("other", "HTTPRoute, name: r", "maxConnections: 3");
    CHECK(of_rule(next, 0) == l);
    CHECK_MSG(breaker_limit(&l->n_connections) == 1, "nothing is adopted yet");
    adopt(next);
    CHECK_INT(breaker_limit(&l->n_connections), 3);
    CHECK_INT(breaker_limit(&l->n_requests), 1024);
    CHECK_INT(breaker_limit(&of_rule(old, 2)->n_connections), 3);
    snapshot_free(next);
    next = compile("other", "HTTPRoute, name: r, sectionName: own", "maxConnections: 4");
    adopt(next);
    CHECK(!of_rule(next, 0) && of_rule(next, 2) == of_rule(old, 2));
    CHECK_INT(breaker_limit(&l->n_connections), BOUNDED_COUNT_MAX);
    CHECK_INT(breaker_limit(&of_rule(old, 2)->n_connections), 4);
    snapshot_free(old);
    CHECK_INT(server.clusters.bounds.n_items, 2);
    snapshot_free(next);
    finish();
}

TEST(bounds_that_an_error_hides_stay_as_they_were)
{
    struct snapshot *old, *next;

    begin();
    old = compile("p", "Gateway, name: front", "maxConnections: 1");
    next = compile("p", "Gateway, name: front", "maxConnections: lots");
    adopt(next);
    CHECK(!of_rule(next, 0));
    CHECK_INT(breaker_limit(&of_rule(old, 0)->n_connections), 1);
    snapshot_free(next);
    next = compile(NULL, NULL, NULL);
    adopt(next);
    CHECK(!of_rule(next, 0));
    CHECK_INT(breaker_limit(&of_rule(old, 0)->n_connections), BOUNDED_COUNT_MAX);
    snapshot_free(old);
    snapshot_free(next);
    finish();
}
