/* See ai_overlay.h. Two AIGatewayRoutes to one Backend without layers, so that a stock OpenAI
 * client with a tenant's token as its API key is all that it takes. They are two routes because a
 * policy with limits replaces that of the Gateway for its whole route: demo-chat stays under the
 * shipped limits. Thread: the launcher's only one. */
#include "demo/ai_overlay.h"

#define NAMESPACE "envoy-gateway-system"

static void write_head(FILE *out, const char *api, const char *kind, const char *name)
{
    (void)fprintf(out,
                  "---\napiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  namespace: " NAMESPACE
                  "\nspec:\n",
                  api, kind, name);
}

static void write_backend(FILE *out)
{
    write_head(out, "gateway.envoyproxy.io/v1alpha1", "Backend", "demo-chat");
    (void)fprintf(out, "  endpoints:\n"
                       "    - fqdn:\n"
                       "        hostname: " AI_OVERLAY_CHAT_HOST "\n"
                       "        port: 80\n");
    write_head(out, "aigateway.envoyproxy.io/v1alpha1", "AIServiceBackend", "demo-chat");
    (void)fprintf(out, "  schema:\n"
                       "    name: OpenAI\n"
                       "  backendRef:\n"
                       "    group: gateway.envoyproxy.io\n"
                       "    kind: Backend\n"
                       "    name: demo-chat\n");
}

/* A route of that name for the model of that name. */
static void write_route(FILE *out, const char *model)
{
    write_head(out, "aigateway.envoyproxy.io/v1alpha1", "AIGatewayRoute", model);
    (void)fprintf(out,
                  "  parentRefs:\n"
                  "    - group: gateway.networking.k8s.io\n"
                  "      kind: Gateway\n"
                  "      name: ai-inference-gateway\n"
                  "  rules:\n"
                  "    - matches:\n"
                  "        - headers:\n"
                  "            - type: Exact\n"
                  "              name: x-ai-eg-model\n"
                  "              value: %s\n"
                  "      backendRefs:\n"
                  "        - name: demo-chat\n"
                  "  llmRequestCosts:\n"
                  "    - metadataKey: llm_input_token\n"
                  "      type: InputToken\n"
                  "    - metadataKey: llm_output_token\n"
                  "      type: OutputToken\n"
                  "    - metadataKey: llm_total_token\n"
                  "      type: TotalToken\n",
                  model);
}

/* The same tokens as for the shipped routes. */
static void write_security(FILE *out)
{
    write_head(out, "gateway.envoyproxy.io/v1alpha1", "SecurityPolicy", "demo-jwt");
    (void)fprintf(
        out,
        "  targetRefs:\n"
        "    - group: gateway.networking.k8s.io\n"
        "      kind: HTTPRoute\n"
        "      name: demo-chat\n"
        "    - group: gateway.networking.k8s.io\n"
        "      kind: HTTPRoute\n"
        "      name: demo-small\n"
        "  jwt:\n"
        "    providers:\n"
        "      - name: inference-in-a-box\n"
        "        issuer: inference-in-a-box\n"
        "        remoteJWKS:\n"
        "          uri: http://jwt-server.default.svc.cluster.local:8080/.well-known/jwks.json\n"
        "          backendRefs:\n"
        "            - group: gateway.envoyproxy.io\n"
        "              kind: Backend\n"
        "              name: remote-jwks\n"
        "              port: 8080\n"
        "        claimToHeaders:\n"
        "          - claim: sub\n"
        "            header: x-jwt-sub\n"
        "          - claim: tenant\n"
        "            header: x-tenant\n"
        "  authorization:\n"
        "    defaultAction: Deny\n"
        "    rules:\n"
        "      - name: known-tenants\n"
        "        action: Allow\n"
        "        principal:\n"
        "          jwt:\n"
        "            provider: inference-in-a-box\n"
        "            claims:\n"
        "              - name: tenant\n"
        "                values: [tenant-a, tenant-b, tenant-c]\n");
}

static void write_budget(FILE *out)
{
    write_head(out, "gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy", "demo-small-budget");
    (void)fprintf(out,
                  "  targetRefs:\n"
                  "    - group: gateway.networking.k8s.io\n"
                  "      kind: HTTPRoute\n"
                  "      name: demo-small\n"
                  "  rateLimit:\n"
                  "    type: Global\n"
                  "    global:\n"
                  "      rules:\n"
                  "        - clientSelectors:\n"
                  "            - headers:\n"
                  "                - name: x-tenant\n"
                  "                  type: Distinct\n"
                  "          limit:\n"
                  "            requests: %d\n"
                  "            unit: Minute\n"
                  "          cost:\n"
                  "            request:\n"
                  "              from: Number\n"
                  "              number: 0\n"
                  "            response:\n"
                  "              from: Metadata\n"
                  "              metadata:\n"
                  "                namespace: io.envoy.ai_gateway\n"
                  "                key: llm_total_token\n"
                  "          shared: true\n",
                  AI_OVERLAY_SMALL_TOKENS);
}

void ai_overlay_write(FILE *out)
{
    write_backend(out);
    write_route(out, "demo-chat");
    write_route(out, "demo-small");
    write_security(out);
    write_budget(out);
}
