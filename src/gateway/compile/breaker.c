/* compile: circuitBreaker. Where a policy has one, each bound that it leaves out is 1024, as Envoy
 * Gateway documents; without one there are none. */
#include "gateway/compile/breaker.h"

#include "gateway/compile/rule.h"
#include "gateway/compile/traffic.h"
#include "gateway/server_options.h"
#include "manifest/part/cluster_settings.h"

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

static void breaker_limits_init(struct breaker_limits *l,
                                const struct cluster_circuit_breaker *spec)
{
    l->n_connections = breaker_bound(spec->max_connections, BREAKER_DEFAULT);
    l->n_pending = breaker_bound(spec->max_pending_requests, BREAKER_DEFAULT);
    l->n_requests = breaker_bound(spec->max_parallel_requests, BREAKER_DEFAULT);
    l->n_served = breaker_bound(spec->max_requests_per_connection, 0);
    l->n_endpoint_connections =
        spec->per_endpoint ? breaker_bound(spec->per_endpoint->max_connections, BREAKER_DEFAULT)
                           : BOUNDED_COUNT_MAX;
}

const struct breaker_limits *compile_breaker_of(struct arena *a, const struct cluster *cluster,
                                                const struct cluster_circuit_breaker *spec)
{
    struct breaker_limits *l;

    if (!spec)
        return NULL;
    l = ARENA_NEW(a, struct breaker_limits);
    breaker_limits_init(l, spec);
    breaker_watch_cluster(cluster);
    return l;
}

void compile_breaker(struct compile *c, struct compile_place *at,
                     const struct cluster_circuit_breaker *spec)
{
    struct rule_plan *rule = at->rule;

    rule->breaker = compile_breaker_of(&at->plan->arena, NULL, spec);
    if (!rule->breaker)
        return;
    for (uint32_t i = 0; i < rule->n_backends; i++) {
        breaker_watch_cluster(rule->backends[i].cluster);
        breaker_tell_workers(c, at, rule->backends[i].cluster, rule->breaker->n_connections);
    }
    for (uint32_t i = 0; i < rule->n_mirrors; i++)
        breaker_watch_cluster(rule->mirrors[i].cluster);
}
