/* See object_endpoints.h. Clusters are known by the name that they were compiled with,
 * "Backend/ns/name" or "Service/ns/name:port"; several, with settings of their own, may have one
 * name, and lead to the same endpoints. */
#include "admin/objects/object_endpoints.h"

static bool cluster_is_of(const struct cluster *c, const struct object *o)
{
    struct str rest = str_slice(c->name, o->label.len, c->name.len);

    return str_starts_with(c->name, o->label) &&
           (rest.len == 0 || (o->kind->id == KIND_SERVICE && rest.ptr[0] == ':'));
}

/* The name that leads there, if one does. */
static void host_format(struct json *j, const struct cluster *c)
{
    struct buf host = {0};

    if (c->resolve_host.len == 0)
        return;
    buf_printf(&host, "%.*s:%u", STR_ARG(c->resolve_host), c->resolve_port);
    json_str(j, "host", buf_str(&host));
    buf_deinit(&host);
}

static void endpoint_format(struct json *j, const struct cluster *c, const struct endpoint *e)
{
    json_open(j, NULL, '{');
    json_text(j, "address", e->text);
    host_format(j, c);
    if (e->state->health.target)
        json_text(j, "health", health_target_text(e->state->health.target));
    json_u64(j, "inFlight", atomic_load(&e->state->n_in_flight));
    json_close(j, '}');
}

static void cluster_format(struct json *j, struct cluster *c)
{
    static const char *const states[] = {"pending", "known", "failed"};
    struct endpoint_set *set = cluster_endpoints(c);

    for (uint32_t i = 0; i < set->n; i++)
        endpoint_format(j, c, &set->items[i]);
    if (set->n == 0) {
        json_open(j, NULL, '{');
        host_format(j, c);
        json_text(j, "state", states[set->state]);
        json_close(j, '}');
    }
    endpoint_set_unref(set);
}

/* Does one that is told already lead to the same? */
static bool is_told(const struct snapshot *s, uint32_t index)
{
    const struct cluster *c = s->clusters[index];

    for (uint32_t k = 0; k < index; k++) {
        const struct cluster *other = s->clusters[k];

        if (str_eq(other->name, c->name) && str_eq(other->resolve_host, c->resolve_host) &&
            other->resolve_port == c->resolve_port)
            return true;
    }
    return false;
}

void object_format_endpoints(struct json *j, const struct snapshot *s, const struct object *o)
{
    json_open(j, "endpoints", '[');
    for (uint32_t i = 0; i < s->n_clusters; i++) {
        if (cluster_is_of(s->clusters[i], o) && !is_told(s, i))
            cluster_format(j, s->clusters[i]);
    }
    json_close(j, ']');
}
