/* GatewayClass (gateway.networking.k8s.io): which controller, with which parameters. Immutable
 * after link. */
#pragma once

#include "manifest/ref.h"

/* The one controller whose classes Tollgate serves. */
#define GATEWAY_CONTROLLER STR("gateway.envoyproxy.io/gatewayclass-controller")

struct gateway_class_spec {
    struct mark mark;
    struct str controller_name;
    struct str description;
    struct secret_ref *parameters_ref; /* an EnvoyProxy; kind and namespace as given */
};
struct gateway_class {
    struct object object;
    struct gateway_class_spec spec;
    bool is_ours;
    struct object *envoy_proxy; /* resolved parametersRef, else NULL */
};
extern const struct table gateway_class_spec_table;
