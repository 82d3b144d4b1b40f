/* ReferenceGrants: an object may refer into another namespace only if a grant that stands there
 * says so (Gateway API, "ReferenceGrant"; the trust lies with the namespace that is referred to).
 *
 * Owner: the index lives with the load. Thread: the compile thread. */
#include "manifest/reference_grant.h"

#include "manifest/link/link_internal.h"

void link_grants(struct manifest *m)
{
    VEC_FOREACH (manifest_kind(m, KIND_REFERENCE_GRANT), o) {
        struct object_vec *list = map_find(&m->grants, (*o)->namespace);

        /* A grant with an error in it grants nothing: half of it might be more than was meant. */
        if ((*o)->is_broken)
            continue;
        if (!list) {
            list = ARENA_NEW(&m->arena, struct object_vec);
            map_put(&m->grants, (*o)->namespace, list);
        }
        VEC_PUSH(&m->arena, list, *o);
    }
}

static bool grant_is_from(const struct reference_grant_spec *g, const struct object *from)
{
    VEC_FOREACH (&g->from, f) {
        if (!str_eq(f->namespace, from->namespace))
            continue;
        if (str_eq(f->group, from->kind->group) && str_eq(f->kind, from->kind->name))
            return true;
        /* What an AIGatewayRoute refers to, the HTTPRoute generated from it refers to. */
        if (from->kind->id == KIND_AI_GATEWAY_ROUTE && str_eq(f->group, GROUP_GATEWAY) &&
            str_eq(f->kind, STR("HTTPRoute")))
            return true;
    }
    return false;
}

static bool grant_is_to(const struct reference_grant_spec *g, struct str group, struct str kind,
                        struct str name)
{
    VEC_FOREACH (&g->to, t) {
        if (str_eq(t->group, group) && str_eq(t->kind, kind) &&
            (str_is_empty(t->name) || str_eq(t->name, name)))
            return true;
    }
    return false;
}

bool grant_permits(const struct manifest *m, const struct object *from, struct str to_group,
                   struct str to_kind, struct str to_namespace, struct str to_name)
{
    const struct object_vec *list = map_find(&m->grants, to_namespace);

    if (str_eq(from->namespace, to_namespace))
        return true;
    for (size_t i = 0; list && i < list->n; i++) {
        const struct reference_grant_spec *g =
            &CONTAINER_OF(list->items[i], struct reference_grant, object)->spec;

        if (grant_is_from(g, from) && grant_is_to(g, to_group, to_kind, to_name))
            return true;
    }
    return false;
}
