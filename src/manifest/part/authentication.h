/* Who is this? The ways of authentication that SecurityPolicy and the founding
 * BackendSecurityPolicy share: JWT, API keys, basic credentials, external authorization. Immutable
 * after load; keys and passwords stay in their Secrets, referred to only. Source: Envoy Gateway
 * API, "JWT", "APIKeyAuth", "BasicAuth", "ExtAuth". */
#pragma once

#include "manifest/part/cluster_settings.h"

struct jwt_remote_jwks {
    struct mark mark;
    struct str uri;
    VEC(struct backend_ref) backend_refs;
    struct cluster_settings *backend_settings; /* its retry and timeout guide the fetch */
    struct opt_duration cache_duration;        /* default 300 s */
    struct opt_duration failed_refetch_duration;
};
struct jwt_local_jwks {
    struct mark mark;
    int type;                           /* enum body_source */
    struct marked_text inline_text;     /* a JSON Web Key Set */
    struct local_object_ref *value_ref; /* ConfigMap; its key jwks, else the first */
};
struct jwt_claim_to_header {
    struct mark mark;
    struct str header;
    struct str claim; /* nested by dots */
};
struct jwt_header_source {
    struct mark mark;
    struct str name;
    struct str value_prefix;
};
struct jwt_extract_from {
    struct mark mark;
    VEC(struct jwt_header_source) headers;
    struct str_vec cookies;
    struct str_vec params;
};
struct jwt_provider_spec {
    struct mark mark;
    struct str name;
    struct str issuer; /* empty: not checked */
    struct str_vec audiences;
    struct jwt_remote_jwks *remote_jwks; /* exactly one of remote and local */
    struct jwt_local_jwks *local_jwks;
    VEC(struct jwt_claim_to_header) claim_to_headers;
    struct jwt_extract_from *extract_from; /* NULL: Authorization: Bearer */
    struct opt_bool recompute_route;       /* no effect: rules see late headers anyway */
};
struct jwt_spec {
    struct mark mark;
    struct opt_bool optional; /* a missing token passes, a bad one does not */
    VEC(struct jwt_provider_spec) providers;
};
extern const struct table jwt_spec_table;

/* Exactly one of the three. */
struct key_source {
    struct mark mark;
    struct str_vec headers;
    struct str_vec params;
    struct str_vec cookies;
};
struct api_key_auth {
    struct mark mark;
    VEC(struct secret_ref) credential_refs; /* client id -> key */
    VEC(struct key_source) extract_from;
    struct str forward_client_id_header;
    struct opt_bool sanitize; /* key removed before the upstream; Tollgate: unless false */
};
extern const struct table api_key_auth_table;

struct basic_auth {
    struct mark mark;
    struct secret_ref *users; /* key .htpasswd */
    struct str forward_username_header;
    /* Founding form only: */
    struct opt_bool match_tenant; /* the user name must equal the verified tenant */
    struct str credential_header; /* default x-backend-authorization next to a Bearer token */
    struct opt_bool forward_credentials; /* default false */
};
extern const struct table basic_auth_table;          /* SecurityPolicy */
extern const struct table founding_basic_auth_table; /* BackendSecurityPolicy: struct basic_auth */

struct ext_auth_server {
    struct mark mark;
    struct backend_ref *backend_ref; /* older form; moved into backend_refs by the check */
    VEC(struct backend_ref) backend_refs;
    struct cluster_settings *backend_settings;
    struct str path; /* prefix; http only */
    struct str path_override;
    struct str_vec headers_to_backend; /* http only */
};
struct ext_auth_context {
    struct mark mark;
    int type; /* 0 Value; 1 ValueRef is not supported */
    struct str name;
    struct str value;
};
struct ext_auth {
    struct mark mark;
    struct ext_auth_server *http; /* exactly one of http and grpc */
    struct ext_auth_server *grpc;
    struct str_vec headers_to_ext_auth;
    struct opt_bool fail_open;
    struct opt_bool recompute_route;
    struct opt_duration timeout;    /* default 10 s */
    struct opt_int status_on_error; /* default 403 */
    VEC(struct ext_auth_context) context_extensions;
    bool has_body_to_ext_auth; /* given, and not supported */
    /* Founding form only; the check turns them into `http`: */
    struct backend_ref *service;
    struct str path;
    struct str_vec headers_to_backend;
};
extern const struct table ext_auth_table;          /* SecurityPolicy */
extern const struct table founding_ext_auth_table; /* BackendSecurityPolicy: struct ext_auth */

/* The path (under spec) of what is given here and not enforced yet; NULL: all is. */
const char *ext_auth_find_unenforced(const struct ext_auth *e);
