/* The layers in front of a rule, compiled: API keys, basic credentials and external authorizers of
 * its SecurityPolicy and of the BackendSecurityPolicies of every backend that it may use. All of
 * them are required, besides the token. Immutable; they live with the route. */
#pragma once

#include "auth/api_key.h"
#include "auth/htpasswd.h"
#include "base/vec.h"
#include "upstream/ext_auth.h"

/* Where a credential may stand in a request. */
enum credential_place { CREDENTIAL_HEADER, CREDENTIAL_PARAM, CREDENTIAL_COOKIE };
struct credential_source {
    enum credential_place place;
    struct str name; /* of a header: lower-case */
};

struct api_key_plan {
    struct str policy;                     /* "SecurityPolicy/ns/name" */
    struct api_keys *keys;                 /* one reference */
    VEC(struct credential_source) sources; /* in this order; the first that has a key counts */
    struct str client_id_header;           /* empty: none */
    bool forwards;                         /* the backend gets the key */
};

struct basic_plan {
    struct str policy;
    struct htpasswd *users;       /* one reference */
    struct str credential_header; /* beside Authorization */
    struct str user_header;       /* empty: none */
    bool prefers_header;          /* credential_header counts before Authorization */
    bool matches_tenant;
    bool forwards;
};

struct ext_auth_plan {
    struct str policy;
    struct ext_auth_config config; /* its cluster: one reference */
    struct str *backend_headers;   /* headersToBackend, without those that come from claims */
    uint32_t n_backend_headers;
    uint16_t status_on_error; /* 0: the refusal's own */
    bool fails_open;
};

struct layer_plan {
    VEC(struct api_key_plan) api_keys;
    VEC(struct basic_plan) basics;
    VEC(struct ext_auth_plan) ext_auths;
};
