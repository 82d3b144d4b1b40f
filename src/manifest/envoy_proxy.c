/* Decoding of EnvoyProxy; its telemetry stands in telemetry_spec.c.
 *
 * Owner: the load's arena. Thread: compile thread. What concerns the deployment of a proxy in a
 * cluster has no meaning in one program and is named as unsupported. */
#include "manifest/envoy_proxy.h"

static const struct field shutdown_spec_fields[] = {
    FIELD_DURATION(shutdown_spec, drain_timeout, "drainTimeout", FIELD_NOT_ENFORCED,
                   "Time for requests to finish; --drain-timeout is used."),
    FIELD_DURATION(shutdown_spec, min_drain_duration, "minDrainDuration", FIELD_NOT_ENFORCED,
                   "Shortest drain; --drain-delay is used."),
    FIELD_DURATION(shutdown_spec, health_check_failure_delay, "healthCheckFailureDelay",
                   FIELD_NOT_ENFORCED, "Wait before readiness is withdrawn."),
};
static const struct table shutdown_spec_table = TABLE(shutdown_spec);

static const char *const ip_family_names[] = {"IPv4", "IPv6", "DualStack", NULL};

static void proxy_tls_check(struct decoder *d, const struct node *node, void *object)
{
    tls_settings_check(d, node, object);
}

static const struct field proxy_tls_fields[] = {
    TLS_SETTINGS_FIELDS(tls_settings, , 0, 0, 0),
    FIELD_UNSUPPORTED("clientCertificateRef", "Certificate presented to every backend."),
};
static const struct table proxy_tls_table = {"proxy_tls", sizeof(struct tls_settings),
                                             proxy_tls_fields, N_ELEMENTS(proxy_tls_fields),
                                             proxy_tls_check};

static const struct field envoy_proxy_spec_fields[] = {
    FIELD_OBJECT(envoy_proxy_spec, telemetry, "telemetry", 0, telemetry_spec,
                 "Access log, metrics, tracing."),
    FIELD_OBJECT(envoy_proxy_spec, shutdown, "shutdown", 0, shutdown_spec, "Draining."),
    FIELD_OTHER(envoy_proxy_spec, backend_tls, "backendTLS", FIELD_NOT_ENFORCED, decode_object,
                &proxy_tls_table, "TLS towards every backend."),
    FIELD_BOOL(envoy_proxy_spec, merge_gateways, "mergeGateways", 0,
               "Without effect: Gateways of one address share its listeners anyway."),
    FIELD_BOOL(envoy_proxy_spec, preserve_route_order, "preserveRouteOrder", FIELD_NOT_ENFORCED,
               "Whether rules are tried in the order written."),
    FIELD_INT(envoy_proxy_spec, concurrency, "concurrency", FIELD_NOT_ENFORCED, RANGE(0, INT32_MAX),
              "Workers; --workers is used."),
    FIELD_ENUM(envoy_proxy_spec, ip_family, "ipFamily", FIELD_NOT_ENFORCED, ip_family_names,
               "Address families of listeners and backends."),
    FIELD_UNSUPPORTED("bootstrap", "Envoy's own start-up configuration."),
    FIELD_UNSUPPORTED("dynamicModules", "Modules loaded into Envoy."),
    FIELD_UNSUPPORTED("extraArgs", "Envoy's own command line."),
    FIELD_UNSUPPORTED("filterOrder", "Order of Envoy's filters; the journey's is fixed."),
    FIELD_UNSUPPORTED("geoIP", "Location of addresses."),
    FIELD_UNSUPPORTED("logging", "Envoy's own log levels."),
    FIELD_UNSUPPORTED("lua", "Settings of Lua scripts."),
    FIELD_UNSUPPORTED("luaValidation", "Settings of Lua scripts."),
    FIELD_UNSUPPORTED("mergeBackends", "Sharing of Envoy's clusters."),
    FIELD_UNSUPPORTED("mergeType", "Merging of EnvoyProxy objects."),
    FIELD_UNSUPPORTED("provider", "Deployment in a cluster."),
    FIELD_UNSUPPORTED("routingType", "Whether a Service's address or its endpoints are used."),
};
const struct table envoy_proxy_spec_table = TABLE(envoy_proxy_spec);
