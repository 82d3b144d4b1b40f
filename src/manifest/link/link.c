/* The passes in order. Each reads what the ones before it left and repairs nothing.
 *
 * Owner: what link allocates lives in the load's arena. Thread: the compile thread. */
#include "manifest/link/link.h"

#include "manifest/core.h"
#include "manifest/link/link_internal.h"

static void link_endpoint_slices(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_ENDPOINT_SLICE), o) {
        struct endpoint_slice *slice = CONTAINER_OF(*o, struct endpoint_slice, object);
        struct str name = STR_NULL;
        struct object *service;

        VEC_FOREACH (&slice->object.labels, label) {
            if (str_eq(label->key, STR("kubernetes.io/service-name")))
                name = label->value;
        }
        service = manifest_get(m, KIND_SERVICE, slice->object.namespace, name);
        if (service)
            VEC_PUSH(&m->arena, &CONTAINER_OF(service, struct service, object)->endpoint_slices,
                     slice);
        else
            diag_add(&m->diags, DIAG_WARNING, DIAG_INEFFECTIVE, slice->object.mark,
                     slice->object.label,
                     "belongs to no Service that is given (label kubernetes.io/service-name)");
    }
}

bool link_take_back(struct manifest *m, struct object *o, struct str message)
{
    bool was_accepted = false;

    VEC_FOREACH (&o->conditions, set) {
        VEC_FOREACH (&set->items, c) {
            if (strcmp(c->type, "Accepted") != 0 || c->status != CONDITION_TRUE)
                continue;
            was_accepted = true;
            *c = (struct condition){.type = c->type,
                                    .status = CONDITION_FALSE,
                                    .reason =
                                        kind_is_route(o->kind->id) ? "UnsupportedValue" : "Invalid",
                                    .message = message};
        }
    }
    if (o->kind->id == KIND_ENVOY_PROXY)
        link_judge_parameters(m, o);
    return was_accepted;
}

void link_manifest(struct manifest *m)
{
    link_grants(m);
    link_endpoint_slices(m);
    link_references(m);
    link_gateways(m);
    link_routes(m);
    link_route_conflicts(m);
    link_policies(m);
    link_gateway_conditions(m);
    check_manifest(m);
}
