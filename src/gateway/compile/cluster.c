/* compile: from a reference to the cluster that serves it. Where endpoints come from, in this
 * order: a
 * --resolve override, the EndpointSlices of the Service in the given files, DNS. A Backend with a
 * name of the form service.namespace.svc.<cluster domain> that the files know is served like that
 * Service. Clusters are shared by identity with earlier snapshots. */
#include "gateway/compile/rule.h"

#include "base/assert.h"
#include "gateway/compile/layer.h"
#include "gateway/compile/tls.h"
#include "gateway/compile/traffic.h"
#include "gateway/compile/traffic/transport.h"
#include "gateway/server_options.h"
#include "manifest/ai_service_backend.h"
#include "manifest/backend.h"
#include "manifest/core.h"
#include "upstream/key_feed.h"

/* What is spoken: as manifests and handshakes say, or whatever those say. */
enum cluster_wish_protocol { WISH_ANY_PROTOCOL, WISH_HTTP1, WISH_HTTP2 };

/* What is to become a cluster. */
struct cluster_draft {
    struct str key;
    struct str name;
    struct str server_name;
    struct str resolve_host; /* empty: `endpoints` are final */
    uint16_t resolve_port;
    struct endpoint_set *endpoints;
    bool speaks_http2; /* by what the manifests say of its protocol */
    enum cluster_wish_protocol protocol;
    const struct cluster_http2 *http2;
    struct cluster_lookup lookup;
    const struct cluster_transport *transport;
};

/* Endpoints of a cluster that serves already change when the snapshot is adopted, not before: it
 * may be refused. A name's endpoints are the resolver's. */
static void compile_publish_later(struct compile *c, struct cluster *cluster,
                                  struct endpoint_set *endpoints)
{
    struct publication p = {cluster_ref(cluster), endpoints};

    VEC_PUSH(&c->snapshot->arena, &c->publications, p);
}

/* As Envoy Gateway: HTTP/2 and nothing else where the manifests say so, over TLS what the endpoint
 * chooses, else HTTP/1.1. */
static enum cluster_protocol cluster_draft_protocol(const struct cluster_draft *d,
                                                    const struct compile_tls_draft *tls)
{
    if (d->protocol != WISH_ANY_PROTOCOL)
        return d->protocol == WISH_HTTP2 ? CLUSTER_HTTP2 : CLUSTER_HTTP1;
    if (d->speaks_http2)
        return CLUSTER_HTTP2;
    if (!tls->client || (tls->names_protocols && !tls->has_http2))
        return CLUSTER_HTTP1;
    return tls->names_protocols && !tls->has_http1 ? CLUSTER_HTTP2 : CLUSTER_NEGOTIATED;
}

static struct str cluster_draft_key(struct compile *c, const struct cluster_draft *d,
                                    const struct compile_tls_draft *tls)
{
    struct str key = tls->key.len ? arena_join(&c->scratch, d->key, tls->key) : d->key;
    const struct cluster_http2 *h = d->http2;
    const struct cluster_lookup *l = &d->lookup;

    if (d->protocol == WISH_HTTP1)
        key = arena_join(&c->scratch, key, STR("|h1"));
    else if (d->protocol == WISH_HTTP2 || d->speaks_http2)
        key = arena_join(&c->scratch, key, STR("|h2"));
    if (d->resolve_host.len > 0 && (l->refresh_us || l->family != CLUSTER_ALL_FAMILIES))
        key = arena_printf(&c->scratch, "%.*s|dns %llu,%d", STR_ARG(key),
                           (unsigned long long)l->refresh_us, l->family);
    if (d->transport)
        key = compile_transport_key(c, key, d->transport);
    if (!h || cluster_draft_protocol(d, tls) == CLUSTER_HTTP1)
        return key;
    return arena_printf(&c->scratch, "%.*s|%u,%u,%u,%d,%llu,%llu,%llu", STR_ARG(key),
                        h->stream_window, h->connection_window, h->n_streams_max,
                        h->ends_on_invalid, (unsigned long long)h->ping_interval_us,
                        (unsigned long long)h->ping_timeout_us,
                        (unsigned long long)h->ping_first_us);
}

static struct cluster *compile_get_cluster(struct compile *c, struct cluster_draft *d,
                                           struct compile_tls_draft *tls)
{
    struct cluster_identity identity = {
        .key = cluster_draft_key(c, d, tls),
        .protocol = cluster_draft_protocol(d, tls),
        .http2 = d->http2 ? *d->http2 : (struct cluster_http2){0},
        .transport = d->transport ? *d->transport : (struct cluster_transport){.age_us = 0},
        .name = d->name,
        .server_name = tls->server_name.len ? tls->server_name : d->server_name,
        .lookup = d->lookup,
        .resolve_host = d->resolve_host,
        .resolve_port = d->resolve_port,
        .tls = tls->client,
        .endpoints = d->endpoints,
    };
    struct cluster *cluster = cluster_registry_get(c->clusters, &identity);

    tls->client = identity.tls; /* NULL if the cluster took it */
    compile_tls_draft_deinit(tls);
    if (identity.endpoints && d->resolve_host.len == 0)
        compile_publish_later(c, cluster, identity.endpoints);
    else
        endpoint_set_unref(identity.endpoints);
    VEC_PUSH(&c->snapshot->arena, &c->used_clusters, cluster_ref(cluster));
    return cluster;
}

static const struct resolve_override *compile_find_override(const struct compile *c,
                                                            struct str host, uint16_t port)
{
    for (uint32_t i = 0; i < c->options->n_resolves; i++) {
        const struct resolve_override *o = &c->options->resolves[i];

        if (o->port == port && str_eq_nocase(o->host, host))
            return o;
    }
    return NULL;
}

static uint32_t slice_count(const struct service *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->endpoint_slices.n; i++) {
        const struct endpoint_slice *slice = s->endpoint_slices.items[i];

        for (size_t k = 0; k < slice->spec.endpoints.n; k++)
            n += slice->spec.endpoints.items[k].addresses.n;
    }
    return (uint32_t)n;
}

/* The slice's port that backs a Service port: the one of its name, or the only one where one side
 * names none. 0: none; another port of the same pods may be one that nobody was to reach. */
static uint16_t slice_port(const struct endpoint_slice *slice, const struct service_port *port)
{
    for (size_t i = 0; i < slice->spec.ports.n; i++) {
        const struct endpoint_port *p = &slice->spec.ports.items[i];
        bool is_only = slice->spec.ports.n == 1 && (p->name.len == 0 || port->name.len == 0);

        if (p->port.is_set && (str_eq(p->name, port->name) || is_only))
            return (uint16_t)p->port.value;
    }
    return 0;
}

static bool slice_endpoint_is_ready(const struct slice_endpoint *e)
{
    return !e->conditions || !e->conditions->ready.is_set || e->conditions->ready.value;
}

static void slice_add(struct endpoint_set *set, const struct endpoint_slice *slice,
                      const struct service_port *port)
{
    uint16_t number = slice_port(slice, port);

    for (size_t i = 0; number && i < slice->spec.endpoints.n; i++) {
        const struct slice_endpoint *e = &slice->spec.endpoints.items[i];

        for (size_t k = 0; slice_endpoint_is_ready(e) && k < e->addresses.n; k++) {
            if (endpoint_init_ip(&set->items[set->n], e->addresses.items[k], number))
                set->n++;
        }
    }
}

/* NULL: the files hold no slices of this Service, so its name is resolved. */
static struct endpoint_set *compile_slices(const struct service *s, int64_t port)
{
    const struct service_port *service_port = s ? service_find_port(s, port) : NULL;
    struct endpoint_set *set;

    if (!service_port || s->endpoint_slices.n == 0)
        return NULL;
    set = endpoint_set_new(slice_count(s), ENDPOINTS_KNOWN);
    set->n = 0;
    for (size_t i = 0; i < s->endpoint_slices.n; i++)
        slice_add(set, s->endpoint_slices.items[i], service_port);
    return set;
}

static struct endpoint_set *compile_single(struct str ip, uint16_t port)
{
    struct endpoint_set *set = endpoint_set_new(1, ENDPOINTS_KNOWN);

    if (!endpoint_init_ip(&set->items[0], ip, port))
        set->n = 0;
    return set;
}

/* "name.namespace.svc[.domain]" -> the Service in the files, or NULL. */
static const struct service *compile_service_of_host(const struct compile *c, struct str host)
{
    struct str suffix = arena_printf((struct arena *)(uintptr_t)&c->scratch, ".svc.%.*s",
                                     STR_ARG(c->options->cluster_domain));
    struct str rest = host;
    struct str name, namespace;

    if (str_ends_with_nocase(host, suffix))
        rest = str_slice(host, 0, host.len - suffix.len);
    else if (str_ends_with_nocase(host, STR(".svc")))
        rest = str_slice(host, 0, host.len - 4);
    else
        return NULL;
    if (!str_split(&rest, '.', &name) || !str_split(&rest, '.', &namespace) || rest.ptr)
        return NULL;
    return (const struct service *)manifest_get(c->manifest, KIND_SERVICE, namespace, name);
}

/* Endpoints of a host name: override, known Service, an address in disguise, else DNS. */
static void compile_host(struct compile *c, struct str host, uint16_t port, struct cluster_draft *d)
{
    const struct resolve_override *o = compile_find_override(c, host, port);

    d->server_name = host;
    if (o) {
        d->endpoints = compile_single(o->ip, o->to_port);
        return;
    }
    d->endpoints = compile_slices(compile_service_of_host(c, host), port);
    if (d->endpoints)
        return;
    d->endpoints = endpoint_set_new(0, ENDPOINTS_PENDING);
    d->resolve_host = host;
    d->resolve_port = port;
    d->key = arena_printf(&c->scratch, "%.*s|%.*s:%u", STR_ARG(d->key), STR_ARG(host), port);
}

/* ---- protocols ---- */

/* "kubernetes.io/h2c", "grpc" (KEP-3726): the last part counts. */
static bool is_http2_protocol(struct str app_protocol)
{
    ssize_t slash = str_find_char(app_protocol, '/', 0);
    struct str name = str_slice(app_protocol, (size_t)(slash + 1), app_protocol.len);

    return str_eq_nocase(name, STR("h2c")) || str_eq_nocase(name, STR("grpc"));
}

/* Who wants the cluster, and for what. */
struct cluster_wish {
    const struct object *from;
    bool is_grpc; /* then HTTP/2 and nothing else */
    enum cluster_wish_protocol protocol;
    const struct cluster_http2 *http2;
    struct cluster_lookup lookup;
    const struct cluster_transport *transport;
};

static struct cluster_wish compile_wish_of_route(const struct compile_place *at)
{
    return (struct cluster_wish){.from = at->route,
                                 .is_grpc = at->route->kind->id == KIND_GRPC_ROUTE,
                                 .http2 = at->traffic->http2,
                                 .lookup = at->traffic->lookup,
                                 .transport = at->traffic->transport};
}

/* `s`: NULL: none. */
static struct cluster_wish compile_wish_of_settings(struct compile *c, const struct object *from,
                                                    bool is_grpc, const struct cluster_settings *s)
{
    return (struct cluster_wish){.from = from,
                                 .is_grpc = is_grpc,
                                 .http2 = compile_http2(c, s ? s->http2 : NULL),
                                 .lookup = compile_lookup(s ? s->dns : NULL),
                                 .transport = compile_transport(c, s)};
}

static bool service_speaks_http2(const struct service *s, int64_t port)
{
    const struct service_port *p = s ? service_find_port(s, port) : NULL;

    return p && is_http2_protocol(p->app_protocol);
}

static bool backend_speaks_http2(const struct backend *b)
{
    return b->spec.app_protocols & (1u << APP_PROTOCOL_H2C);
}

/* ---- Services ---- */

static struct str compile_namespace_of(const struct object *from, const struct backend_ref *ref)
{
    return ref->namespace.len ? ref->namespace : from->namespace;
}

static struct str compile_service_host(struct compile *c, const struct object *from,
                                       const struct backend_ref *ref)
{
    return arena_printf(&c->scratch, "%.*s.%.*s.svc.%.*s", STR_ARG(ref->name),
                        STR_ARG(compile_namespace_of(from, ref)),
                        STR_ARG(c->options->cluster_domain));
}

static struct cluster *compile_service(struct compile *c, const struct cluster_wish *wish,
                                       const struct backend_ref *ref,
                                       enum backend_validity *ret_validity)
{
    struct str namespace = compile_namespace_of(wish->from, ref);
    uint16_t port = (uint16_t)(ref->port.is_set ? ref->port.value : 80);
    struct compile_tls_draft tls = {0};
    struct cluster_draft d = {0};
    struct str host = compile_service_host(c, wish->from, ref);

    d.name = arena_printf(&c->scratch, "Service/%.*s/%.*s:%u", STR_ARG(namespace),
                          STR_ARG(ref->name), port);
    d.key = d.name;
    if (!compile_tls_of_service(c, (const struct service *)ref->target, namespace, ref->name, port,
                                &tls)) {
        *ret_validity = BACKEND_NOT_ENFORCED;
        return NULL;
    }
    const struct service *s = (const struct service *)ref->target;

    d.speaks_http2 = wish->is_grpc || service_speaks_http2(s, port);
    d.http2 = wish->http2;
    d.lookup = wish->lookup;
    d.transport = wish->transport;
    d.protocol = wish->protocol;
    if (s && str_eq(s->spec.type, STR("ExternalName")) && s->spec.external_name.len)
        host = s->spec.external_name;
    compile_host(c, host, port, &d);
    return compile_get_cluster(c, &d, &tls);
}

/* ---- Backends ---- */

static struct cluster *compile_backend_endpoint(struct compile *c, const struct cluster_wish *wish,
                                                const struct backend *b,
                                                const struct backend_endpoint *e,
                                                enum backend_validity *ret_validity)
{
    const struct backend_address *address = e->fqdn ? e->fqdn : e->ip;
    struct compile_tls_draft tls = {0};
    struct cluster_draft d = {.http2 = wish->http2,
                              .lookup = wish->lookup,
                              .transport = wish->transport,
                              .protocol = wish->protocol};

    d.speaks_http2 = wish->is_grpc || backend_speaks_http2(b);
    if (!address) {
        *ret_validity = BACKEND_INVALID; /* unix sockets are not supported; check names it */
        return NULL;
    }
    uint16_t port = (uint16_t)address->port.value;

    d.name = arena_printf(&c->scratch, "Backend/%.*s/%.*s", STR_ARG(b->object.namespace),
                          STR_ARG(b->object.name));
    d.key =
        arena_printf(&c->scratch, "%.*s|%.*s:%u", STR_ARG(d.name), STR_ARG(address->host), port);
    if (!compile_tls_of_backend(c, b, e, &tls)) {
        *ret_validity = BACKEND_NOT_ENFORCED;
        return NULL;
    }
    if (e->fqdn) {
        compile_host(c, address->host, port, &d);
    } else {
        d.endpoints = compile_single(address->host, port);
        d.server_name = e->hostname.len ? e->hostname : address->host;
    }
    return compile_get_cluster(c, &d, &tls);
}

/* All addresses of a Backend make one cluster; every name is one of its own. */
static struct cluster *compile_backend_ips(struct compile *c, const struct cluster_wish *wish,
                                           const struct backend *b)
{
    struct compile_tls_draft tls = {0};
    struct cluster_draft d = {.http2 = wish->http2,
                              .lookup = wish->lookup,
                              .transport = wish->transport,
                              .protocol = wish->protocol};

    d.speaks_http2 = wish->is_grpc || backend_speaks_http2(b);
    d.name = arena_printf(&c->scratch, "Backend/%.*s/%.*s", STR_ARG(b->object.namespace),
                          STR_ARG(b->object.name));
    d.key = arena_printf(&c->scratch, "%.*s|addresses", STR_ARG(d.name));
    if (!compile_tls_of_backend(c, b, &b->spec.endpoints.items[0], &tls))
        return NULL;
    d.endpoints = endpoint_set_new((uint32_t)b->spec.endpoints.n, ENDPOINTS_KNOWN);
    d.endpoints->n = 0;
    VEC_FOREACH (&b->spec.endpoints, e) {
        if (e->ip && endpoint_init_ip(&d.endpoints->items[d.endpoints->n], e->ip->host,
                                      (uint16_t)e->ip->port.value))
            d.endpoints->n++;
    }
    d.server_name = d.name;
    return compile_get_cluster(c, &d, &tls);
}

static bool backend_has_only_ips(const struct backend *b)
{
    VEC_FOREACH (&b->spec.endpoints, e) {
        if (!e->ip)
            return false;
    }
    return b->spec.endpoints.n > 0;
}

/* ---- entries of a rule ---- */

static void compile_add_entry(struct compile *c, const struct compile_place *at,
                              struct backend_draft_vec *drafts, struct cluster *cluster,
                              enum backend_validity validity, uint64_t weight)
{
    struct backend_draft *e = VEC_ADD(&c->scratch, drafts);

    if (cluster)
        arena_on_cleanup(&at->plan->arena, compile_cluster_cleanup, cluster);
    e->plan.cluster = cluster;
    e->plan.validity = cluster ? BACKEND_VALID : validity;
    e->plan.name = cluster ? arena_str(&at->plan->arena, cluster->name) : STR("-");
    e->weight = weight;
}

/* The name by which a rewrite of the host calls it: of an address, the hostname given beside it. */
static struct str backend_endpoint_host(const struct compile_place *at,
                                        const struct backend_endpoint *e)
{
    return arena_str(&at->plan->arena, e->fqdn ? e->fqdn->host : e->hostname);
}

void compile_cluster_cleanup(void *cluster)
{
    cluster_unref(cluster);
}

void compile_guard_of_ref(struct compile *c, const struct compile_place *at,
                          const struct backend_ref *ref)
{
    struct str namespace;

    if (!ref)
        return;
    namespace = ref->target              ? ref->target->namespace
                : ref->namespace.len > 0 ? ref->namespace
                                         : at->route->namespace;
    at->rule->has_lost_guard |= manifest_has_lost_guard(c->manifest, namespace);
    if (!ref->target)
        return;
    VEC_FOREACH (
        manifest_policies_at(c->manifest, KIND_BACKEND_SECURITY_POLICY, ref->target, STR("")),
        policy)
        compile_note_guard(c, *policy);
    if (ref->target->kind->id == KIND_AI_SERVICE_BACKEND)
        compile_guard_of_ref(
            c, at, CONTAINER_OF(ref->target, struct ai_service_backend, object)->spec.backend_ref);
}

static void compile_backend(struct compile *c, const struct compile_place *at,
                            const struct cluster_wish *wish, const struct backend *b,
                            uint64_t weight, struct backend_draft_vec *drafts)
{
    enum backend_validity validity = BACKEND_INVALID;

    if (backend_has_only_ips(b) && !b->object.is_broken) {
        compile_add_entry(c, at, drafts, compile_backend_ips(c, wish, b), BACKEND_NOT_ENFORCED,
                          weight);
        drafts->items[drafts->n - 1].plan.host =
            backend_endpoint_host(at, &b->spec.endpoints.items[0]);
        return;
    }
    if (b->object.is_broken || b->spec.endpoints.n == 0 ||
        b->spec.type == BACKEND_DYNAMIC_RESOLVER) {
        compile_add_entry(c, at, drafts, NULL, BACKEND_INVALID, weight);
        return;
    }
    VEC_FOREACH (&b->spec.endpoints, e) {
        struct cluster *cluster = compile_backend_endpoint(c, wish, b, e, &validity);

        compile_add_entry(c, at, drafts, cluster, validity, weight / b->spec.endpoints.n);
        drafts->items[drafts->n - 1].plan.host = backend_endpoint_host(at, e);
    }
}

static void compile_wished(struct compile *c, const struct compile_place *at,
                           const struct cluster_wish *wish, const struct backend_ref *ref,
                           struct backend_draft_vec *drafts)
{
    uint64_t weight = (uint64_t)backend_ref_weight(ref) * COMPILE_WEIGHT_SCALE;
    bool is_service = str_eq(ref->kind, STR("Service"));
    enum backend_validity validity = BACKEND_INVALID;

    if (ref->state == REF_RESOLVED && str_eq(ref->kind, STR("Backend"))) {
        const struct backend *b = (const struct backend *)ref->target;
        size_t before = drafts->n;

        compile_backend(c, at, wish, b, weight, drafts);
        for (size_t i = before; i < drafts->n; i++)
            drafts->items[i].priority = b->spec.fallback.value;
        return;
    }
    if (is_service && (ref->state == REF_RESOLVED || ref->state == REF_NOT_GIVEN)) {
        struct cluster *cluster = compile_service(c, wish, ref, &validity);

        compile_add_entry(c, at, drafts, cluster, validity, weight);
        return;
    }
    compile_add_entry(c, at, drafts, NULL, BACKEND_INVALID, weight);
}

/* Each is a pair then: `drafts` from `first` on has what clients of HTTP/1 get. */
static void compile_for_http2_clients(struct compile *c, const struct compile_place *at,
                                      const struct backend_ref *ref,
                                      struct backend_draft_vec *drafts, size_t first)
{
    struct cluster_wish wish = compile_wish_of_route(at);
    struct backend_draft_vec others = {0};

    wish.protocol = WISH_HTTP2;
    compile_wished(c, at, &wish, ref, &others);
    ASSERT(others.n == drafts->n - first);
    for (size_t i = 0; i < others.n; i++)
        drafts->items[first + i].plan.cluster_h2 = others.items[i].plan.cluster;
}

void compile_backend_ref(struct compile *c, const struct compile_place *at,
                         const struct backend_ref *ref, struct backend_draft_vec *drafts)
{
    struct cluster_wish wish = compile_wish_of_route(at);
    size_t first = drafts->n;

    compile_guard_of_ref(c, at, ref);
    if (at->traffic->follows_client && !wish.is_grpc)
        wish.protocol = WISH_HTTP1;
    compile_wished(c, at, &wish, ref, drafts);
    if (wish.protocol != WISH_ANY_PROTOCOL)
        compile_for_http2_clients(c, at, ref, drafts, first);
}

struct cluster *compile_cluster_of_uri(struct compile *c, struct str host_port, bool is_tls,
                                       const struct cluster_settings *s)
{
    struct cluster_wish wish = compile_wish_of_settings(c, NULL, false, s);
    ssize_t colon = str_find_char(host_port, ':', 0);
    struct str host = str_slice(host_port, 0, colon < 0 ? host_port.len : (size_t)colon);
    struct compile_tls_draft tls = {0};
    struct cluster_draft d = {
        .http2 = wish.http2, .lookup = wish.lookup, .transport = wish.transport};
    uint64_t port = is_tls ? 443 : 80;

    if (colon >= 0 && (!str_to_u64(str_slice(host_port, (size_t)colon + 1, host_port.len), &port) ||
                       port > UINT16_MAX))
        return NULL;
    d.name = arena_printf(&c->scratch, "uri/%.*s", STR_ARG(host_port));
    d.key = d.name;
    if (is_tls && !compile_tls_of_uri(c, host, &tls))
        return NULL;
    compile_host(c, host, (uint16_t)port, &d);
    return compile_get_cluster(c, &d, &tls);
}

struct str compile_authority_of(struct compile *c, const struct object *from,
                                const struct backend_ref *ref)
{
    const struct backend *b = (const struct backend *)ref->target;
    const struct backend_endpoint *e;
    struct str host;

    if (!str_eq(ref->kind, STR("Backend")) || !b || b->spec.endpoints.n == 0)
        return arena_printf(&c->scratch, "%.*s:%lld", STR_ARG(compile_service_host(c, from, ref)),
                            ref->port.is_set ? (long long)ref->port.value : 80LL);
    e = &b->spec.endpoints.items[0];
    if (!e->fqdn && !e->ip)
        return STR("");
    host = e->fqdn ? e->fqdn->host : e->ip->host;
    return arena_printf(&c->scratch, str_find_char(host, ':', 0) < 0 ? "%.*s:%lld" : "[%.*s]:%lld",
                        STR_ARG(host),
                        (long long)(e->fqdn ? e->fqdn->port.value : e->ip->port.value));
}

struct cluster *compile_cluster_of(struct compile *c, const struct object *from,
                                   const struct backend_ref *ref, bool is_grpc,
                                   const struct cluster_settings *s)
{
    struct cluster_wish wish = compile_wish_of_settings(c, from, is_grpc, s);
    enum backend_validity validity;

    if (ref->state == REF_RESOLVED && str_eq(ref->kind, STR("Backend"))) {
        const struct backend *b = (const struct backend *)ref->target;

        if (b->object.is_broken || b->spec.endpoints.n == 0)
            return NULL;
        if (backend_has_only_ips(b))
            return compile_backend_ips(c, &wish, b);
        if (b->spec.endpoints.n > 1)
            diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_UNSUPPORTED_FIELD, ref->mark,
                     from->label, "of the endpoints of %.*s only the first is used here",
                     STR_ARG(b->object.label));
        return compile_backend_endpoint(c, &wish, b, &b->spec.endpoints.items[0], &validity);
    }
    if (str_eq(ref->kind, STR("Service")) &&
        (ref->state == REF_RESOLVED || ref->state == REF_NOT_GIVEN))
        return compile_service(c, &wish, ref, &validity);
    return NULL;
}
