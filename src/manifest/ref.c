/* Decoding of references between objects: the tables, and the defaults that the Gateway API gives
 * to group and kind.
 *
 * Owner: the load's arena. Thread: compile thread. Whether a referenced object exists and whether a
 * ReferenceGrant allows it is left to link; which kinds a place accepts is left to the kind. */
#include "manifest/ref.h"

const struct int_range port_range = {1, 65535};
const struct int_range weight_range = {0, 1000000};

static const struct field local_object_ref_fields[] = {
    FIELD_STR(local_object_ref, group, "group", 0, "API group of the object; empty for core."),
    FIELD_STR(local_object_ref, kind, "kind", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Kind of the object."),
    FIELD_STR(local_object_ref, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Name of the object, in the same namespace."),
};
const struct table local_object_ref_table = TABLE(local_object_ref);

static void secret_ref_check(struct decoder *d, const struct node *node, void *object)
{
    struct secret_ref *r = object;
    (void)d;
    (void)node;
    if (str_is_empty(r->kind))
        r->kind = STR("Secret");
}

static const struct field secret_ref_fields[] = {
    FIELD_STR(secret_ref, group, "group", 0, "API group of the object; empty for a Secret."),
    FIELD_STR(secret_ref, kind, "kind", 0, "Kind of the object; Secret unless given."),
    FIELD_STR(secret_ref, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, "Name of the object."),
    FIELD_STR(secret_ref, namespace, "namespace", 0,
              "Namespace of the object; another one needs a ReferenceGrant."),
};
const struct table secret_ref_table = TABLE_CHECKED(secret_ref, secret_ref_check);

static void parent_ref_check(struct decoder *d, const struct node *node, void *object)
{
    struct parent_ref *r = object;
    (void)d;
    (void)node;
    /* An absent group means the Gateway API's; an explicit "" means core (a Service parent). */
    if (r->group.ptr == NULL)
        r->group = GROUP_GATEWAY;
    if (str_is_empty(r->kind))
        r->kind = STR("Gateway");
}

static const struct field parent_ref_fields[] = {
    FIELD_STR(parent_ref, group, "group", 0,
              "API group of the parent; gateway.networking.k8s.io unless given."),
    FIELD_STR(parent_ref, kind, "kind", 0, "Kind of the parent; Gateway unless given."),
    FIELD_STR(parent_ref, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, "Name of the parent."),
    FIELD_STR(parent_ref, namespace, "namespace", 0,
              "Namespace of the parent; that of the route unless given."),
    FIELD_STR(parent_ref, section_name, "sectionName", 0,
              "Listener of the parent; all listeners unless given."),
    FIELD_INT(parent_ref, port, "port", 0, &port_range,
              "Only the listeners of the parent on this port."),
};
const struct table parent_ref_table = TABLE_CHECKED(parent_ref, parent_ref_check);

void backend_ref_check(struct decoder *d, const struct node *node, void *object)
{
    struct backend_ref *r = object;
    if (str_is_empty(r->kind))
        r->kind = STR("Service");
    if (str_is_empty(r->group) && str_eq(r->kind, STR("Service")) && !r->port.is_set &&
        node_find(node, "port") == NULL)
        decode_error(d, DIAG_MISSING_FIELD, node, "port", "required when a Service is referenced");
}

static const struct field backend_ref_fields[] = {
    BACKEND_REF_FIELDS(backend_ref, ),
    FIELD_BOOL(backend_ref, fallback, "fallback", FIELD_NOT_ENFORCED,
               "Takes traffic only when the others are unhealthy."),
};
const struct table backend_ref_table = TABLE_CHECKED(backend_ref, backend_ref_check);

int64_t backend_ref_weight(const struct backend_ref *r)
{
    return r->weight.is_set ? r->weight.value : 1;
}
