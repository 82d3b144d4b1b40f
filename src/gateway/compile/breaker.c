/* compile: circuitBreaker. Where a policy has one, each bound that it leaves out is 1024, as Envoy
 * Gateway documents; without one there are none. */
#include "gateway/compile/breaker.h"

#include "gateway/compile/rule.h"
#include "gateway/compile/traffic.h"
#include "gateway/server_options.h"
#include "manifest/part/cluster_settings.h"
#include "upstream/breaker/bounds.h"

enum { BREAKER_DEFAULT = 1024 };

static uint32_t breaker_bound(struct opt_int asked, uint32_t otherwise)
{
    return asked.is_set ? (uint32_t)MIN(asked.value, (int64_t)BOUNDED_COUNT_MAX) : otherwise;
}

/* From now on its requests count. */
static void breaker_watch_cluster(const struct cluster *c)
{
    if (c)
        breaker_watch(&c->backend->breaker);
}

/* A connection belongs to a worker, and one of HTTP/2 is let go only when its streams are through.
 */
static void breaker_tell_workers(struct compile *c, const struct compile_place *at,
                                 const struct cluster *cluster, uint32_t n_connections)
{
    const struct object *policy = at->traffic->merged.object;

    if (!cluster || cluster->protocol == CLUSTER_HTTP1 || n_connections >= c->options->n_workers ||
        !compile_tells(c, arena_printf(&c->scratch, "breaker|%.*s|%.*s", STR_ARG(policy->label),
                                       STR_ARG(cluster->name))))
        return;
    diag_add(
        &c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, policy->mark, policy->label,
        "maxConnections %u is less than the %u workers: over HTTP/2 to %.*s, requests of a worker "
        "without a connection wait until the streams of another's have ended; allow %u "
        "connections, or run with --workers %u",
        n_connections, c->options->n_workers, STR_ARG(cluster->name), c->options->n_workers,
        MAX(n_connections, 1U));
}

bool compile_limits_of(const struct cluster *cluster, const struct cluster_circuit_breaker *spec,
                       struct breaker_limits *ret_limits)
{
    if (!spec)
        return false;
    *ret_limits = (struct breaker_limits){
        .n_connections = breaker_bound(spec->max_connections, BREAKER_DEFAULT),
        .n_pending = breaker_bound(spec->max_pending_requests, BREAKER_DEFAULT),
        .n_requests = breaker_bound(spec->max_parallel_requests, BREAKER_DEFAULT),
        .n_served = breaker_bound(spec->max_requests_per_connection, 0),
        .n_endpoint_connections =
            spec->per_endpoint ? breaker_bound(spec->per_endpoint->max_connections, BREAKER_DEFAULT)
                               : BOUNDED_COUNT_MAX};
    breaker_watch_cluster(cluster);
    return true;
}

/* The policies of a rule are found by these names and no others: so rules that share them have the
 * same bounds, and those of the next snapshot are what has become of them, whatever policy they
 * come from and wherever in the route the rule stands. */
static struct str breaker_key(struct compile *c, const struct compile_place *at, struct str user)
{
    return arena_printf(&c->scratch, "%.*s|%.*s|%.*s|%.*s|%.*s", STR_ARG(user),
                        STR_ARG(at->gateway->object.label), STR_ARG(at->listener->name),
                        STR_ARG(at->route->label), STR_ARG(at->rule_name));
}

static void breaker_cleanup(void *bounds)
{
    bounds_unref(bounds);
}

/* Once the snapshot is adopted. The reference is the snapshot's then. */
static void breaker_wish(struct compile *c, struct bounds *b, const struct breaker_limits *l)
{
    struct bounds_wish *wish = VEC_ADD(&c->snapshot->arena, &c->bounds);

    wish->bounds = b;
    (void)breaker_limits_set(&wish->limits, l);
}

/* Who waits by bounds that there were before waits by none. */
static void breaker_wish_none(struct compile *c, struct str key)
{
    static const struct breaker_limits none = {.n_connections = BOUNDED_COUNT_MAX,
                                               .n_endpoint_connections = BOUNDED_COUNT_MAX,
                                               .n_pending = BOUNDED_COUNT_MAX,
                                               .n_requests = BOUNDED_COUNT_MAX};
    struct bounds *b = bounds_find(c->clusters, key);

    if (b)
        breaker_wish(c, b, &none);
}

const struct breaker_limits *compile_breaker_of(struct compile *c, const struct compile_place *at,
                                                struct str user, const struct cluster *cluster,
                                                const struct cluster_circuit_breaker *spec)
{
    struct str key = breaker_key(c, at, user);
    struct breaker_limits limits;
    struct bounds *b;

    if (!compile_limits_of(cluster, spec, &limits)) {
        breaker_wish_none(c, key);
        return NULL;
    }
    b = bounds_get(c->clusters, key, &limits);
    arena_on_cleanup(&at->plan->arena, breaker_cleanup, b);
    breaker_wish(c, bounds_ref(b), &limits);
    return &b->now;
}

void compile_breaker(struct compile *c, struct compile_place *at,
                     const struct cluster_circuit_breaker *spec)
{
    struct rule_plan *rule = at->rule;

    if (at->traffic->merged.is_broken)
        return; /* what its bounds are to be is not known: they stay */
    rule->breaker = compile_breaker_of(c, at, STR("rule"), NULL, spec);
    if (!rule->breaker)
        return;
    for (uint32_t i = 0; i < rule->n_backends; i++) {
        breaker_watch_cluster(rule->backends[i].cluster);
        breaker_tell_workers(c, at, rule->backends[i].cluster,
                             breaker_bound(spec->max_connections, BREAKER_DEFAULT));
    }
    for (uint32_t i = 0; i < rule->n_mirrors; i++)
        breaker_watch_cluster(rule->mirrors[i].cluster);
}
