/* The kinds that Tollgate reads, from one table: group, kind, plural, short names, served versions,
 * scope, struct and decoding table. Adding a kind is a row here, a header and a table. */
#pragma once

#include "manifest/object.h"

enum kind_scope { KIND_NAMESPACED, KIND_CLUSTER };
/* Where the decoded fields stand: under `spec`, or beside `metadata` (Secret, ConfigMap, ...). */
enum kind_shape { KIND_SPEC, KIND_FLAT };

/* X(ID, group, "Kind", "plural", "short names", "versions", scope, shape, struct) */
#define KINDS(X)                                                                                   \
    X(GATEWAY_CLASS, "gateway.networking.k8s.io", "GatewayClass", "gatewayclasses", "gc",          \
      "v1 v1beta1", KIND_CLUSTER, KIND_SPEC, gateway_class)                                        \
    X(GATEWAY, "gateway.networking.k8s.io", "Gateway", "gateways", "gtw", "v1 v1beta1",            \
      KIND_NAMESPACED, KIND_SPEC, gateway)                                                         \
    X(HTTP_ROUTE, "gateway.networking.k8s.io", "HTTPRoute", "httproutes", "", "v1 v1beta1",        \
      KIND_NAMESPACED, KIND_SPEC, http_route)                                                      \
    X(GRPC_ROUTE, "gateway.networking.k8s.io", "GRPCRoute", "grpcroutes", "", "v1 v1alpha2",       \
      KIND_NAMESPACED, KIND_SPEC, grpc_route)                                                      \
    X(REFERENCE_GRANT, "gateway.networking.k8s.io", "ReferenceGrant", "referencegrants",           \
      "refgrant", "v1 v1beta1", KIND_NAMESPACED, KIND_SPEC, reference_grant)                       \
    X(BACKEND_TLS_POLICY, "gateway.networking.k8s.io", "BackendTLSPolicy", "backendtlspolicies",   \
      "btlspolicy", "v1 v1alpha3", KIND_NAMESPACED, KIND_SPEC, backend_tls_policy)                 \
    X(BACKEND, "gateway.envoyproxy.io", "Backend", "backends", "be", "v1alpha1", KIND_NAMESPACED,  \
      KIND_SPEC, backend)                                                                          \
    X(SECURITY_POLICY, "gateway.envoyproxy.io", "SecurityPolicy", "securitypolicies", "sp",        \
      "v1alpha1", KIND_NAMESPACED, KIND_SPEC, security_policy)                                     \
    X(BACKEND_TRAFFIC_POLICY, "gateway.envoyproxy.io", "BackendTrafficPolicy",                     \
      "backendtrafficpolicies", "btp", "v1alpha1", KIND_NAMESPACED, KIND_SPEC,                     \
      backend_traffic_policy)                                                                      \
    X(CLIENT_TRAFFIC_POLICY, "gateway.envoyproxy.io", "ClientTrafficPolicy",                       \
      "clienttrafficpolicies", "ctp", "v1alpha1", KIND_NAMESPACED, KIND_SPEC,                      \
      client_traffic_policy)                                                                       \
    X(ENVOY_PROXY, "gateway.envoyproxy.io", "EnvoyProxy", "envoyproxies", "eproxy", "v1alpha1",    \
      KIND_NAMESPACED, KIND_SPEC, envoy_proxy)                                                     \
    X(HTTP_ROUTE_FILTER, "gateway.envoyproxy.io", "HTTPRouteFilter", "httproutefilters", "hrf",    \
      "v1alpha1", KIND_NAMESPACED, KIND_SPEC, http_route_filter)                                   \
    X(BACKEND_SECURITY_POLICY, "gateway.envoyproxy.io", "BackendSecurityPolicy",                   \
      "backendsecuritypolicies", "bsp", "v1alpha1", KIND_NAMESPACED, KIND_SPEC,                    \
      backend_security_policy)                                                                     \
    X(AI_GATEWAY_ROUTE, "aigateway.envoyproxy.io", "AIGatewayRoute", "aigatewayroutes",            \
      "aigwroute", "v1alpha1 v1beta1", KIND_NAMESPACED, KIND_SPEC, ai_gateway_route)               \
    X(AI_SERVICE_BACKEND, "aigateway.envoyproxy.io", "AIServiceBackend", "aiservicebackends",      \
      "aisb", "v1alpha1 v1beta1", KIND_NAMESPACED, KIND_SPEC, ai_service_backend)                  \
    X(AI_BACKEND_SECURITY_POLICY, "aigateway.envoyproxy.io", "BackendSecurityPolicy",              \
      "backendsecuritypolicies", "", "v1alpha1 v1beta1", KIND_NAMESPACED, KIND_SPEC,               \
      ai_backend_security_policy)                                                                  \
    X(NAMESPACE, "", "Namespace", "namespaces", "ns", "v1", KIND_CLUSTER, KIND_FLAT,               \
      k8s_namespace)                                                                               \
    X(SERVICE, "", "Service", "services", "svc", "v1", KIND_NAMESPACED, KIND_SPEC, service)        \
    X(ENDPOINT_SLICE, "discovery.k8s.io", "EndpointSlice", "endpointslices", "", "v1 v1beta1",     \
      KIND_NAMESPACED, KIND_FLAT, endpoint_slice)                                                  \
    X(SECRET, "", "Secret", "secrets", "", "v1", KIND_NAMESPACED, KIND_FLAT, secret)               \
    X(CONFIG_MAP, "", "ConfigMap", "configmaps", "cm", "v1", KIND_NAMESPACED, KIND_FLAT, config_map)

enum kind_id {
#define X(id, ...) KIND_##id,
    KINDS(X)
#undef X
        KIND_COUNT,
};

struct kind {
    enum kind_id id;
    struct str group;
    struct str name; /* "HTTPRoute" */
    const char *plural;
    const char *short_names; /* separated by blanks */
    const char *versions;    /* separated by blanks, the preferred one first */
    enum kind_scope scope;
    enum kind_shape shape;
    size_t object_size;
    size_t spec_offset;
    const struct table *table;
};

/* Indexed by enum kind_id. */
extern const struct kind kinds[KIND_COUNT];

/* NULL when unknown. */
const struct kind *kind_find(struct str group, struct str name);
bool kind_serves(const struct kind *k, struct str version);
/* Policies begin their spec with struct policy_targets. */
bool kind_is_policy(enum kind_id id);
/* Does it guard what it is attached to, so that losing one must not open anything? */
bool kind_is_guard(enum kind_id id);
bool kind_is_route(enum kind_id id);
/* Core kinds, whose absence from the files is no error. */
bool kind_is_core(enum kind_id id);

/* Kinds of the same APIs (or of Kubernetes) that are not read. */
enum kind_other {
    KIND_OTHER_UNKNOWN,
    KIND_OTHER_WORKLOAD,    /* Deployment and the like: not for a gateway */
    KIND_OTHER_UNSUPPORTED, /* TCPRoute, EnvoyPatchPolicy, ...: known, not supported here */
};
enum kind_other kind_classify_other(struct str group, struct str name);
/* The nearest kind's name for a hint, or NULL. */
const char *kind_nearest(struct str name);
