/* Decoding of Gateway: listeners, TLS, addresses (Gateway API v1, "GatewaySpec").
 *
 * Owner: the load's arena. Thread: the compile thread. Conflicts between listeners, certificates,
 * and which routes attach, are link's: a bad listener must not take its neighbours down. */
#include "manifest/gateway.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "manifest/hostname.h"
#include "manifest/manifest.h"

static const struct field route_kind_fields[] = {
    FIELD_STR(route_kind, group, "group", 0, "API group; gateway.networking.k8s.io unless given."),
    FIELD_STR(route_kind, kind, "kind", FIELD_REQUIRED | FIELD_NON_EMPTY, "Kind of route."),
};
static void route_kind_check(struct decoder *d, const struct node *node, void *object)
{
    struct route_kind *k = object;

    (void)d;
    (void)node;
    if (!k->group.ptr)
        k->group = GROUP_GATEWAY;
}
static const struct table route_kind_table = TABLE_CHECKED(route_kind, route_kind_check);

static const char *const routes_from_names[] = {"All", "Selector", "Same", NULL};
static const struct field route_namespaces_fields[] = {
    FIELD_ENUM(route_namespaces, from, "from", 0, routes_from_names,
               "Which namespaces; Same unless given."),
    FIELD_OBJECT(route_namespaces, selector, "selector", 0, label_selector,
                 "Labels of the namespaces, with from Selector."),
};
static void route_namespaces_check(struct decoder *d, const struct node *node, void *object)
{
    struct route_namespaces *n = object;

    if (n->from < 0)
        n->from = ROUTES_FROM_SAME;
    if (n->from == ROUTES_FROM_SELECTOR && !n->selector)
        decode_error(d, DIAG_MISSING_FIELD, node, "selector", "required with from Selector");
}
static const struct table route_namespaces_table =
    TABLE_CHECKED(route_namespaces, route_namespaces_check);

static const struct field allowed_routes_fields[] = {
    FIELD_OBJECT(allowed_routes, namespaces, "namespaces", 0, route_namespaces,
                 "Namespaces whose routes may attach; its own unless given."),
    FIELD_LIST(allowed_routes, kinds, "kinds", 0, route_kind, "Kinds of routes that may attach."),
};
static const struct table allowed_routes_table = TABLE(allowed_routes);

static const char *const tls_mode_names[] = {"Terminate", "Passthrough", NULL};
static const struct field listener_tls_fields[] = {
    FIELD_ENUM(listener_tls, mode, "mode", 0, tls_mode_names, "Terminate unless given."),
    FIELD_LIST(
        listener_tls, certificate_refs, "certificateRefs", 0, secret_ref,
        "Secrets with tls.crt and tls.key, and tls.ocsp-staple where a response is stapled."),
    FIELD_TEXT_MAP(listener_tls, options, "options", 0,
                   "tls.cipher_suites, tls.min_protocol_version, tls.max_protocol_version."),
};
int listener_tls_version(struct str text)
{
    if (str_eq_nocase(text, STR("TLSv1.2")) || str_eq(text, STR("1.2")))
        return 0x0303;
    if (str_eq_nocase(text, STR("TLSv1.3")) || str_eq(text, STR("1.3")))
        return 0x0304;
    return 0;
}

/* A version that is not understood must not fall back to a weaker default. */
static void listener_check_version(struct decoder *d, const struct node *at, struct str text)
{
    if (listener_tls_version(text) == 0)
        decode_error(d, DIAG_INVALID_VALUE, at, "options",
                     "\"%.*s\" is not a TLS version served here: TLSv1.2 or TLSv1.3",
                     STR_ARG(text));
}

static void listener_tls_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const known[] = {"tls.cipher_suites", "tls.min_protocol_version",
                                        "tls.max_protocol_version"};
    struct listener_tls *t = object;

    if (t->mode < 0)
        t->mode = LISTENER_TLS_TERMINATE;
    check_max_items(d, node, "certificateRefs", 64);
    VEC_FOREACH (&t->options, option) {
        struct node at = {.mark = option->mark};
        bool is_known = false;

        for (size_t i = 0; i < N_ELEMENTS(known); i++)
            is_known |= str_eq(option->key, str_of(known[i]));
        if (!is_known)
            decode_warning(d, DIAG_UNSUPPORTED_FIELD, &at, "options",
                           "\"%.*s\" is not known here: ignored", STR_ARG(option->key));
        else if (!str_eq(option->key, STR("tls.cipher_suites")))
            listener_check_version(d, &at, option->value);
    }
}
static const struct table listener_tls_table = TABLE_CHECKED(listener_tls, listener_tls_check);

static const struct field listener_fields[] = {
    FIELD_STR(listener, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Name of the listener, unique in the Gateway."),
    FIELD_OTHER(listener, hostname, "hostname", 0, decode_wildcard_hostname, NULL,
                "Host that the listener serves; any unless given."),
    FIELD_INT(listener, port, "port", FIELD_REQUIRED, &port_range, "Port of the listener."),
    FIELD_STR(listener, protocol, "protocol", FIELD_REQUIRED | FIELD_NON_EMPTY, "HTTP or HTTPS."),
    FIELD_OBJECT(listener, tls, "tls", 0, listener_tls, "Certificates and TLS options."),
    FIELD_OBJECT(listener, allowed_routes, "allowedRoutes", 0, allowed_routes,
                 "Which routes may attach."),
};
static void listener_check(struct decoder *d, const struct node *node, void *object)
{
    struct listener *l = object;

    l->kind = str_eq(l->protocol, STR("HTTP"))    ? LISTENER_HTTP
              : str_eq(l->protocol, STR("HTTPS")) ? LISTENER_HTTPS
                                                  : LISTENER_OTHER;
    if (l->kind == LISTENER_HTTP && l->tls)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "tls"), "tls",
                     "must not be given with protocol HTTP");
    if (l->kind == LISTENER_HTTPS && !l->tls)
        decode_error(d, DIAG_MISSING_FIELD, node, "tls", "required with protocol HTTPS");
    if (l->kind == LISTENER_HTTPS && l->tls && l->tls->mode == LISTENER_TLS_PASSTHROUGH)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "tls"), "tls.mode",
                     "must be Terminate with protocol HTTPS");
    else if (l->kind == LISTENER_HTTPS && l->tls && l->tls->certificate_refs.n == 0)
        decode_error(d, DIAG_MISSING_FIELD, node_find(node, "tls"), "tls.certificateRefs",
                     "required with mode Terminate");
}
static const struct table listener_table = TABLE_CHECKED(listener, listener_check);

static const struct field gateway_address_fields[] = {
    FIELD_STR(gateway_address, type, "type", 0, "IPAddress (default) or Hostname."),
    FIELD_STR(gateway_address, value, "value", 0, "The address."),
};
static void gateway_address_check(struct decoder *d, const struct node *node, void *object)
{
    struct gateway_address *a = object;
    char text[64];
    unsigned char bytes[16];

    a->parsed_type = str_is_empty(a->type) || str_eq(a->type, STR("IPAddress")) ? ADDRESS_IP
                     : str_eq(a->type, STR("Hostname"))                         ? ADDRESS_HOSTNAME
                                                                                : ADDRESS_OTHER;
    if (a->parsed_type != ADDRESS_IP)
        decode_warning(d, DIAG_UNSUPPORTED_FIELD, node_find(node, "type"), "type",
                       "only IPAddress is supported: the address is not listened on");
    if (a->parsed_type != ADDRESS_IP || str_is_empty(a->value))
        return;
    snprintf(text, sizeof text, "%.*s", STR_ARG(str_slice(a->value, 0, sizeof text - 1)));
    if (inet_pton(AF_INET, text, bytes) != 1 && inet_pton(AF_INET6, text, bytes) != 1)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "value"), "value",
                     "expected an IPv4 or IPv6 address");
}
static const struct table gateway_address_table =
    TABLE_CHECKED(gateway_address, gateway_address_check);

static const char *const validation_mode_names[] = {"AllowValidOnly", "AllowInsecureFallback",
                                                    NULL};
static const struct field frontend_validation_fields[] = {
    FIELD_LIST(frontend_validation, ca_certificate_refs, "caCertificateRefs",
               FIELD_REQUIRED | FIELD_NON_EMPTY, secret_ref,
               "ConfigMaps or Secrets with the key ca.crt."),
    FIELD_ENUM(frontend_validation, mode, "mode", 0, validation_mode_names,
               "Whether a client without a valid certificate is let in; AllowValidOnly unless "
               "given."),
};
static void frontend_validation_check(struct decoder *d, const struct node *node, void *object)
{
    const struct frontend_validation *v = object;

    if (v->mode == FRONTEND_INSECURE_FALLBACK)
        decode_note(d, DIAG_BYPASS, node_find(node, "mode"), "mode",
                    "clients are let in whatever certificate they show, or without one; backends "
                    "are told of verified ones alone");
}
static const struct table frontend_validation_table =
    TABLE_CHECKED(frontend_validation, frontend_validation_check);
static const struct field frontend_tls_fields[] = {
    FIELD_OBJECT(frontend_tls, validation, "validation", 0, frontend_validation,
                 "Client certificates, where no ClientTrafficPolicy has a word on them."),
};
static const struct table frontend_tls_table = TABLE(frontend_tls);
static const struct field frontend_port_tls_fields[] = {
    FIELD_INT(frontend_port_tls, port, "port", FIELD_REQUIRED, &port_range, "Port meant."),
    FIELD_OBJECT(frontend_port_tls, tls, "tls", FIELD_REQUIRED, frontend_tls,
                 "Client certificates on this port."),
};
static const struct table frontend_port_tls_table = TABLE(frontend_port_tls);
static const struct field gateway_frontend_fields[] = {
    FIELD_OBJECT(gateway_frontend, default_tls, "default", FIELD_REQUIRED, frontend_tls,
                 "Client certificates on all ports."),
    FIELD_LIST(gateway_frontend, per_port, "perPort", 0, frontend_port_tls,
               "Client certificates by port."),
};
static const struct table gateway_frontend_table = TABLE(gateway_frontend);
static const struct field gateway_tls_fields[] = {
    FIELD_OBJECT(gateway_tls, frontend, "frontend", 0, gateway_frontend,
                 "Connections from clients."),
    FIELD_UNSUPPORTED("backend", "The gateway's own certificate towards backends."),
};
static const struct table gateway_tls_table = TABLE(gateway_tls);

static const struct field gateway_infrastructure_fields[] = {
    FIELD_OBJECT(gateway_infrastructure, parameters_ref, "parametersRef", 0, local_object_ref,
                 "An EnvoyProxy for this Gateway."),
    FIELD_UNSUPPORTED("labels", "Labels of generated objects."),
    FIELD_UNSUPPORTED("annotations", "Annotations of generated objects."),
};
static const struct table gateway_infrastructure_table = TABLE(gateway_infrastructure);

static const struct field gateway_spec_fields[] = {
    FIELD_STR(gateway_spec, gateway_class_name, "gatewayClassName",
              FIELD_REQUIRED | FIELD_NON_EMPTY, "GatewayClass of the Gateway."),
    FIELD_LIST(gateway_spec, listeners, "listeners", FIELD_REQUIRED | FIELD_NON_EMPTY, listener,
               "Ports, hosts and certificates."),
    FIELD_LIST(gateway_spec, addresses, "addresses", 0, gateway_address,
               "Addresses to listen on; all unless given."),
    FIELD_OBJECT(gateway_spec, infrastructure, "infrastructure", 0, gateway_infrastructure,
                 "Parameters of this Gateway."),
    FIELD_OBJECT(gateway_spec, tls, "tls", 0, gateway_tls, "TLS of the Gateway as a whole."),
    FIELD_UNSUPPORTED("allowedListeners", "ListenerSets that may attach."),
    FIELD_UNSUPPORTED("defaultScope", "Routes without a parent."),
};
static void gateway_spec_check(struct decoder *d, const struct node *node, void *object)
{
    enum { LISTENERS_MAX = 64 };
    struct gateway_spec *s = object;

    check_max_items(d, node, "listeners", LISTENERS_MAX);
    /* Reported; link compares listeners with each other and routes with each listener. */
    s->listeners.n = MIN(s->listeners.n, (size_t)LISTENERS_MAX);
    check_max_items(d, node, "addresses", 16);
}
const struct table gateway_spec_table = TABLE_CHECKED(gateway_spec, gateway_spec_check);

struct listener *gateway_find_listener(struct gateway *g, struct str name)
{
    VEC_FOREACH (&g->spec.listeners, l) {
        if (str_eq(l->name, name))
            return l;
    }
    return NULL;
}

const struct str_vec *manifest_gateway_addresses(const struct object *gateway)
{
    return &CONTAINER_OF(gateway, const struct gateway, object)->addresses;
}
