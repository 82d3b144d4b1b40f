/* The table of kinds, and what is known of kinds that are not read.
 *
 * Static data; any thread. */
#include "manifest/kind.h"

#include "manifest/ai_gateway_route.h"
#include "manifest/ai_service_backend.h"
#include "manifest/backend.h"
#include "manifest/backend_security_policy.h"
#include "manifest/backend_tls_policy.h"
#include "manifest/backend_traffic_policy.h"
#include "manifest/client_traffic_policy.h"
#include "manifest/core.h"
#include "manifest/envoy_proxy.h"
#include "manifest/gateway.h"
#include "manifest/gateway_class.h"
#include "manifest/grpc_route.h"
#include "manifest/http_route.h"
#include "manifest/http_route_filter.h"
#include "manifest/reference_grant.h"
#include "manifest/security_policy.h"

#define LITERAL_(text)                                                                             \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
const struct kind kinds[KIND_COUNT] = {
#define X(id_, group_, name_, plural_, short_, versions_, scope_, shape_, type)                    \
    [KIND_##id_] = {.id = KIND_##id_,                                                              \
                    .group = LITERAL_(group_),                                                     \
                    .name = LITERAL_(name_),                                                       \
                    .plural = plural_,                                                             \
                    .short_names = short_,                                                         \
                    .versions = versions_,                                                         \
                    .scope = scope_,                                                               \
                    .shape = shape_,                                                               \
                    .object_size = sizeof(struct type),                                            \
                    .spec_offset = offsetof(struct type, spec),                                    \
                    .table = &type##_spec_table},
    KINDS(X)
#undef X
};

const struct kind *kind_find(struct str group, struct str name)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (str_eq(kinds[i].name, name) && str_eq(kinds[i].group, group))
            return &kinds[i];
    }
    return NULL;
}

bool kind_serves(const struct kind *k, struct str version)
{
    struct str rest = str_of(k->versions);
    struct str served;

    while (str_split(&rest, ' ', &served)) {
        if (str_eq(served, version))
            return true;
    }
    return false;
}

bool kind_is_guard(enum kind_id id)
{
    return id == KIND_SECURITY_POLICY || id == KIND_BACKEND_SECURITY_POLICY ||
           id == KIND_BACKEND_TLS_POLICY;
}

bool kind_is_policy(enum kind_id id)
{
    return id == KIND_SECURITY_POLICY || id == KIND_BACKEND_TRAFFIC_POLICY ||
           id == KIND_CLIENT_TRAFFIC_POLICY || id == KIND_BACKEND_SECURITY_POLICY ||
           id == KIND_AI_BACKEND_SECURITY_POLICY || id == KIND_BACKEND_TLS_POLICY;
}

bool kind_is_route(enum kind_id id)
{
    return id == KIND_HTTP_ROUTE || id == KIND_GRPC_ROUTE || id == KIND_AI_GATEWAY_ROUTE;
}

bool kind_is_core(enum kind_id id)
{
    return id == KIND_NAMESPACE || id == KIND_SERVICE || id == KIND_ENDPOINT_SLICE ||
           id == KIND_SECRET || id == KIND_CONFIG_MAP;
}

struct other_kind {
    const char *group; /* NULL: any */
    const char *name;
};

static const struct other_kind unsupported_kinds[] = {
    {"gateway.networking.k8s.io", "TCPRoute"},
    {"gateway.networking.k8s.io", "TLSRoute"},
    {"gateway.networking.k8s.io", "UDPRoute"},
    {"gateway.networking.k8s.io", "ListenerSet"},
    {"gateway.networking.x-k8s.io", NULL},
    {"gateway.envoyproxy.io", "EnvoyPatchPolicy"},
    {"gateway.envoyproxy.io", "EnvoyExtensionPolicy"},
    {"gateway.envoyproxy.io", "EnvoyGateway"},
    {"aigateway.envoyproxy.io", "MCPRoute"},
    {"aigateway.envoyproxy.io", "QuotaPolicy"},
    {"aigateway.envoyproxy.io", "GatewayConfig"},
    {"inference.networking.k8s.io", NULL},
    {"inference.networking.x-k8s.io", NULL},
    {"multicluster.x-k8s.io", NULL},
};

/* Whole API groups of Kubernetes and its usual neighbours that say nothing to a gateway. */
static const char *const workload_groups[] = {
    "apps",
    "batch",
    "autoscaling",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "networking.k8s.io",
    "apiextensions.k8s.io",
    "admissionregistration.k8s.io",
    "apiregistration.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "events.k8s.io",
    "scheduling.k8s.io",
    "node.k8s.io",
    "monitoring.coreos.com",
    "serving.kserve.io",
    "serving.knative.dev",
    "cert-manager.io",
    "kustomize.config.k8s.io",
    "helm.toolkit.fluxcd.io",
    "argoproj.io",
    "networking.istio.io",
    "security.istio.io",
    "keda.sh",
};
static const char *const workload_core[] = {
    "Pod",
    "ServiceAccount",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Endpoints",
    "Event",
    "LimitRange",
    "Node",
    "PodTemplate",
    "ReplicationController",
    "ResourceQuota",
    "Binding",
};

enum kind_other kind_classify_other(struct str group, struct str name)
{
    for (size_t i = 0; i < N_ELEMENTS(unsupported_kinds); i++) {
        const struct other_kind *other = &unsupported_kinds[i];

        if (str_eq(group, str_of(other->group)) &&
            (!other->name || str_eq(name, str_of(other->name))))
            return KIND_OTHER_UNSUPPORTED;
    }
    for (size_t i = 0; i < N_ELEMENTS(workload_groups); i++) {
        if (str_eq(group, str_of(workload_groups[i])))
            return KIND_OTHER_WORKLOAD;
    }
    for (size_t i = 0; str_is_empty(group) && i < N_ELEMENTS(workload_core); i++) {
        if (str_eq(name, str_of(workload_core[i])))
            return KIND_OTHER_WORKLOAD;
    }
    return KIND_OTHER_UNKNOWN;
}

const char *kind_nearest(struct str name)
{
    const char *names[KIND_COUNT];

    for (size_t i = 0; i < KIND_COUNT; i++)
        names[i] = kinds[i].name.ptr;
    return decode_nearest(name, names, KIND_COUNT);
}
