/* Gateway (gateway.networking.k8s.io): listeners, their TLS, and which routes may attach. The parts
 * under "link" are filled by manifest/link and are what compile walks. Immutable after link. */
#pragma once

#include "manifest/part/policy_target.h"
#include "manifest/ref.h"

struct route_kind {
    struct mark mark;
    struct str group;
    struct str kind;
};
enum routes_from { ROUTES_FROM_ALL, ROUTES_FROM_SELECTOR, ROUTES_FROM_SAME };
struct route_namespaces {
    struct mark mark;
    int from; /* enum routes_from; -1: Same */
    struct label_selector *selector;
};
struct allowed_routes {
    struct mark mark;
    struct route_namespaces *namespaces; /* NULL: Same */
    VEC(struct route_kind) kinds;        /* none: those of the protocol */
};
enum listener_tls_mode { LISTENER_TLS_TERMINATE, LISTENER_TLS_PASSTHROUGH };
struct listener_tls {
    struct mark mark;
    int mode; /* enum listener_tls_mode; -1: Terminate */
    VEC(struct secret_ref) certificate_refs;
    struct text_pair_vec options; /* tls.cipher_suites, tls.min_protocol_version, ... */
};
enum listener_protocol { LISTENER_HTTP, LISTENER_HTTPS, LISTENER_OTHER };

/* 0x0303 (TLS 1.2) or 0x0304 of an option's "TLSv1.2" or "1.2"; 0: not served here. */
int listener_tls_version(struct str text);

/* A route on a listener. */
struct attached_route {
    struct object *route; /* HTTPRoute, GRPCRoute or AIGatewayRoute */
    struct parent_ref *parent;
    /* Effective hostnames: the intersection of the listener's and the route's; empty: any host. */
    struct str_vec hostnames;
};

struct listener {
    struct mark mark;
    struct str name;
    struct str hostname; /* empty: any; "*.example.com": any below */
    struct opt_int port;
    struct str protocol;
    struct listener_tls *tls;
    struct allowed_routes *allowed_routes;
    /* link */
    enum listener_protocol kind;
    bool is_accepted;   /* protocol supported, no conflict */
    bool is_resolved;   /* certificates found, permitted, parsed and matching; kinds known */
    bool is_programmed; /* both: it may be opened; where the Gateway is_broken, to refuse all */
    bool is_conflicted; /* refuses: another listener has this port, protocol and hostname */
    VEC(struct attached_route) routes;
};

enum gateway_address_type { ADDRESS_IP, ADDRESS_HOSTNAME, ADDRESS_OTHER };
struct gateway_address {
    struct mark mark;
    struct str type;
    struct str value;
    int parsed_type; /* enum gateway_address_type */
};

enum frontend_mode { FRONTEND_VALID_ONLY, FRONTEND_INSECURE_FALLBACK };
struct frontend_validation {
    struct mark mark;
    VEC(struct secret_ref) ca_certificate_refs;
    int mode; /* enum frontend_mode; -1: FRONTEND_VALID_ONLY */
};
struct frontend_tls {
    struct mark mark;
    struct frontend_validation *validation;
};
struct frontend_port_tls {
    struct mark mark;
    struct opt_int port;
    struct frontend_tls *tls;
};
struct gateway_frontend {
    struct mark mark;
    struct frontend_tls *default_tls;
    VEC(struct frontend_port_tls) per_port;
};
struct gateway_tls {
    struct mark mark;
    struct gateway_frontend *frontend; /* client certificates */
};
struct gateway_infrastructure {
    struct mark mark;
    struct local_object_ref *parameters_ref; /* an EnvoyProxy */
};

struct gateway_spec {
    struct mark mark;
    struct str gateway_class_name;
    VEC(struct listener) listeners;
    VEC(struct gateway_address) addresses;
    struct gateway_infrastructure *infrastructure;
    struct gateway_tls *tls;
};
struct gateway {
    struct object object;
    struct gateway_spec spec;
    /* link */
    struct gateway_class *class; /* NULL: dangling, or of another controller */
    bool is_ours;                /* its class is served here */
    struct object *envoy_proxy;  /* of infrastructure.parametersRef, else of the class, else NULL */
    /* compile: where it listens; an empty one: everywhere. */
    struct str_vec addresses;
};
extern const struct table gateway_spec_table;

/* NULL when there is none of this name. */
struct listener *gateway_find_listener(struct gateway *g, struct str name);
