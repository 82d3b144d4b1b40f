/* Backend (gateway.envoyproxy.io/v1alpha1): addresses outside the cluster's Services, with TLS of
 * its own. Immutable after load. */
#pragma once

#include "manifest/part/tls_settings.h"

struct backend_address { /* fqdn: host is a name; ip: an address */
    struct mark mark;
    struct str host;
    struct opt_int port;
};
struct backend_unix {
    struct mark mark;
    struct str path;
};
/* Exactly one of fqdn, ip, unix_socket. */
struct backend_endpoint {
    struct mark mark;
    struct backend_address *fqdn;
    struct backend_address *ip;
    struct backend_unix *unix_socket;
    struct str hostname; /* name for health checks and SNI of an ip or unix endpoint */
    struct str zone;
};
struct backend_tls {
    struct tls_settings settings;
    VEC(struct local_object_ref) ca_certificate_refs;
    struct str well_known_ca_certificates; /* "System" or empty */
    struct opt_bool insecure_skip_verify;
    struct str sni;
    struct opt_bool auto_sni;
    struct secret_ref *client_certificate_ref;
};
/* Bits of backend_spec.app_protocols. */
enum app_protocol {
    APP_PROTOCOL_H2C,
    APP_PROTOCOL_WS,
    APP_PROTOCOL_WSS,
};
enum backend_type { BACKEND_ENDPOINTS, BACKEND_DYNAMIC_RESOLVER /* not supported */ };
struct backend_spec {
    struct mark mark;
    int type; /* enum backend_type */
    VEC(struct backend_endpoint) endpoints;
    uint32_t app_protocols; /* 1 << enum app_protocol */
    struct opt_bool fallback;
    struct backend_tls *tls;
};
struct backend {
    struct object object;
    struct backend_spec spec;
};
extern const struct table backend_spec_table;
