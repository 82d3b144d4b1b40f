/* What a snapshot holds of secrets is wiped when it goes: the credentials that the gateway presents
 * to backends. */
#include "base/mem.h"
#include "gateway/compile/compile_api.h"
#include "gateway/server.h"
#include "test/harness/memory.h"
#include "test/harness/test.h"

enum { KEY_BYTES = 200 };

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
    "apiVersion: aigateway.envoyproxy.io/v1alpha1\n"
    "kind: AIServiceBackend\n"
    "metadata: {name: a}\n"
    "spec: {schema: {name: OpenAI}, "
    "backendRef: {name: a, kind: Backend, group: gateway.envoyproxy.io}}\n"
    "---\n"
    "apiVersion: aigateway.envoyproxy.io/v1alpha1\n"
    "kind: AIGatewayRoute\n"
    "metadata: {name: r}\n"
    "spec: {parentRefs: [{name: front, kind: Gateway, group: gateway.networking.k8s.io}], "
    "rules: [{backendRefs: [{name: a}]}]}\n"
    "---\n"
    "apiVersion: aigateway.envoyproxy.io/v1alpha1\n"
    "kind: BackendSecurityPolicy\n"
    "metadata: {name: key}\n"
    "spec: {type: %s, %s: {secretRef: {name: key}}, "
    "targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: a}]}\n"
    "---\n"
    "apiVersion: v1\n"
    "kind: Secret\n"
    "metadata: {name: key}\n"
    "stringData: {apiKey: ";

static void load(struct manifest *m, const char *type, const char *field)
{
    char text[sizeof head + KEY_BYTES + 256];
    int n = snprintf(text, sizeof text, head, type, field);

    CHECK(n > 0 && (size_t)n + KEY_BYTES + 2 < sizeof text);
    test_secret_write(text + n, KEY_BYTES);
    text[n + KEY_BYTES] = '}';
    CHECK_INT(manifest_load_bytes(m, "test.yaml", str_make(text, (size_t)n + KEY_BYTES + 1), NULL),
              0);
    CHECK_INT(m->diags.n_errors + m->diags.n_warnings, 0);
    mem_wipe(text, sizeof text);
}

static void check_wiped(const char *type, const char *field)
{
    static const struct server_options options = {.n_workers = 1,
                                                  .cluster_domain = {"cluster.local", 13}};
    static struct loop loop;
    static struct server server;
    struct manifest *m = MEM_NEW(struct manifest);
    size_t n_of_manifest;

    CHECK_INT(loop_init(&loop), 0);
    CHECK_INT(server_init(&server, &loop, &options), 0);
    load(m, type, field);
    n_of_manifest = test_secret_count(KEY_BYTES);
    CHECK_INT(compile_for_server(&server, m, &server.current), 0);
    CHECK(test_secret_count(KEY_BYTES) > n_of_manifest); /* of the snapshot's own */
    server_deinit(&server);
    CHECK_INT(test_secret_count(KEY_BYTES), 0);
    loop_deinit(&loop);
}

TEST(credentials_for_backends_are_wiped_with_their_snapshot)
{
    if (!test_memory_begin())
        return;
    check_wiped("APIKey", "apiKey");
    check_wiped("AnthropicAPIKey", "anthropicAPIKey");
    check_wiped("AzureAPIKey", "azureAPIKey");
}
