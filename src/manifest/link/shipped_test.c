/* The shipped manifests: no error as a whole, exactly the foreseen kinds of notes, and, added file
 * by file in the document's deployment order, nothing worse than what is not there yet. */
#include "manifest/gateway.h"
#include "manifest/http_route.h"
#include "manifest/manifest.h"
#include "test/harness/test.h"

static const char *const deployment_order[] = {
    SHIPPED_FOLDER "/gateway/gatewayclass.yaml",
    SHIPPED_FOLDER "/gateway/ai-gateway.yaml",
    SHIPPED_FOLDER "/backends/backends.yaml",
    SHIPPED_FOLDER "/backends/ai-service-backends.yaml",
    SHIPPED_FOLDER "/security/reference-grants.yaml",
    SHIPPED_FOLDER "/security/jwt-security-policy.yaml",
    SHIPPED_FOLDER "/security/backend-security-policy.yaml",
    SHIPPED_FOLDER "/routing/httproute.yaml",
    SHIPPED_FOLDER "/policies/rate-limiting.yaml",
    SHIPPED_FOLDER "/observability/telemetry-config.yaml",
};

static struct manifest m;

static size_t count(enum diag_code code)
{
    size_t n = 0;

    VEC_FOREACH (&m.diags.items, d)
        n += d->code == code;
    return n;
}

TEST(shipped_manifests_have_no_errors_and_the_foreseen_notes)
{
    const char *paths[] = {SHIPPED_FOLDER};

    CHECK_INT(manifest_load(&m, paths, 1, NULL), 0);
    CHECK_INT(m.diags.n_errors, 0);
    CHECK_INT(count(DIAG_OLDER_FORM), 2);          /* the AIGatewayRoute's targetRefs and schema */
    CHECK_INT(count(DIAG_BYPASS), 2);              /* the HTTPRoute reaches both guarded Backends */
    CHECK_INT(count(DIAG_MISSING_CORE_OBJECT), 5); /* two Secrets, three Services */
    CHECK_INT(count(DIAG_DIFFERENCE), 2);          /* two founding-form policies */
    CHECK_INT(count(DIAG_NOT_FOR_GATEWAY), 1);     /* the authorizer's Deployment */
    CHECK_INT(count(DIAG_INEFFECTIVE), 0);
    CHECK_INT(count(DIAG_CONFLICT), 0);
    manifest_deinit(&m);
}

TEST(shipped_manifests_link_as_drawn)
{
    const char *paths[] = {SHIPPED_FOLDER};
    struct str ns = STR("envoy-gateway-system");
    struct policy_chain chain;
    struct gateway *g;

    CHECK_INT(manifest_load(&m, paths, 1, NULL), 0);
    g = CONTAINER_OF(manifest_get(&m, KIND_GATEWAY, ns, STR("ai-inference-gateway")),
                     struct gateway, object);
    const struct object *http = manifest_get(&m, KIND_HTTP_ROUTE, ns, STR("ai-inference-routes"));
    const struct object *ai =
        manifest_get(&m, KIND_AI_GATEWAY_ROUTE, ns, STR("ai-inference-gateway"));

    CHECK(g->is_ours && g->envoy_proxy != NULL);
    CHECK_INT(g->spec.listeners.n, 2);
    VEC_FOREACH (&g->spec.listeners, l)
        CHECK_INT(l->routes.n, 2);
    CHECK(g->spec.listeners.items[0].is_programmed);
    chain = manifest_policy_chain(&m, KIND_SECURITY_POLICY, http, STR(""), &g->object, STR("http"));
    CHECK_INT(chain.n, 1);
    CHECK(manifest_policies_at(&m, KIND_SECURITY_POLICY, ai, STR(""))->items[0] == chain.items[0]);
    CHECK_INT(manifest_policies_at(&m, KIND_BACKEND_TRAFFIC_POLICY, &g->object, STR(""))->n, 1);
    CHECK_INT(manifest_policies_at(&m, KIND_BACKEND_SECURITY_POLICY,
                                   manifest_get(&m, KIND_BACKEND, ns, STR("sklearn-iris-backend")),
                                   STR(""))
                  ->n,
              2);
    manifest_deinit(&m);
}

TEST(shipped_manifests_load_file_by_file_in_deployment_order)
{
    struct str ns = STR("envoy-gateway-system");

    for (size_t n = 1; n <= N_ELEMENTS(deployment_order); n++) {
        CHECK_INT(manifest_load(&m, deployment_order, n, NULL), 0);
        CHECK_MSG(m.diags.n_errors == m.n_incomplete, "after %zu files", n);
        if (n >= 2) {
            struct object *o = manifest_get(&m, KIND_GATEWAY, ns, STR("ai-inference-gateway"));

            CHECK(CONTAINER_OF(o, struct gateway, object)->spec.listeners.items[0].is_programmed);
        }
        manifest_deinit(&m);
    }
}
