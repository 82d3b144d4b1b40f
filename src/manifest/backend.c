/* Decoding of Backend.
 *
 * Owner: the load's arena. Thread: compile thread. Certificates are left to link, names to the
 * resolver. Loopback addresses are allowed: files are written by whoever runs the gateway. */
#include "manifest/backend.h"

static const struct int_range endpoint_port_range = {0, 65535};

static const struct field backend_fqdn_fields[] = {
    FIELD_OTHER(backend_address, host, "hostname", FIELD_REQUIRED, decode_hostname, NULL,
                "Name that is resolved by DNS."),
    FIELD_INT(backend_address, port, "port", FIELD_REQUIRED, &endpoint_port_range, "Port."),
};
static const struct table backend_fqdn_table = {"backend_fqdn", sizeof(struct backend_address),
                                                backend_fqdn_fields,
                                                N_ELEMENTS(backend_fqdn_fields), NULL};

static const struct field backend_ip_fields[] = {
    FIELD_OTHER(backend_address, host, "address", FIELD_REQUIRED, decode_ip, NULL,
                "IPv4 or IPv6 address."),
    FIELD_INT(backend_address, port, "port", FIELD_REQUIRED, &endpoint_port_range, "Port."),
};
static const struct table backend_ip_table = {"backend_ip", sizeof(struct backend_address),
                                              backend_ip_fields, N_ELEMENTS(backend_ip_fields),
                                              NULL};

static void backend_unix_check(struct decoder *d, const struct node *node, void *object)
{
    enum { PATH_MAX_BYTES = 107 }; /* sun_path holds 108 with its end */
    const struct backend_unix *u = object;

    if (u->path.len > PATH_MAX_BYTES)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "path"), "path",
                     "at most %d bytes are possible", PATH_MAX_BYTES);
}

static const struct field backend_unix_fields[] = {
    FIELD_STR(backend_unix, path, "path", FIELD_REQUIRED | FIELD_NON_EMPTY, "Path of the socket."),
};
static const struct table backend_unix_table = TABLE_CHECKED(backend_unix, backend_unix_check);

static void backend_endpoint_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"fqdn", "ip", "unix", NULL};

    (void)object;
    check_exactly_one(d, node, keys);
}

static const struct field backend_endpoint_fields[] = {
    FIELD_OTHER(backend_endpoint, fqdn, "fqdn", 0, decode_object, &backend_fqdn_table,
                "Endpoint by name."),
    FIELD_OTHER(backend_endpoint, ip, "ip", 0, decode_object, &backend_ip_table,
                "Endpoint by address."),
    FIELD_OBJECT(backend_endpoint, unix_socket, "unix", FIELD_NOT_ENFORCED, backend_unix,
                 "Endpoint by a Unix socket."),
    FIELD_OTHER(backend_endpoint, hostname, "hostname", 0, decode_hostname, NULL,
                "Name of an endpoint without one, for TLS and health checks."),
    FIELD_UNSUPPORTED("zone", "Zone of the endpoint."),
};
static const struct table backend_endpoint_table =
    TABLE_CHECKED(backend_endpoint, backend_endpoint_check);

static void backend_tls_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const roots[] = {"caCertificateRefs", "wellKnownCACertificates", NULL};
    static const char *const names[] = {"sni", "autoSNIFromEndpointHostname", NULL};
    const struct backend_tls *t = object;
    bool has_roots = t->ca_certificate_refs.n > 0 || t->well_known_ca_certificates.len > 0;

    tls_settings_check(d, node, &t->settings);
    check_max_items(d, node, "caCertificateRefs", 8);
    check_at_most_one(d, node, roots);
    if (t->sni.len > 0 && t->auto_sni.value)
        check_at_most_one(d, node, names);
    if (t->insecure_skip_verify.value && has_roots)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "insecureSkipVerify"),
                     "insecureSkipVerify",
                     "contradicts the certificates that are given to verify by");
    if (t->well_known_ca_certificates.len > 0 &&
        !str_eq(t->well_known_ca_certificates, STR("System")))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "wellKnownCACertificates"),
                     "wellKnownCACertificates", "only System is known here");
    VEC_FOREACH (&t->settings.alpn_protocols, p) {
        if (!str_eq(*p, STR("h2")) && !str_eq(*p, STR("http/1.1")))
            decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "alpnProtocols"), "alpnProtocols",
                           "%.*s is not spoken to backends, and not offered", STR_ARG(*p));
    }
}

static const struct field backend_tls_fields[] = {
    TLS_SETTINGS_FIELDS(backend_tls, settings., 0, 0, 0),
    FIELD_LIST(backend_tls, ca_certificate_refs, "caCertificateRefs", 0, local_object_ref,
               "ConfigMaps or Secrets whose key ca.crt holds the trusted roots."),
    FIELD_STR(backend_tls, well_known_ca_certificates, "wellKnownCACertificates", 0,
              "System: the roots that the machine trusts."),
    FIELD_BOOL(backend_tls, insecure_skip_verify, "insecureSkipVerify", 0,
               "Whether any certificate is accepted."),
    FIELD_OTHER(backend_tls, sni, "sni", 0, decode_hostname, NULL,
                "Name that is asked for and that the certificate must have."),
    FIELD_BOOL(backend_tls, auto_sni, "autoSNIFromEndpointHostname", 0,
               "Whether each endpoint's own name is asked for."),
    FIELD_OBJECT(backend_tls, client_certificate_ref, "clientCertificateRef", 0, secret_ref,
                 "Secret with the certificate that the gateway presents."),
};
static const struct table backend_tls_table = TABLE_CHECKED(backend_tls, backend_tls_check);

static const char *const app_protocol_names[] = {
    "gateway.envoyproxy.io/h2c", "gateway.envoyproxy.io/ws", "gateway.envoyproxy.io/wss", NULL};
static const char *const backend_type_names[] = {"Endpoints", "DynamicResolver", NULL};

static void check_mix(struct decoder *d, const struct node *node, const struct backend_spec *b)
{
    size_t n_fqdn = 0;

    VEC_FOREACH (&b->endpoints, e)
        n_fqdn += e->fqdn != NULL;
    if (n_fqdn > 0 && n_fqdn < b->endpoints.n)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "endpoints"), "endpoints",
                     "endpoints by name and by address cannot stand in one Backend");
}

/* The addresses of a Backend are one destination, which is asked for by one name. */
static void check_auto_sni(struct decoder *d, const struct node *node, const struct backend_spec *b)
{
    if (!b->tls || !b->tls->auto_sni.value)
        return;
    VEC_FOREACH (&b->endpoints, e) {
        if (!e->ip || str_eq(e->hostname, b->endpoints.items[0].hostname))
            continue;
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "tls"),
                       "tls.autoSNIFromEndpointHostname",
                       "not enforced where addresses have names that differ: the first one's is "
                       "asked for");
        return;
    }
}

static void backend_spec_check(struct decoder *d, const struct node *node, void *object)
{
    struct backend_spec *b = object;

    if (b->type < 0)
        b->type = BACKEND_ENDPOINTS;
    if (b->type == BACKEND_DYNAMIC_RESOLVER) {
        decode_error(d, DIAG_UNSUPPORTED_FIELD, node_find(node, "type"), "type",
                     "DynamicResolver is known to the API but not supported here");
        return;
    }
    if (b->endpoints.n == 0)
        decode_error(d, DIAG_MISSING_FIELD, node, "endpoints", "at least one endpoint is needed");
    check_max_items(d, node, "endpoints", 256);
    check_mix(d, node, b);
    check_auto_sni(d, node, b);
}

static const struct field backend_spec_fields[] = {
    FIELD_ENUM(backend_spec, type, "type", 0, backend_type_names,
               "Endpoints (default): the addresses below."),
    FIELD_LIST(backend_spec, endpoints, "endpoints", 0, backend_endpoint,
               "Where the backend is reached."),
    FIELD_OTHER(backend_spec, app_protocols, "appProtocols", 0, decode_enum_set, app_protocol_names,
                "Protocols that the endpoints speak, beside HTTP/1.1."),
    FIELD_BOOL(backend_spec, fallback, "fallback", 0,
               "Takes traffic only when the route's other backends are unhealthy."),
    FIELD_OBJECT(backend_spec, tls, "tls", 0, backend_tls, "TLS towards the endpoints."),
};
const struct table backend_spec_table = TABLE_CHECKED(backend_spec, backend_spec_check);
