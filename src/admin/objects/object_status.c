/* See object_status.h. Conditions are known here by what they are about ("Gateway/ns/name", a
 * listener); each kind's API puts them in a list of its own: parents of routes, ancestors of
 * policies, listeners of Gateways. Times and generations are left out: nobody keeps them here. */
#include "admin/objects/object_status.h"

#include "admin/objects/object_endpoints.h"
#include "manifest/gateway.h"
#include "manifest/gateway_class.h"
#include "manifest/manifest.h"

static void status_condition(struct json *j, const struct condition *c)
{
    static const char *const words[] = {"False", "True", "Unknown"};

    json_open(j, NULL, '{');
    json_text(j, "type", c->type);
    json_text(j, "status", words[c->status]);
    json_text(j, "reason", c->reason);
    json_str(j, "message", c->message);
    json_close(j, '}');
}

static void status_conditions(struct json *j, const struct condition_set *set)
{
    json_open(j, "conditions", '[');
    for (size_t i = 0; set && i < set->items.n; i++)
        status_condition(j, &set->items.items[i]);
    json_close(j, ']');
}

static const struct condition_set *status_find(const struct object *o, struct str about)
{
    for (size_t i = 0; i < o->conditions.n; i++) {
        if (str_eq(o->conditions.items[i].about, about))
            return &o->conditions.items[i];
    }
    return NULL;
}

/* ---- Gateways ---- */

void object_status_addresses(struct json *j, const struct object *gateway)
{
    json_open(j, "addresses", '[');
    VEC_FOREACH (manifest_gateway_addresses(gateway), address) {
        json_open(j, NULL, '{');
        json_text(j, "type", "IPAddress");
        json_str(j, "value", address->len ? *address : STR("*"));
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void status_kind(struct json *j, struct str group, struct str kind)
{
    json_open(j, NULL, '{');
    json_str(j, "group", group);
    json_str(j, "kind", kind);
    json_close(j, '}');
}

/* Those that it names, as far as they are known; else those of its protocol. */
static void status_supported_kinds(struct json *j, const struct listener *l)
{
    const struct allowed_routes *allowed = l->allowed_routes;

    json_open(j, "supportedKinds", '[');
    for (size_t i = 0; allowed && i < allowed->kinds.n; i++) {
        const struct route_kind *wanted = &allowed->kinds.items[i];
        const struct kind *k = kind_find(wanted->group, wanted->kind);

        if (k && kind_is_route(k->id))
            status_kind(j, k->group, k->name);
    }
    if (l->kind != LISTENER_OTHER && (!allowed || allowed->kinds.n == 0)) {
        status_kind(j, kinds[KIND_HTTP_ROUTE].group, kinds[KIND_HTTP_ROUTE].name);
        status_kind(j, kinds[KIND_GRPC_ROUTE].group, kinds[KIND_GRPC_ROUTE].name);
    }
    json_close(j, ']');
}

static void status_gateway(struct json *j, const struct object *o)
{
    const struct gateway *g = CONTAINER_OF(o, const struct gateway, object);

    object_status_addresses(j, o);
    status_conditions(j, status_find(o, STR("")));
    json_open(j, "listeners", '[');
    VEC_FOREACH (&g->spec.listeners, l) {
        json_open(j, NULL, '{');
        json_str(j, "name", l->name);
        json_u64(j, "attachedRoutes", l->routes.n);
        status_supported_kinds(j, l);
        status_conditions(j, status_find(o, l->name));
        json_close(j, '}');
    }
    json_close(j, ']');
}

/* ---- routes and policies ---- */

static struct str group_of_kind(struct str name)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (str_eq(kinds[i].name, name))
            return kinds[i].group;
    }
    return STR("");
}

/* "Gateway/ns/name/listener" as the reference that it was made of. */
static void status_reference(struct json *j, const char *member, struct str about)
{
    struct str kind, namespace, name;
    bool is_whole = str_split(&about, '/', &kind) && str_split(&about, '/', &namespace) &&
                    str_split(&about, '/', &name);

    json_open(j, member, '{');
    if (is_whole) {
        json_str(j, "group", group_of_kind(kind));
        json_str(j, "kind", kind);
        json_str(j, "namespace", namespace);
        json_str(j, "name", name);
        if (about.len > 0)
            json_str(j, "sectionName", about);
    }
    json_close(j, '}');
}

static void status_sets(struct json *j, const struct object *o, const char *list, const char *ref)
{
    json_open(j, list, '[');
    for (size_t i = 0; i < o->conditions.n; i++) {
        const struct condition_set *set = &o->conditions.items[i];

        if (set->about.len == 0)
            continue;
        json_open(j, NULL, '{');
        status_reference(j, ref, set->about);
        json_str(j, "controllerName", GATEWAY_CONTROLLER);
        status_conditions(j, set);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static bool set_holds(const struct condition_set *set)
{
    for (size_t i = 0; i < set->items.n; i++) {
        if (set->items.items[i].status != CONDITION_TRUE)
            return false;
    }
    return true;
}

/* One list for the whole object, as Envoy AI Gateway's kinds have it: of the parent or target where
 * something does not hold, if any. */
static void status_worst_set(struct json *j, const struct object *o)
{
    const struct condition_set *worst = NULL;

    for (size_t i = 0; i < o->conditions.n; i++) {
        const struct condition_set *set = &o->conditions.items[i];

        if (!worst || (set_holds(worst) && !set_holds(set)))
            worst = set;
    }
    status_conditions(j, worst);
}

void object_format_status(struct json *j, const struct object *o, const struct snapshot *live)
{
    enum kind_id id = o->kind->id;
    bool has_endpoints = live && (id == KIND_BACKEND || id == KIND_SERVICE);

    if (kind_is_core(id) && !has_endpoints)
        return;
    json_open(j, "status", '{');
    if (id == KIND_GATEWAY)
        status_gateway(j, o);
    else if (id == KIND_AI_GATEWAY_ROUTE || id == KIND_AI_BACKEND_SECURITY_POLICY)
        status_worst_set(j, o);
    else if (!kind_is_route(id) && !kind_is_policy(id) && !kind_is_core(id))
        status_conditions(j, status_find(o, STR("")));
    if (kind_is_route(id))
        status_sets(j, o, "parents", "parentRef");
    else if (kind_is_policy(id))
        status_sets(j, o, "ancestors", "ancestorRef");
    if (has_endpoints)
        object_format_endpoints(j, live, o);
    json_close(j, '}');
}
