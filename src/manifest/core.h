/* Kubernetes' core objects as far as a gateway reads them: Namespace, Service, EndpointSlice,
 * Secret, ConfigMap. Fields that mean nothing to a gateway are known and passed over in silence.
 * Immutable after load. Secret values are decoded bytes; they are wiped with the arena's load and
 * never reach a diagnostic. */
#pragma once

#include "manifest/object.h"

struct k8s_namespace_spec {
    struct mark mark;
};
struct k8s_namespace {
    struct object object;
    struct k8s_namespace_spec spec;
};

struct service_port {
    struct mark mark;
    struct str name;
    struct str protocol;     /* empty: TCP */
    struct str app_protocol; /* "kubernetes.io/h2c", "https", ... or empty */
    struct opt_int port;
    struct str target_port; /* a number or a port's name; empty: as port */
};
/* "https", "kubernetes.io/wss": a name that promises TLS, which it does not set up. */
bool app_protocol_is_tls(struct str protocol);
struct service_spec {
    struct mark mark;
    VEC(struct service_port) ports;
    struct str type;          /* empty: ClusterIP */
    struct str external_name; /* with type ExternalName */
    struct str cluster_ip;
};
struct service {
    struct object object;
    struct service_spec spec;
    VEC(struct endpoint_slice *)
    endpoint_slices; /* link: those labelled with this Service's name */
};

struct endpoint_conditions {
    struct mark mark;
    struct opt_bool ready; /* absent: ready */
    struct opt_bool serving;
    struct opt_bool terminating;
};
struct slice_endpoint {
    struct mark mark;
    struct str_vec addresses;
    struct endpoint_conditions *conditions;
};
struct endpoint_port {
    struct mark mark;
    struct str name;
    struct str protocol;
    struct str app_protocol;
    struct opt_int port;
};
enum endpoint_address_type { ENDPOINT_IPV4, ENDPOINT_IPV6, ENDPOINT_FQDN };
struct endpoint_slice_spec {
    struct mark mark;
    int address_type; /* enum endpoint_address_type */
    VEC(struct slice_endpoint) endpoints;
    VEC(struct endpoint_port) ports;
};
struct endpoint_slice {
    struct object object;
    struct endpoint_slice_spec spec;
};

struct secret_spec {
    struct mark mark;
    struct str type;
    struct text_pair_vec data; /* decoded from base64; stringData folded in, and wins */
    struct text_pair_vec string_data;
};
struct secret {
    struct object object;
    struct secret_spec spec;
};

struct config_map_spec {
    struct mark mark;
    struct text_pair_vec data; /* binaryData decoded and folded in */
    struct text_pair_vec binary_data;
};
struct config_map {
    struct object object;
    struct config_map_spec spec;
};

extern const struct table k8s_namespace_spec_table;
extern const struct table service_spec_table;
extern const struct table endpoint_slice_spec_table;
extern const struct table secret_spec_table;
extern const struct table config_map_spec_table;

/* The value under `key`, STR_NULL when absent. */
struct str secret_find(const struct secret *s, const char *key);
struct str config_map_find(const struct config_map *c, const char *key);
/* The value under `key` of a Secret or a ConfigMap, whichever `o` is; STR_NULL else. */
struct str keeper_find(const struct object *o, const char *key);
/* The same, and the first value where a ConfigMap has no such key. */
struct str keeper_find_or_first(const struct object *o, const char *key);
/* Overwrites the values of a struct secret; an arena_cleanup_fn. */
void secret_wipe(void *secret);
/* NULL when the Service has no such port. */
const struct service_port *service_find_port(const struct service *s, int64_t port);
