/* Decoding of GatewayClass (Gateway API v1). Owner: the load's arena. Thread: the compile thread.
 * Whether the controller is ours, and its parameters, are link's. */
#include "manifest/gateway_class.h"

static const struct field gateway_class_spec_fields[] = {
    FIELD_STR(gateway_class_spec, controller_name, "controllerName",
              FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Who serves the class; gateway.envoyproxy.io/gatewayclass-controller here."),
    FIELD_STR(gateway_class_spec, description, "description", 0, "For people."),
    FIELD_OBJECT(gateway_class_spec, parameters_ref, "parametersRef", 0, secret_ref,
                 "An EnvoyProxy that the Gateways of the class share."),
};

static void gateway_class_spec_check(struct decoder *d, const struct node *node, void *object)
{
    const struct gateway_class_spec *s = object;

    if (!str_is_empty(s->controller_name) && str_find_char(s->controller_name, '/', 0) <= 0)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "controllerName"), "controllerName",
                     "expected a name with a domain, \"example.com/controller\"");
    if (s->description.len > 64)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "description"), "description",
                     "has at most 64 characters");
}
const struct table gateway_class_spec_table =
    TABLE_CHECKED(gateway_class_spec, gateway_class_spec_check);
